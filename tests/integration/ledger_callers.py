"""Many callers that spend under one budget, in several processes, some of which kill themselves.

``python -m tests.integration.ledger_callers BILL``, the database's URL in ``LEDGER_DATABASE``. ``BILL`` is what the
provider would charge: a line ``id amount`` for each call that reached it. Every process ends with its callers or by its
own SIGKILL; how each ended is printed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from pathlib import Path

from maestro.ledger.model import Attribution, BudgetExceededError, Unit
from maestro.ledger.operations import Settle
from maestro.ledger.store import Ledger
from maestro.ledger.writer import AsyncLedger

WORST = 1_000_000_007
BUDGET = 60 * WORST
PROCESSES, CALLERS = 8, 25
CRASHES = ("after reserve", "after sent", "while settling")


def main() -> None:
    bill = Path(sys.argv[1])
    ready, go = os.pipe(), os.pipe()
    children = {
        os.fork() or live(number, bill, ready[1], go, CRASHES[number] if number < len(CRASHES) else None): number
        for number in range(PROCESSES)
    }
    os.close(ready[1])
    # Those who will crash have reserved by then, whoever is quickest afterwards.
    for _ in CRASHES:
        assert os.read(ready[0], 1) == b"r"
    os.close(go[1])
    ended = []
    while children:
        pid, status = os.wait()
        number = children.pop(pid)
        ended.append(f"{number} {os.waitstatus_to_exitcode(status)}")
        if number < len(CRASHES):
            # What a supervisor does: another process with other callers takes its place.
            again = number + PROCESSES
            children[os.fork() or live(again, bill, None, go, None)] = again
    print("\n".join(ended))


def live(number: int, bill: Path, ready: int | None, go: tuple[int, int], crash: str | None) -> int:
    """A process with its callers; it never returns."""
    code = 1
    try:
        with Ledger.open(os.environ["LEDGER_DATABASE"]) as ledger:
            # The end of the pipe is how everybody hears that it begins; a process that comes later hears it at once.
            for end in (go[1],) if ready is not None else ():
                os.close(end)
            callers = [Caller(ledger, number, caller, bill) for caller in range(CALLERS)]
            if crash is not None and ready is not None:
                callers[0].begin_crash(crash)
                os.write(ready, b"r")
            if ready is not None:
                os.close(ready)
            os.read(go[0], 1)
            threads = [threading.Thread(target=one.call) for one in callers[1 if crash else 0 :]]
            for thread in threads:
                thread.start()
            if crash is not None:
                # In the midst of what the other callers of this process are doing.
                threads[0].join()
                callers[0].end_crash(crash)
            for thread in threads:
                thread.join()
            code = 0
    finally:
        os._exit(code)


class Caller:
    def __init__(self, ledger: Ledger, process: int, number: int, bill: Path) -> None:
        self.ledger = ledger
        self.random = random.Random(process * 1000 + number)
        self.id = f"{process}-{number}"
        self.bill = bill
        self.whom = Attribution("acme", f"app{number % 3}", number % 5, f"run{process}", f"step{number}")

    def call(self) -> None:
        for part in range(3):
            id = f"{self.id}-{part}"
            try:
                self.ledger.reserve(id, self.whom, {Unit.USD: WORST, Unit.TOKENS: 100})
            except BudgetExceededError:
                continue
            if self.random.random() < 0.1:
                self.ledger.release(id, "the provider was not there")
                continue
            self.ledger.sent(id)
            self.ledger.settle(id, {Unit.USD: self.provider_charges(id), Unit.TOKENS: 50})

    def begin_crash(self, crash: str) -> None:
        self.ledger.reserve(f"{self.id}-crash", self.whom, {Unit.USD: WORST})
        if crash != "after reserve":
            self.ledger.sent(f"{self.id}-crash")

    def end_crash(self, crash: str) -> None:
        if crash != "after reserve":
            amount = self.provider_charges(f"{self.id}-crash")
            if crash == "while settling":
                AsyncLedger(self.ledger).submit(Settle(f"{self.id}-crash", {Unit.USD: amount}))
        os.kill(os.getpid(), signal.SIGKILL)

    def provider_charges(self, id: str) -> int:
        amount = self.random.randint(WORST // 4, WORST)
        line = os.open(self.bill, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(line, f"{id} {amount}\n".encode())
        os.close(line)
        return amount


if __name__ == "__main__":
    main()
