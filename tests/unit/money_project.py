"""A project with a ledger of its own, and the command line run in it."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.cli.ending import explain
from maestro.cli.main import group
from maestro.cli.options import GlobalOptions
from maestro.ledger.model import Attribution, Unit
from maestro.ledger.store import Ledger

WORKFLOW = "name: w\nproject: shop\nstages: [{name: a, steps: [{run: shell, with: {command: 'true'}}]}]\n"
MODELS = {
    "models": {
        "grand": {"provider": "openai", "price": {"input": 10, "output": 30}, "quality": 0.9, "key": "env:NO_SUCH_KEY"},
        "plain": {"provider": "offline", "price": "free", "quality": 0.1, "capabilities": ["chat"]},
    },
    "routes": {"local-only": {"candidates": ["grand", "plain"], "objective": "pinned"}},
}


@dataclass(frozen=True)
class Said:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class MoneyProject:
    """The project ``shop``."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".maestro"

    def run(self, *arguments: str) -> Said:
        """``maestro --project ROOT …``."""
        options = GlobalOptions()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                result = group().main(
                    args=["--project", str(self.root), *arguments],
                    prog_name="maestro",
                    obj=options,
                    standalone_mode=False,
                )
                code = result if isinstance(result, int) else 0
            except Exception as error:  # noqa: BLE001 - as the program itself does
                code = explain(error, options)
        return Said(code, out.getvalue(), err.getvalue())

    def ledger(self) -> Ledger:
        return Ledger.open(f"sqlite:///{self.home / 'ledger.db'}")

    def spend(
        self, usd_nano: int, *, model: str = "grand", pull_request: int | None = 7, step: str = "review", id: str = "r1"
    ) -> None:
        """A call that was reserved and settled."""
        who = Attribution("local", "shop", pull_request, "run-1", step, "ann")
        with self.ledger() as ledger:
            ledger.reserve(id, who, {Unit.USD: usd_nano, Unit.TOKENS: 100})
            ledger.sent(id)
            ledger.settle(id, {Unit.USD: usd_nano, Unit.TOKENS: 90}, model=model, provider="openai", decision="dec_1")

    def audited(self) -> list[dict[str, Any]]:
        """The rows of the audit log, the oldest first."""
        entries: list[dict[str, Any]] = self.run("audit", "show", "--json").json["entries"]
        return entries


def money_project(folder: Path) -> MoneyProject:
    """A repository with a workflow and a ``models.yaml``."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / "maestro.yaml").write_text(WORKFLOW, encoding="utf-8")
    (folder / "models.yaml").write_text(json.dumps(MODELS), encoding="utf-8")
    return MoneyProject(folder)
