"""No budget is ever overrun: 200 callers in several processes, a budget for about 60 calls, three kinds of crash."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from maestro.ledger.model import Scope, Unit
from maestro.ledger.store import Ledger
from tests.integration.ledger_callers import BUDGET, CRASHES, PROCESSES, WORST

TENANT = Scope("tenant", "acme")


class Observer:
    """Looks at the budget all the time, and remembers the most that was ever used of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.most = 0
        self.looks = 0
        self._ledger = ledger
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._ending.is_set():
            self.most = max(self.most, self._ledger.balance(TENANT, Unit.USD).used)
            self.looks += 1

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_database"))


def test_200_callers_some_of_which_die_never_spend_more_than_was_granted(url: str, tmp_path: Path) -> None:
    bill = tmp_path / "bill"
    with Ledger.open(url) as ledger:
        ledger.set_limit(TENANT, Unit.USD, BUDGET, actor="ada", reason="sixty calls")
        observer = Observer(ledger)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.integration.ledger_callers", str(bill)],
                env={**os.environ, "LEDGER_DATABASE": url},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        finally:
            observer.end()
        assert (done.returncode, done.stderr) == (0, "")
        ended = dict(line.split() for line in done.stdout.splitlines())
        assert [number for number, code in ended.items() if code == "-9"] and len(ended) == PROCESSES + len(CRASHES)
        assert {number for number, code in ended.items() if code == "-9"} == {str(one) for one in range(len(CRASHES))}
        assert {code for number, code in ended.items() if int(number) >= len(CRASHES)} == {"0"}

        ledger.expire()
        assert ledger.reservations() == []
        assert ledger.check() == []
        assert observer.looks > 0
        assert observer.most <= BUDGET

        billed = {id: int(amount) for id, amount in (line.split() for line in bill.read_text().splitlines())}
        spent = ledger.balance(TENANT, Unit.USD).spent
        assert sum(billed.values()) <= spent <= BUDGET
        # The budget was used, not merely kept; what was set aside for those that died may have been billed by nobody.
        assert len(billed) >= BUDGET // WORST - len(CRASHES)
        charged: dict[str, int] = {}
        for charge in ledger.charges(unit=Unit.USD):
            charged[charge.reservation] = charged.get(charge.reservation, 0) + charge.amount
        assert sum(charged.values()) == spent
        assumed = {charge.reservation for charge in ledger.charges(kind="assumed")}
        assert {id: charged[id] for id in billed if id not in assumed} == {
            id: amount for id, amount in billed.items() if id not in assumed
        }
        states = {one.id: one.state for one in ledger.reservations([f"{number}-0-crash" for number in range(3)])}
        assert states["0-0-crash"] == "released"
        assert states["1-0-crash"] == "assumed"
        assert states["2-0-crash"] in ("settled", "assumed")
