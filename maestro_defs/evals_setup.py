"""What the standing assets of evaluations are made with: models, runner, and where weights are proposed."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import dagster as dg
import httpx

from maestro.artifacts import ArtifactStore
from maestro.errors import InputError, MaestroError
from maestro.evals.evaluating import Runner
from maestro.evals.history import History
from maestro.github.app import TokenCredentials
from maestro.github.rest import TIMEOUT, RestClient
from maestro.server.references import read_reference
from maestro_defs.models import Charged

MODELS_VARIABLE = "MAESTRO_EVALS_MODELS"
RUNNER_VARIABLE = "MAESTRO_EVALS_RUNNER"
REVIEWERS_VARIABLE = "MAESTRO_EVALS_REVIEWERS"
REPOSITORY_VARIABLE = "MAESTRO_EVALS_REPOSITORY"
FILE_VARIABLE = "MAESTRO_EVALS_FILE"
TOKEN_VARIABLE = "MAESTRO_EVALS_TOKEN"
API_VARIABLE = "MAESTRO_EVALS_GITHUB_API"
GITHUB = "https://api.github.com"
DATASET = "code_review"
GROUP = "evals"
_OFFLINE = ("offline",)


@dataclass(frozen=True, slots=True)
class Repository:
    """Where weights are proposed.

    Args:
        name: ``owner/name``.
        path: of the file with the weights.
    """

    client: RestClient
    name: str
    path: str = "models.yaml"


@dataclass(frozen=True, slots=True)
class Evals:
    """What the assets need.

    Args:
        store: where runs and reports are kept.
        repository: gives where weights are proposed, for as long as it is used; None: as the environment says.
    """

    charged: Charged
    environ: Mapping[str, str]
    store: Callable[[], ArtifactStore]
    repository: Callable[[], AbstractContextManager[Repository | None]] | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models to be evaluated, each once."""
        named = [one.strip() for one in self.environ.get(MODELS_VARIABLE, "").split(",")]
        return tuple(dict.fromkeys(one for one in named if one)) or _OFFLINE

    @property
    def runner(self) -> Runner:
        """What puts the questions.

        Raises:
            InputError: it is neither of the two.
        """
        named = self.environ.get(RUNNER_VARIABLE) or "maestro"
        if named == "maestro":
            return "maestro"
        if named == "inspect":
            return "inspect"
        raise InputError(f"{RUNNER_VARIABLE} is '{named}'", next_step="set it to `maestro` or `inspect`")

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who is asked to approve, by login."""
        named = self.environ.get(REVIEWERS_VARIABLE, "").split(",")
        return tuple(one.strip() for one in named if one.strip())

    def open_repository(self) -> AbstractContextManager[Repository | None]:
        """Where weights are proposed; None: they are only shown."""
        return named_repository(self.environ) if self.repository is None else self.repository()

    def history(self) -> History:
        """The project's weeks."""
        return History(self.store(), self.charged.name)

    def key(self, *parts: str) -> dg.AssetKey:
        """``evals/…``."""
        return dg.AssetKey([*self.charged.prefix, "evals", *parts])


@contextmanager
def named_repository(environ: Mapping[str, str]) -> Iterator[Repository | None]:
    """The repository the environment names, with its token; None where it names none.

    Raises:
        InputError: there is no token, or it cannot be read.
    """
    name = environ.get(REPOSITORY_VARIABLE)
    if not name:
        yield None
        return
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(f"{REPOSITORY_VARIABLE} is '{name}'", next_step="give it as owner/name")
    reference = environ.get(TOKEN_VARIABLE)
    if not reference:
        raise InputError(
            f"there is no token for {name}", next_step=f"name one in {TOKEN_VARIABLE}, as env:NAME or file:/path"
        )
    credentials = TokenCredentials(lambda: read_reference(reference, environ))
    with httpx.Client(timeout=TIMEOUT) as http:
        client = RestClient(environ.get(API_VARIABLE) or GITHUB, credentials, http)
        yield Repository(client, name, environ.get(FILE_VARIABLE) or "models.yaml")


@contextmanager
def told_by_dagster() -> Iterator[None]:
    """Errors a person can meet, as failures of the step."""
    try:
        yield
    except MaestroError as error:
        raise dg.Failure(str(error)) from error


def table(names: Sequence[str], found: Sequence[Sequence[str | float | int]]) -> dg.TableMetadataValue:
    """A table for the UI."""
    records = [dg.TableRecord(dict(zip(names, row, strict=True))) for row in found]
    columns = [dg.TableColumn(name, "string") for name in names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))
