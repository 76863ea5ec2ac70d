"""One program of the server, kept running: started, known to be ready, started again when it dies."""

from __future__ import annotations

from maestro.cli import programs
from maestro.cli.programs import Started
from maestro.cli.server_log import Followed, set_aside
from maestro.cli.server_parts import Part
from maestro.cli.server_restarts import Restarts
from maestro.cli.terminal import printable
from maestro.errors import MaestroError
from maestro.server.home import ServerHome

_WRONG_INPUT = 2
"""Exit code of a program whose settings are wrong: another start ends the same way."""


class Kept:
    """A part that is to run; times are of one monotonic clock.

    Args:
        part: how it is started.
    """

    def __init__(self, part: Part, home: ServerHome) -> None:
        self.part = part
        self.ready = False
        self.started: Started | None = None
        self.restarts = Restarts()
        self._home = home
        self._due = 0.0
        self._since = 0.0
        self._was_ready = False
        set_aside(part.log(home))
        self._log = Followed(part.log(home))

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be waited for: it is ready, or it has failed."""
        return self.ready or self.restarts.failures > 0

    def look(self, now: float) -> str | None:
        """Starts it when that is due, and notices when it is ready or has died; what to say of it, if anything.

        Raises:
            MaestroError: the server cannot do without it, and it does not start.
        """
        if self.started is None:
            if now >= self._due:
                self._start(now)
            return None
        code = self.started.ended
        if code is None:
            if not self.ready and self.part.ready():
                self.ready = self._was_ready = True
            return None
        return self._died(code, now)

    def again(self, part: Part) -> None:
        """Stops it, to be started as ``part`` says."""
        self.stop()
        self.part = part
        self.restarts = Restarts()
        self._due = 0.0

    def stop(self) -> None:
        """Stops it, if it runs."""
        if self.started is not None:
            programs.stop([self.started], self.part.seconds)
        self.started = None
        self.ready = False

    def alarming(self) -> list[str]:
        """Warnings and errors it has written since the last call."""
        return [printable(line) for line in self._log.alarming()]

    def failed_to_load(self) -> bool:
        """Whether, since this was asked last, it has said that its project's code could not be loaded."""
        failed, self._log.load_failed = self._log.load_failed, False
        return failed

    def _start(self, now: float) -> None:
        log = self.part.log(self._home)
        self.started = programs.start(
            self.part.name,
            self.part.arguments,
            environment=self.part.environment,
            folder=self._home.folder,
            log=log,
            append=True,
        )
        self._since = now

    def _died(self, code: int, now: float) -> str:
        assert self.started is not None
        # What it has left behind in its group would be in the way of the next one.
        programs.kill(self.started)
        self.part.died(self.started.process.pid)
        self.started = None
        self.ready = False
        self.restarts = self.restarts.after(now - self._since)
        log = self.part.log(self._home)
        ended = f"{_ended(code)}: {printable(programs.last_line(log))}"
        if self.part.essential and not self._was_ready and (code == _WRONG_INPUT or self.restarts.hopeless):
            raise MaestroError(f"the {self.part.name} does not start; it {ended}", next_step=f"read {log}")
        self._due = now + self.restarts.pause
        return f"{ended}; it is started again in {self.restarts.pause:g} s"


def _ended(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
