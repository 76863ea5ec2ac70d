"""The supervisor: starts the programs of a server, keeps them running, and stops them in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from maestro.cli import programs
from maestro.cli.ending import carry_out
from maestro.cli.options import GlobalOptions
from maestro.cli.server_home import server_home, web_url
from maestro.cli.server_kept import Kept
from maestro.cli.server_locations import Location, Locations
from maestro.cli.server_lock import locked
from maestro.cli.server_orphans import adopt_orphans, end_descendants, reap_orphans
from maestro.cli.server_parts import ALL, GATEWAY, LAUNCHER, WEB, environment_of, part_of
from maestro.cli.server_restarts import Restarts
from maestro.cli.server_voice import Voice, about_projects
from maestro.errors import MaestroError
from maestro.server.home import ServerHome
from maestro.server.wake import Waiter

SUPERVISOR = "supervisor"
"""Who is poked when the projects have changed."""
_TICK_SECONDS = 0.2
_LOOK_SECONDS = 3.0
"""How often the registry and the mirrors are looked at without a poke."""
_FIRST_SECONDS = 60.0
"""How long the rest waits for what comes first."""
_LEFT_SECONDS = 3.0
_LOAD_PAUSES = 30
"""Code that could not be loaded is tried again so many times later than a program that died: 15 s to 15 min."""
_RELOAD = "mutation { reloadWorkspace { __typename } }"


def serve(options: GlobalOptions, folder: Path | None, only: str | None = None) -> int:
    """Runs a server until Ctrl-C; the exit code.

    Args:
        folder: the home, as the command line names it.
        only: the one program that is wanted, with the projects' code; None: all of them.

    Raises:
        InputError: a setting is wrong, a port is taken, or a server runs on this home already.
        MaestroError: a program does not start.
    """
    home = server_home(options, folder)
    stop = Stop()
    with locked(home.folder / (f"server-{only}.lock" if only else "server.lock")):
        _check_ports(home, only)
        _prepare(options, home)
        locations = Locations(home, only or "")
        waiter = Waiter(home, f"{SUPERVISOR}-{only}" if only else SUPERVISOR)
        try:
            names = ALL if only is None else (only,)
            return Supervisor(home, Voice(options), stop, locations, names, waiter).run()
        finally:
            waiter.close()


class Stop:
    """Counts the signals that ask for the end."""

    def __init__(self) -> None:
        self.signals = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._count)

    def _count(self, _number: int, _frame: object) -> None:
        self.signals += 1

    @property
    def asked(self) -> bool:
        """Whether it is time to stop."""
        return self.signals > 0

    @property
    def hurried(self) -> bool:
        """Whether it is time to stop at once."""
        return self.signals > 1


class Supervisor:
    """Keeps parts running until it is stopped; everything happens in the thread that made it."""

    def __init__(
        self, home: ServerHome, voice: Voice, stop: Stop, locations: Locations, names: Sequence[str], waiter: Waiter
    ) -> None:
        self._home = home
        self._voice = voice
        self._stop = stop
        self._locations = locations
        self._waiter = waiter
        self._kept = {name: Kept(part_of(home, name, locations.workspace), home) for name in names}
        self._code: dict[str, Location] = {}
        self._began = time.monotonic()
        self._announced = False
        self._reload = False
        self._reloading: threading.Thread | None = None
        self._blind = False
        self._unloaded: dict[str, tuple[Restarts, float]] = {}
        adopt_orphans()

    def run(self) -> int:
        """Until a signal; the exit code.

        Raises:
            MaestroError: a program does not start.
        """
        self._voice.say(f"starting the server in {self._home.folder}; Ctrl-C stops it")
        look_at = 0.0
        try:
            while not self._stop.asked:
                now = time.monotonic()
                if now >= look_at:
                    self._arrange()
                    look_at = now + _LOOK_SECONDS
                self._keep(now)
                self._announce(now)
                self._renew_web()
                self._show_warnings(now)
                self._load_again(now)
                reap_orphans(self._own())
                if self._waiter.wait(_TICK_SECONDS):
                    look_at = 0.0
            self._leave()
        finally:
            going = [one.started for one in self._kept.values() if one.started is not None]
            programs.stop(going, 0.0 if self._stop.hurried else _LEFT_SECONDS)
            end_descendants(0.0 if self._stop.hurried else _LEFT_SECONDS)
        self._voice.say("stopped")
        return 0

    def _keep(self, now: float) -> None:
        for name, kept in self._kept.items():
            if kept.started is None and not self._may_start(kept, now):
                continue
            said = kept.look(now)
            if said is not None:
                self._voice.say(said, program=name, level="warning")

    def _may_start(self, kept: Kept, now: float) -> bool:
        if kept.part.first or kept.restarts.failures or now > self._began + _FIRST_SECONDS:
            return True
        return all(one.settled for one in self._kept.values() if one.part.first)

    def _arrange(self) -> None:
        """Makes the code servers what the registry and the mirrors say."""
        try:
            wanted = self._locations.wanted()
        except MaestroError as error:
            if not self._blind:
                self._voice.say(f"new projects are not seen: {error.what}", level="warning")
            self._blind = True
            return
        self._blind = False
        for name in [name for name in self._code if name not in wanted]:
            self._voice.say("removed", program=name)
            self._kept.pop(name).stop()
            self._unloaded.pop(name, None)
        for name, location in wanted.items():
            if name not in self._kept:
                if self._announced:
                    self._voice.say("added", program=name)
                self._locations.forget_socket(location)
                self._kept[name] = Kept(location.part, self._home)
            elif location.replaces(self._code[name]):
                self._voice.say("its workflow or its registration has changed: loaded anew", program=name)
                self._unloaded.pop(name, None)
                self._start_anew(name, location)
        self._code = dict(wanted)
        if self._locations.write_workspace(wanted):
            self._reload = True

    def _announce(self, now: float) -> None:
        if self._announced:
            return
        essential = [one for one in self._kept.values() if one.part.essential]
        rest = [one for one in self._kept.values() if not one.part.essential]
        if not all(one.ready for one in essential):
            return
        if not all(one.settled for one in rest) and now < self._began + _FIRST_SECONDS:
            return
        self._announced = True
        self._voice.say("the server is ready")
        for one in essential:
            if one.part.about:
                self._voice.say(f"  {one.part.about}")
        self._voice.say(f"  logs        {self._home.logs}")
        if GATEWAY in self._kept:
            for line in about_projects(self._home, [one.project for one in self._code.values()]):
                self._voice.say(line)

    def _renew_web(self) -> None:
        """Has the web server read the workspace again; Dagster's daemon does so by itself, once a minute."""
        web = self._kept.get(WEB)
        if web is None or not self._reload or not web.ready or (self._reloading and self._reloading.is_alive()):
            return
        if not all(self._kept[name].settled for name in self._code):
            return
        self._reload = False
        self._reloading = threading.Thread(target=self._ask_reload, name="reload workspace", daemon=True)
        self._reloading.start()

    def _ask_reload(self) -> None:
        from maestro.remote.graphql import GraphQL

        graphql = GraphQL(web_url(self._home))
        try:
            graphql.once(_RELOAD)
        except MaestroError as error:
            self._voice.say(f"the web server does not show the new projects: {error.what}", level="warning")
            self._reload = True
        finally:
            graphql.close()

    def _show_warnings(self, now: float) -> None:
        for name, kept in self._kept.items():
            for line in kept.alarming():
                self._voice.say(line, program=name, level="warning")
            if kept.failed_to_load() and name in self._code:
                earlier, _ = self._unloaded.get(name, (Restarts(), 0.0))
                self._unloaded[name] = earlier.after(0.0), now

    def _load_again(self, now: float) -> None:
        """Starts code servers anew whose code could not be loaded: its repository may have been out of reach."""
        for name, (restarts, at) in self._unloaded.items():
            if name in self._code and now > at + restarts.pause * _LOAD_PAUSES:
                self._unloaded[name] = restarts, float("inf")
                self._start_anew(name, self._code[name])

    def _start_anew(self, name: str, location: Location) -> None:
        kept = self._kept[name]
        kept.stop()
        self._locations.forget_socket(location)
        kept.again(location.part)

    def _own(self) -> set[int]:
        return {one.started.process.pid for one in self._kept.values() if one.started is not None}

    def _leave(self) -> None:
        """Stops the parts in their order, each for as long as it may take; all at once on a second signal."""
        text = "stopping; Ctrl-C again stops at once"
        if LAUNCHER in self._kept:
            seconds = self._home.settings.launcher.drain_seconds
            text = f"stopping: runs that go on have {seconds:g} s; Ctrl-C again stops at once"
        self._voice.say(text)
        for place in sorted({one.part.leaving for one in self._kept.values()}):
            going = [one for one in self._kept.values() if one.part.leaving == place and one.started is not None]
            for one in going:
                assert one.started is not None
                programs.signal_group(one.started, signal.SIGTERM)
            deadline = time.monotonic() + max((one.part.seconds for one in going), default=0.0)
            while any(one.started is not None and one.started.ended is None for one in going):
                if self._stop.hurried or time.monotonic() > deadline:
                    break
                reap_orphans(self._own())
                self._waiter.wait(_TICK_SECONDS / 4)
            for one in going:
                assert one.started is not None
                programs.kill(one.started)
                one.started = None


def _check_ports(home: ServerHome, only: str | None) -> None:
    settings = home.settings
    for name, place in ((GATEWAY, settings.gateway), (WEB, settings.web)):
        if only in (None, name):
            advice = (
                f"stop what has it, or write another (such as {{port}}) as {name}.port into {home.folder}/server.yaml"
            )
            programs.check_port(place.host, place.port, advice, f"write another {name}.port into server.yaml")


def _prepare(options: GlobalOptions, home: ServerHome) -> None:
    """Makes Dagster's home and tables before several programs would at once; in a process that goes away again.

    Raises:
        MaestroError: it cannot be done; why was said.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        carry_out(lambda: _make_instance(home), options)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise SystemExit(code)


def _make_instance(home: ServerHome) -> None:
    environment = environment_of(home)
    os.environ.clear()
    os.environ.update(environment)
    from maestro.profile import load_profile
    from maestro_defs.instance import open_home, prepare_home

    profile = load_profile(home.settings.profile)
    with open_home(prepare_home(home.dagster, profile), profile):
        return
