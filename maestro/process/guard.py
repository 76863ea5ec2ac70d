"""The guard: a small process that starts the processes of steps for a run worker and lets none of them outlive it.

Run as a script (``python -I -S guard.py SOCKET_FD``); pure standard library, one thread, no imports of the project,
so it starts in milliseconds and forks cheaply however big the worker is::

    run worker ──socket── guard ──fork── warden ──fork── the step's process ── its descendants
        └──────────────a socket for each step──┘

A *warden* is a fork of the guard that looks after one process. Guard and wardens are child subreapers (prctl(2)):
whatever a step leaves behind, double-forked and setsid'ed daemons too, becomes a child of its warden and is killed.

Who may die, and what follows:

- the worker: each warden reads end of file and kills its tree; the guard waits for them and kills what is left
- the guard: wardens get SIGUSR1 (parent-death signal) and kill their trees
- a warden: the step's process gets SIGKILL (parent-death signal), its orphans go to the guard, which kills them

Protocol. On the guard's socket (SEQPACKET) one byte with three descriptors: the warden's socket, stdout, stderr. On the
warden's socket (STREAM) a length (8 bytes, big endian) and a JSON request ``{argv, cwd, env}`` whose strings are bytes
as Latin-1; then lines of JSON: ``{"stop": grace}`` down, ``{"pid"}`` and ``{"exit_code", …}`` or ``{"error"}`` up.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SETTLE_SECONDS = 0.25
"""How long descendants may take to end by themselves after the step's process (``> >(tee log)`` is one of them)."""
KILL_SECONDS = 1.5
"""How long to wait for processes that got SIGKILL; one in uninterruptible sleep must not hold the result back."""
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""A service manager signals the whole group; the worker decides then, so that it can still clean up."""

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def prctl(option: int, value: int) -> None:
    """Call prctl(2); raises OSError."""
    if _prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants(root: int) -> list[int]:
    """Process ids of all descendants of ``root``, zombies left out; parents before children."""
    children: dict[int, list[int]] = {}
    zombies = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib is not imported: it doubles the start-up
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                # The command in parentheses may hold anything, so what follows the last one is parsed.
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        children.setdefault(int(parent), []).append(int(name))
        if state in (b"Z", b"X"):
            zombies.add(int(name))
    found: list[int] = []
    pending = [root]
    while pending:
        below = children.get(pending.pop(), [])
        pending += below
        found += [pid for pid in below if pid not in zombies]
    return found


def send_signal(pids: list[int], number: int) -> None:
    """Signal each of ``pids``; those gone or not ours are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class Warden:
    """Looks after one process of a step, from its start until nothing of it is left.

    ``control`` is the socket to the worker; ``wakeup`` becomes readable when a signal arrives.
    """

    def __init__(self, control: socket.socket, stdout: int, stderr: int, wakeup: int) -> None:
        self.control = control
        self.output = (stdout, stderr)
        self.wakeup = wakeup
        self.main = 0
        self.status: int | None = None
        self.orphaned = False
        self.buffer = b""

    def run(self) -> None:
        """Start the process, wait, clean up, report."""
        request = json.loads(self._read_exactly(int.from_bytes(self._read_exactly(8), "big")))
        try:
            os.chdir(request["cwd"].encode("latin-1"))
        except OSError as error:
            self._send({"error": os.strerror(error.errno or 0)})
            return
        self._start(request)
        self._send({"pid": self.main})
        stopped = self._wait()
        leftovers = self._clean_up()
        if self.orphaned:
            # Without a guard the step has not ended, it was killed: hanging up says so.
            return
        # Usage of everything reaped here, which is everything the step's process has not waited for itself.
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = {"exit_code": shell_exit_code(self.status), "stopped": stopped, "leftovers": leftovers}
        times = {"user_seconds": usage.ru_utime, "system_seconds": usage.ru_stime}
        self._send({**result, **times, "max_rss_bytes": usage.ru_maxrss * 1024})

    def _start(self, request: dict[str, object]) -> None:
        argv = [word.encode("latin-1") for word in request["argv"]]  # type: ignore[attr-defined]  # as the runner sends it
        env = {k.encode("latin-1"): v.encode("latin-1") for k, v in request["env"].items()}  # type: ignore[attr-defined]  # as the runner sends it
        warden = os.getpid()
        ready, starting = os.pipe()
        self.main = os.fork()
        if self.main == 0:
            try:
                become(argv, env, *self.output, warden)
            finally:
                os._exit(126)
        # Until it closes its descriptors, the process still ignores SIGTERM as its guard does: a stop would be lost.
        os.close(starting)
        os.read(ready, 1)
        os.close(ready)
        # Kept open here, the log of a step would never reach its end while the warden lives.
        for descriptor in self.output:
            os.close(descriptor)

    def _wait(self) -> bool:
        """Until the step's process has ended; True when it was stopped on request."""
        while not self._childless() and self.status is None:
            if (message := self._next_message(None)) is not None:
                self._stop(float(message["stop"]))
                return True
        return False

    def _stop(self, grace: float) -> None:
        """SIGTERM to the whole tree, ``grace`` seconds, SIGKILL."""
        tree = descendants(os.getpid())
        send_signal(tree, signal.SIGTERM)
        # A stopped process cannot handle SIGTERM before it continues.
        send_signal(tree, signal.SIGCONT)
        deadline = time.monotonic() + grace
        while not self._childless():
            if (left := deadline - time.monotonic()) <= 0:
                break
            if (message := self._next_message(left)) is not None:
                deadline = min(deadline, time.monotonic() + float(message["stop"]))
        if self.status is None:
            self._kill_all()

    def _clean_up(self) -> int:
        """Kill what the step's process left behind and say how many that were."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not self._childless():
            if (left := deadline - time.monotonic()) <= 0:
                return self._kill_all()
            self._next_message(left)
        return 0

    def _kill_all(self) -> int:
        killed: set[int] = set()
        deadline = time.monotonic() + KILL_SECONDS
        while not self._childless() and time.monotonic() < deadline:
            tree = descendants(os.getpid())
            send_signal(tree, signal.SIGKILL)
            killed.update(tree)
            self._sleep(0.01)
        return len(killed - {self.main})

    def _childless(self) -> bool:
        """Collect dead children; True when none is alive."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.main:
                self.status = status

    def _next_message(self, timeout: float | None) -> dict[str, float] | None:
        """The next line from the worker, or None after a signal or the time; the worker's end means: stop at once."""
        if not self.orphaned and b"\n" not in self.buffer:
            ready = wait_readable([self.wakeup, self.control.fileno()], timeout)
            if self.wakeup in ready and signal.SIGUSR1 in os.read(self.wakeup, 4096):
                self.orphaned = True
            elif self.control.fileno() in ready:
                try:
                    data = self.control.recv(4096)
                except OSError:
                    data = b""
                self.orphaned = not data
                self.buffer += data
            if self.orphaned:
                return {"stop": 0.0}
        elif self.orphaned:
            self._sleep(timeout)
        line, newline, rest = self.buffer.partition(b"\n")
        if not newline:
            return None
        self.buffer = rest
        message: dict[str, float] = json.loads(line)
        return message

    def _sleep(self, timeout: float | None) -> None:
        if wait_readable([self.wakeup], timeout):
            os.read(self.wakeup, 4096)

    def _read_exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self.control.recv(min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _send(self, message: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # the worker is gone; nobody wants to know
            self.control.sendall(json.dumps(message).encode() + b"\n")


def become(argv: list[bytes], env: dict[bytes, bytes], stdout: int, stderr: int, warden: int) -> None:
    """In a fresh fork: turn into ``argv``, or say why not on standard error and exit 127 or 126 as a shell does."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (*IGNORED, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.closerange(3, 1 << 20)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != warden:
        os._exit(126)
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = os.strerror(error.errno or 0)
        if missing and b"/" not in argv[0]:
            reason = "command not found"
        elif missing and os.path.exists(argv[0]):  # noqa: PTH110
            reason = "its interpreter does not exist (first line of the file)"
        os.write(2, b"maestro: " + argv[0] + b": " + reason.encode() + b"\n")
        os._exit(127 if missing else 126)


def shell_exit_code(status: int | None) -> int:
    """A wait status as the shell reports it; 137 for a process that SIGKILL could not end in time."""
    if status is None:
        return 128 + signal.SIGKILL
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def wait_readable(descriptors: list[int], timeout: float | None) -> list[int]:
    """Those of ``descriptors`` that can be read, closed ones too; none after ``timeout`` seconds."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(None if timeout is None else max(0, timeout) * 1000)]


def wakeup_descriptor(*numbers: int) -> int:
    """A new descriptor that becomes readable when one of these signals arrives."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in numbers:
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


class Guard:
    """Forks a warden for each request; outlives the worker by a moment to see that nothing is left."""

    def __init__(self, requests: socket.socket) -> None:
        self.requests = requests
        self.wakeup = wakeup_descriptor(signal.SIGCHLD)
        # End of file does not come while a forked copy of the worker holds the socket; its process id tells.
        self.worker = os.pidfd_open(os.getppid())
        self.wardens: set[int] = set()

    def run(self) -> None:
        """Serve until the worker ends."""
        watched = [self.wakeup, self.requests.fileno(), self.worker]
        while True:
            ready = wait_readable(watched, None)
            if self.wakeup in ready:
                os.read(self.wakeup, 4096)
                self._reap()
            if self.worker in ready:
                break
            if self.requests.fileno() in ready and not self._serve():
                break
        self.requests.close()
        self._end()

    def _serve(self) -> bool:
        """Take one request; False when the worker has hung up."""
        size = array.array("i").itemsize * 3
        try:
            data, ancillary, _flags, _address = self.requests.recvmsg(1, socket.CMSG_LEN(size), socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return False
        if not data:
            return False
        descriptors = array.array("i")
        for _level, _kind, payload in ancillary:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        if len(descriptors) == 3:
            self._fork_warden(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _fork_warden(self, control: int, stdout: int, stderr: int) -> None:
        guard = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return  # closing the warden's socket tells the worker
        if pid:
            self.wardens.add(pid)
            return
        try:
            self.requests.close()
            os.close(self.worker)
            wakeup = wakeup_descriptor(signal.SIGCHLD, signal.SIGUSR1)
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
            if os.getppid() == guard:
                Warden(socket.socket(fileno=control), stdout, stderr, wakeup).run()
            os._exit(0)
        finally:
            os._exit(1)

    def _reap(self) -> bool:
        """Collect dead children, kill the orphans of a warden that was killed; True when no child is left."""
        broken = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                break
            self.wardens.discard(pid)
            broken = broken or status != 0
        if broken:
            self._kill_strays()
        return False

    def _kill_strays(self) -> None:
        theirs = {*self.wardens, *(pid for warden in self.wardens for pid in descendants(warden))}
        send_signal([pid for pid in descendants(os.getpid()) if pid not in theirs], signal.SIGKILL)

    def _end(self) -> None:
        """The worker is gone: wardens kill their trees; what is left after a while is killed from here."""
        send_signal(list(self.wardens), signal.SIGUSR1)
        deadline = time.monotonic() + 2 * KILL_SECONDS
        while not self._reap():
            if time.monotonic() > deadline:
                send_signal(descendants(os.getpid()), signal.SIGKILL)
            wait_readable([self.wakeup], 0.05)


def main() -> None:
    """Take over the socket whose descriptor is the first argument."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    requests = socket.socket(fileno=int(sys.argv[1]))
    requests.set_inheritable(False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    gc.disable()
    gc.freeze()
    Guard(requests).run()


if __name__ == "__main__":
    main()
