"""The conductor of a server: takes deliveries, starts the runs that may start, and has their results told.

One process at a time holds the lease ``conductor``; another on the same database waits and takes over when it is gone.
Everything it does follows from what is stored, so nothing is lost with it and nothing is done twice.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg

from maestro.errors import MaestroError
from maestro.inbox import Delivery, Inbox, Outcome, Outcomes
from maestro.server.home import ServerHome, find_server
from maestro.server.leases import Held, Leases
from maestro.server.wake import Waiter, poke
from maestro_defs.admissions import Admissions
from maestro_defs.crossings import Crossings
from maestro_defs.delivery_order import DeliveryOrder
from maestro_defs.dispatch import Dispatcher
from maestro_defs.drift_watch import DriftWatch
from maestro_defs.leaving import leave
from maestro_defs.model_files import ModelFiles
from maestro_defs.model_upkeep import ModelUpkeep
from maestro_defs.reports import Reports
from maestro_defs.server import Server
from maestro_defs.upkeep import Upkeep

NAME = "conductor"
LEASE_SECONDS = 10.0
_CURSOR = "dispatch"
_PAUSE_SECONDS = 0.5
_REPAIR_SECONDS = 1.0
_SEND_SECONDS = 5.0
_WATCH_SECONDS = 5.0
_PROJECTS_AT_ONCE = 8
_HELD_AT_ONCE = 1000
_log = logging.getLogger("maestro.conductor")


class Conductor:
    """One term of conducting.

    Args:
        instance: opened by whoever holds the lease.
    """

    def __init__(self, server: Server, instance: dg.DagsterInstance, held: Held) -> None:
        self._server = server
        self._instance = instance
        self._held = held
        self._inbox = Inbox(server.home.inbox_url)
        self._outcomes = Outcomes(server.engine)
        self.reports = Reports(server, instance)
        self.when_taken: Callable[[str], object] = lambda _project: None
        """Told the project of each delivery that was taken; must not block."""
        self._admissions = Admissions(instance, require=held.require)
        self._dispatcher = Dispatcher(server, instance, self.reports.tell)
        self._closing = threading.Event()
        self._read = self._reached = self._outcomes.cursor(_CURSOR)
        self._turns = DeliveryOrder(self._take, _PROJECTS_AT_ONCE)
        for outcome in self._outcomes.recent(_HELD_AT_ONCE, state="waiting"):
            self._turns.hold(outcome)

    def round(self) -> int:
        """Everything there is to do now; how many deliveries were begun.

        Raises:
            MaestroError: the lease is lost, or a database does not answer.
        """
        self._held.require()
        begun = self._take_new()
        admitted = self._admissions.round(None, self._server.home.settings.limits)
        for run_id, reason in admitted.cancel:
            _log.info("run %s cancelled: %s", run_id, reason)
        begun += self._take_due()
        self._turns.release()
        return begun

    def settle(self) -> None:
        """Waits until every delivery that may be taken now has an outcome, or the lease is lost."""
        while self._held.alive and not self._turns.idle:
            time.sleep(0.01)

    def close(self) -> None:
        """Finishes what was begun."""
        self._closing.set()
        self._turns.close()
        self._admissions.close()
        self._inbox.close()
        self.reports.close()

    def _take_new(self) -> int:
        begun = 0
        for delivery in self._inbox.after(self._read):
            self._read = delivery.id
            if self._outcomes.get(delivery.id) is None:
                self._turns.begin(self._dispatcher.named(delivery), 0)
                begun += 1
        first = self._turns.first_open
        reached = self._read if first is None else first - 1
        if reached != self._reached:
            self._outcomes.set_cursor(_CURSOR, reached)
            self._reached = reached
        return begun

    def _take_due(self) -> int:
        begun = 0
        for outcome in self._outcomes.unsettled(datetime.now(UTC)):
            if self._turns.is_open(outcome.inbox_id):
                continue
            delivery = self._inbox.get(outcome.inbox_id)
            if delivery is None:
                gone = replace(outcome, state="dead", reason="its webhook was removed", next_at=None)
                self._outcomes.record(replace(gone, at=datetime.now(UTC)))
                self._turns.drop(outcome)
                continue
            self._turns.begin(self._dispatcher.named(delivery), outcome.attempts)
            begun += 1
        return begun

    def _take(self, delivery: Delivery, attempts: int) -> Outcome | None:
        """What became of it, once that is stored; otherwise the cursor stays before it for the next term."""
        while True:
            try:
                return self._record(delivery, self._dispatcher.take(delivery, attempts))
            except Exception:  # noqa: BLE001 - whatever it is, no delivery may be passed over
                _log.exception("delivery %s", delivery.id)
            if not self._held.alive or self._closing.wait(_REPAIR_SECONDS):
                return None

    def _record(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        self._held.require()
        outcome = replace(outcome, project=outcome.project or delivery.project)
        self._outcomes.record(outcome)
        self.when_taken(outcome.project)
        level = logging.WARNING if outcome.state in ("dead", "waiting") else logging.INFO
        _log.log(level, "%s %s: %s: %s", delivery.event, delivery.delivery, outcome.state, outcome.reason)
        return outcome


def conduct(home: ServerHome, stop: threading.Event) -> None:
    """Conducts until ``stop``; waits while another does."""
    server = Server(home)
    holder = f"{os.uname().nodename} {os.getpid()}"
    while not stop.is_set():
        try:
            with Leases(server.engine).held(NAME, holder, LEASE_SECONDS, stop=stop) as held:
                if held is None:
                    return
                with server.instance() as instance:
                    _log.info("conducting")
                    _term(server, instance, held, stop)
        except Exception as error:  # noqa: BLE001 - a database that is away comes back; a conductor goes on
            if stop.is_set():
                return
            _log.warning("%s", error, exc_info=not isinstance(error, MaestroError))
            stop.wait(_REPAIR_SECONDS)


def _term(server: Server, instance: dg.DagsterInstance, held: Held, stop: threading.Event) -> None:
    waiter = Waiter(server.home, NAME)
    conductor = Conductor(server, instance, held)
    ended = threading.Event()
    upkeep = Upkeep(server, instance, conductor.reports)
    crossings = Crossings(server, instance)
    files = ModelFiles(server, held)
    conductor.when_taken = files.soon
    sender = threading.Thread(
        target=_send, args=(conductor.reports, upkeep, crossings, held, ended), name="outbox", daemon=True
    )
    sender.start()
    # Apart from what is sent: reading a month of calls may take seconds.
    watch = DriftWatch(server, instance)
    models = ModelUpkeep(server, lambda: held.alive and not ended.is_set())
    watcher = threading.Thread(target=_watch, args=(watch, models, held, ended), name="drift", daemon=True)
    watcher.start()
    # And origins, minutes to answer.
    keeper = threading.Thread(target=_keep, args=(files, held, ended), name="models", daemon=True)
    keeper.start()
    try:
        while not stop.is_set():
            if not conductor.round():
                waiter.wait(_PAUSE_SECONDS)
    finally:
        ended.set()
        files.soon("")
        waiter.close()
        # Before what it sends with is closed; it may be waiting for an answer, and is no reason to wait for ever.
        sender.join(_SEND_SECONDS)
        watcher.join(_SEND_SECONDS)
        keeper.join(_SEND_SECONDS)
        files.close()
        crossings.close()
        conductor.close()


def _send(reports: Reports, upkeep: Upkeep, crossings: Crossings, held: Held, ended: threading.Event) -> None:
    """Reports runs and sends what is to be sent; apart from the rest, since the other side may take its time."""
    while not ended.is_set() and held.alive:
        done = 0
        try:
            done = reports.look() + reports.send_due()
            upkeep.look()
            done += crossings.look()
        except Exception:  # noqa: BLE001 - whatever it is, the rest of the conductor goes on
            _log.exception("nothing can be reported now; it is tried again")
            ended.wait(_REPAIR_SECONDS)
        if not done:
            ended.wait(_PAUSE_SECONDS)


def _watch(watch: DriftWatch, models: ModelUpkeep, held: Held, ended: threading.Event) -> None:
    while not ended.wait(_WATCH_SECONDS) and held.alive:
        try:
            watch.look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            _told("whether models drift cannot be seen now", error)
        try:
            models.look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            _told("what was kept of models' calls cannot be audited or tidied up now", error)


def _told(trouble: str, error: Exception) -> None:
    if isinstance(error, MaestroError):
        _log.warning("%s: %s", trouble, error.what)
    else:
        _log.error(trouble, exc_info=error)


def _keep(files: ModelFiles, held: Held, ended: threading.Event) -> None:
    while not ended.is_set() and held.alive:
        try:
            files.look()
            files.wait(_PAUSE_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, it is tried again; what is known gets older meanwhile
            _log.exception("the models.yaml of projects cannot be kept now")
            ended.wait(_REPAIR_SECONDS)


def act_in_place(home: ServerHome) -> Sequence[str]:
    """One round for the backstop sensor; nothing while a conductor is at work."""
    server = Server(home)
    holder = f"{os.uname().nodename} {os.getpid()} sensor"
    try:
        with Leases(server.engine).held(NAME, holder, LEASE_SECONDS, patience=0.0) as held:
            return [] if held is None else [_one_round(server, held)]
    finally:
        server.engine.dispose()  # A sensor's process lives on, and this happens every half minute.


def _one_round(server: Server, held: Held) -> str:
    with server.instance() as instance:
        conductor = Conductor(server, instance, held)
        try:
            begun = conductor.round()
            conductor.settle()
            conductor.round()
            conductor.reports.look()
            conductor.reports.send_due()
        finally:
            conductor.close()
    return f"no conductor is at work; took {begun} deliveries in its place"


def main(arguments: list[str] | None = None) -> int:
    """The program; ends on SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m maestro_defs.conductor", description=__doc__)
    parser.add_argument("--home", required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    stop = threading.Event()
    try:
        home = find_server(given.home)

        def end(*_signal: object) -> None:
            stop.set()
            poke(home, NAME)  # It need not wait to the end of its pause.

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        conduct(home, stop)
    except MaestroError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    leave(main())
