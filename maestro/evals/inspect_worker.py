"""Runs one evaluation with inspect-ai, in a process of its own that has no key, no budget and no network of ours.

Self-contained: it may be run by another interpreter, which has inspect-ai and not Maestro. It is told what to do, has
every question answered and every answer scored, through one Unix socket; each message is a line of JSON.

::

    it gets   {"task": {"name", "model", "cases": [{"id", "messages": [{"role", "content"}]}], "at_once", "log_dir"}}
    it sends  {"number": 1, "ask": "<case>"}
    it gets   {"number": 1, "text", "input", "output"} or {"number": 1, "error"}
    it sends  {"number": 2, "score": "<case>", "text": "…"}
    it gets   {"number": 2, "score": {"passed", …}} or {"number": 2, "error"}
    it sends  {"ended": "success", "log": "<file>", "version": "0.3.285"}
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import os
import socket
import sys
import threading
from concurrent.futures import Future
from itertools import count
from typing import Any

GONE = 3
"""Exit code when the other end of the socket is gone."""
MISSING = 4
"""Exit code when inspect-ai is not installed."""


class Line:
    """Questions and answers over one socket; many may be open at once."""

    def __init__(self, place: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(place)
        self._file = self._socket.makefile("rb")
        self._sending = threading.Lock()
        self._numbers = count(1)
        self._open: dict[int, Future[dict[str, Any]]] = {}
        self.task = json.loads(self._file.readline())["task"]
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """Sends a message."""
        with self._sending:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    async def question(self, message: dict[str, Any]) -> dict[str, Any]:
        """Sends a message and waits for what it is answered.

        Raises:
            RuntimeError: the answer is an error.
        """
        number = next(self._numbers)
        future: Future[dict[str, Any]] = Future()
        self._open[number] = future
        self.send({"number": number, **message})
        reply = await asyncio.wrap_future(future)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply

    def _read(self) -> None:
        for line in self._file:
            reply = json.loads(line)
            self._open.pop(reply["number"]).set_result(reply)
        # Whoever pays is gone: nothing can be asked any more.
        os._exit(GONE)


def main(place: str) -> int:
    """Carries out what the socket at ``place`` says."""
    try:
        inspect_ai = importlib.import_module("inspect_ai")
    except ModuleNotFoundError as error:
        print(f"there is no '{error.name}' in {sys.executable}", file=sys.stderr)
        return MISSING
    line = Line(place)
    logs = inspect_ai.eval(
        _task(line),
        model=_model(line),
        display="none",
        log_dir=line.task["log_dir"],
        log_format="json",
        log_realtime=False,
        fail_on_error=False,
        ctl_server=False,
        max_samples=line.task["at_once"],
        max_connections=line.task["at_once"],
        max_retries=0,
    )
    line.send({"ended": logs[0].status, "log": logs[0].location, "version": inspect_ai.__version__})
    return 0


_case: contextvars.ContextVar[str] = contextvars.ContextVar("case")


def _task(line: Line) -> Any:
    dataset, model, scoring, solving = (
        importlib.import_module(f"inspect_ai.{name}") for name in ("dataset", "model", "scorer", "solver")
    )
    roles = {"system": model.ChatMessageSystem, "user": model.ChatMessageUser}

    def put_question() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            _case.set(str(state.sample_id))
            return await generate(state)

        return solve

    def maestro_score() -> Any:
        async def score(state: Any, target: Any) -> Any:
            reply = await line.question({"score": str(state.sample_id), "text": state.output.completion})
            said = reply["score"]
            value = "C" if said["passed"] else "I"
            return scoring.Score(value=value, answer=state.output.completion, metadata=said)

        return score

    samples = [
        dataset.Sample(id=case["id"], input=[roles[one["role"]](content=one["content"]) for one in case["messages"]])
        for case in line.task["cases"]
    ]
    return importlib.import_module("inspect_ai").Task(
        dataset=dataset.MemoryDataset(samples, name=line.task["name"]),
        solver=solving.solver(put_question)(),
        scorer=scoring.scorer(metrics=[scoring.accuracy(), scoring.stderr()])(maestro_score)(),
        name=line.task["name"],
    )


def _model(line: Line) -> Any:
    model = importlib.import_module("inspect_ai.model")

    async def generate(self: Any, input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
        reply = await line.question({"ask": _case.get()})
        output = model.ModelOutput.from_content(model=self.model_name, content=reply["text"])
        total = reply["input"] + reply["output"]
        used = model.ModelUsage(input_tokens=reply["input"], output_tokens=reply["output"], total_tokens=total)
        return output.model_copy(update={"usage": used})

    # Made by a call, as its base is only known where inspect-ai is installed.
    gateway = type("Gateway", (model.ModelAPI,), {"generate": generate, "__doc__": "Has Maestro's gateway answer."})
    model.modelapi(name="maestro")(gateway)
    config = model.GenerateConfig(temperature=0.0)
    return model.get_model(f"maestro/{line.task['model']}", config=config, memoize=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
