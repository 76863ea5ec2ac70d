"""Language models as a Dagster resource, for assets of one's own: the same gateway, decisions and budgets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from maestro.artifacts import ArtifactStore
from maestro.execution.model_policy import engine_of
from maestro.execution.request import LOCAL_TENANT
from maestro.ledger.model import Attribution
from maestro.llm.blocking import BlockingGateway
from maestro.llm.model import Answer, Message, ModelRequest
from maestro.llm.opening import open_gateway
from maestro.project import Project

LLM = "llm"


class LlmResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no use here
    """The gateway of a project: what is asked through it is charged to that project."""

    project: str = Field(description="Name of the project that is charged.")
    tenant: str = Field(default=LOCAL_TENANT, description="Its tenant.")
    home: str | None = Field(default=None, description="Maestro's state folder; found from `root` when not given.")
    root: str | None = Field(default=None, description="A folder of the repository; the current one when not given.")

    @contextmanager
    def gateway(self) -> Iterator[BlockingGateway]:
        """The gateway, closed at the end."""
        project = Project.find(Path(self.root or Path.cwd()))
        home = Path(self.home) if self.home else project.ensure_home()
        store = ArtifactStore.open(str(home / "artifacts"))
        with BlockingGateway(
            lambda: open_gateway(
                home=home,
                environ=os.environ,
                workspace=project.root,
                store=store,
                policies=engine_of(home, os.environ),
            )
        ) as gateway:
            yield gateway

    def ask(self, text: str, *, target: str = "", max_output_tokens: int = 1024) -> Answer:
        """One answer to ``text``.

        Args:
            target: model, route or capability; empty: the default route.

        Raises:
            BudgetExceededError, NoModelError, ProviderError: there is none.
        """
        request = ModelRequest([Message("user", text)], target=target, max_output_tokens=max_output_tokens)
        with self.gateway() as gateway:
            return gateway.ask(request, self.attribution())

    def attribution(self) -> Attribution:
        """Whom it is charged to."""
        return Attribution(self.tenant, self.project, actor="dagster")
