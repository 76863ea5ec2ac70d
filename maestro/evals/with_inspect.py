"""Has inspect-ai put the questions: a worker without keys asks over a socket, and this process's gateway answers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from maestro.errors import InputError
from maestro.evals import inspect_worker
from maestro.evals.cases import Case
from maestro.evals.results import ModelRun
from maestro.evals.running import Progress
from maestro.evals.scoring import Score
from maestro.llm.model import Answer

PYTHON_VARIABLE = "MAESTRO_EVALS_PYTHON"
"""Names an interpreter that has inspect-ai, when it is not to share an environment with Maestro."""
VERSION = "0.3.285"
RUNNER = f"inspect-ai {VERSION}"
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")
_LONGEST_LINE = 4 * 1024 * 1024
_ENDS_WITHIN = 10.0


def interpreter(environ: Mapping[str, str]) -> Sequence[str]:
    """The command that runs the worker: of ``MAESTRO_EVALS_PYTHON``, else of this Python.

    Raises:
        InputError: that interpreter is not there, or this Python has no inspect-ai.
    """
    named = environ.get(PYTHON_VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise InputError(f"{PYTHON_VARIABLE} names '{named}', which cannot be run", next_step="correct it")
        return (named,)
    from importlib.util import find_spec

    if find_spec("inspect_ai") is None:
        raise InputError(
            "the runner 'inspect' needs the extra 'evals', which is not installed: there is no 'inspect_ai'",
            next_step=f"pip install 'maestro-conductor[evals]', name an interpreter that has it in {PYTHON_VARIABLE}, "
            "or choose `runner: maestro`",
        )
    return (sys.executable,)


@dataclass(slots=True)
class _Talk:
    """One worker's questions: a case is asked once, whatever the worker does, and scored as it was answered."""

    progress: Progress
    sending: threading.Lock = field(default_factory=threading.Lock)
    asked: set[str] = field(default_factory=set)
    scores: dict[str, tuple[Answer, Score]] = field(default_factory=dict)
    ended: Mapping[str, Any] | None = None

    def reply(self, message: Mapping[str, Any], cases: Mapping[str, Case]) -> dict[str, Any]:
        number = message.get("number")
        if "ask" in message:
            return {"number": number, **self._ask(cases.get(str(message["ask"])))}
        return {"number": number, **self._score(str(message.get("score")), message.get("text"))}

    def _ask(self, case: Case | None) -> dict[str, Any]:
        with self.sending:
            known = case is not None and case.id not in self.asked
            if case is not None:
                self.asked.add(case.id)
        if case is None or not known:
            return {"error": "no such case is to be asked, or it was asked before"}
        said = self.progress.put(case)
        if isinstance(said, str):
            return {"error": said}
        self.scores[case.id] = said
        usage = said[0].usage
        return {"text": said[0].text, "input": usage.input_tokens, "output": usage.output_tokens}

    def _score(self, case: str, text: object) -> dict[str, Any]:
        found = self.scores.get(case)
        if found is None or found[0].text != text:
            return {"error": "this is not what was answered"}
        one = found[1]
        return {"score": {"passed": one.passed, "found": one.found, "false_alarms": one.false_alarms, "form": one.form}}


def run_with_inspect(
    progress: Progress, command: Sequence[str], *, limit: float = 3600.0, environ: Mapping[str, str] | None = None
) -> tuple[ModelRun, bytes | None]:
    """Asks all that is left, through inspect-ai.

    Args:
        command: from :func:`interpreter`.
        limit: seconds for all of it; then the worker is killed.
        environ: of which the worker gets its path and language, and nothing else.

    Returns:
        The run, and inspect-ai's own log (JSON) when there is a whole one. A run whose worker crashed, hung or left no
        whole log is partial: what was answered is kept, and it is never compared.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    cases = progress.left()
    if not cases:
        return progress.finish(RUNNER, started, 0.0), None
    # Not the step's scratch folder: the path of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="maestro-evals-") as name:
        folder = Path(name)
        talk = _Talk(progress)
        problem = _converse(talk, cases, folder, command, limit, os.environ if environ is None else environ)
        log, fault = _log(talk, folder, cases)
    return progress.finish(RUNNER, started, time.monotonic() - clock, problem or fault), log


def _converse(
    talk: _Talk, cases: Sequence[Case], folder: Path, command: Sequence[str], limit: float, environ: Mapping[str, str]
) -> str:
    """Serves the worker to its end; what went wrong, or nothing."""
    place = folder / "worker.sock"
    env = {key: environ[key] for key in _INHERITED if key in environ}
    env |= {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "INSPECT_DISPLAY": "none"}
    argv = [*command, "-I", "-X", "utf8", str(Path(inspect_worker.__file__)), str(place)]
    deadline = time.monotonic() + limit
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, (folder / "output").open("wb") as output:
        listener.bind(str(place))
        listener.listen(1)
        process = subprocess.Popen(
            argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        late = threading.Event()
        watch = threading.Thread(target=_watch, args=(process, deadline, talk.progress.cancelled, late), daemon=True)
        watch.start()
        try:
            connection = _accept(listener, process)
            if connection is None:
                code = process.wait()
            else:
                with connection:
                    _serve(talk, connection, cases, folder)
                    # The worker ends at once when the other end is gone, so that stays until it has ended.
                    code = _wait(process)
        finally:
            _kill(process)
            watch.join()
    if talk.progress.cancelled.is_set():
        return "it was cancelled"
    if late.is_set():
        return f"inspect-ai was stopped after {limit:.0f} seconds, before it was done"
    if code == inspect_worker.MISSING:
        return f"{command[0]} has no inspect-ai"
    if code != 0 or talk.ended is None:
        return f"inspect-ai ended with exit code {code} before it was done{_last_words(folder / 'output')}"
    return ""


def _watch(
    process: subprocess.Popen[bytes], deadline: float, cancelled: threading.Event, late: threading.Event
) -> None:
    while process.poll() is None:
        if cancelled.wait(0.1) or time.monotonic() > deadline:
            if not cancelled.is_set():
                late.set()
            _kill(process)
            return


def _accept(listener: socket.socket, process: subprocess.Popen[bytes]) -> socket.socket | None:
    listener.settimeout(0.1)
    while process.poll() is None:
        try:
            connection, _address = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(None)
        return connection
    return None


def _serve(talk: _Talk, connection: socket.socket, cases: Sequence[Case], folder: Path) -> None:
    evaluation = talk.progress.evaluation
    by_id = {case.id: case for case in cases}
    task = {
        "name": evaluation.dataset.name,
        "model": evaluation.model,
        "at_once": evaluation.at_once,
        "log_dir": str(folder / "log"),
        "cases": [
            {
                "id": case.id,
                "messages": [{"role": one.role, "content": one.content} for one in evaluation.questions.messages(case)],
            }
            for case in cases
        ],
    }
    writing = threading.Lock()

    def send(message: Mapping[str, Any]) -> None:
        with writing:
            try:
                connection.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                return  # the worker is gone; its exit code is looked at

    send({"task": task})
    with ThreadPoolExecutor(evaluation.at_once, thread_name_prefix="evals") as pool, connection.makefile("rb") as lines:
        while (message := _message(lines)) is not None:
            if "ended" in message:
                talk.ended = message
                return
            pool.submit(lambda one: send(talk.reply(one, by_id)), message)


def _message(lines: BinaryIO) -> dict[str, Any] | None:
    """The next message; None when there is none or it is none, after which nothing more is believed."""
    try:
        said = json.loads(lines.readline(_LONGEST_LINE))
    except (OSError, ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the worker's whole session; one that has ended leaves nothing that could still ask."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log(talk: _Talk, folder: Path, cases: Sequence[Case]) -> tuple[bytes | None, str]:
    """inspect-ai's log, and what is wrong with it: it has to say the same as what was answered here."""
    if talk.ended is None:
        return None, "inspect-ai did not say that it was done"
    if talk.ended.get("version") != VERSION:
        return None, f"this is inspect-ai {talk.ended.get('version')}, and {VERSION} was expected"
    found = sorted((folder / "log").glob("*.json"))
    if len(found) != 1:
        return None, f"inspect-ai left {len(found)} logs where one was expected"
    data = found[0].read_bytes()
    try:
        log = json.loads(data)
        status = log["status"]
        marks = {one["id"]: one["scores"]["maestro_score"]["value"] for one in log["samples"] if one.get("scores")}
        count = len(log["samples"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, "the log of inspect-ai is cut off or damaged"
    ours = {case: "C" if said[1].passed else "I" for case, said in talk.scores.items()}
    if status != "success" or count != len(cases):
        return data, f"the log of inspect-ai says '{status}' and has {count} of {len(cases)} cases"
    if marks != ours:
        return data, "the log of inspect-ai has other scores than the answers got"
    return data, ""


def _last_words(output: Path) -> str:
    lines = [line for line in output.read_text("utf-8", "replace")[-4000:].splitlines() if line.strip()]
    return f": {lines[-1].strip()[:300]}" if lines else ""
