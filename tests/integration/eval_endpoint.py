"""An endpoint of OpenAI's format whose models answer the cases by a script that tests may change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from maestro.evals.cases import Case
from tests.loopback import Handler, serving
from tests.unit.eval_models import builtin, right


class EvalEndpoint:
    """What the models say, and what they were asked."""

    def __init__(self) -> None:
        self.scripts: dict[str, Callable[[Case], str]] = {}
        self.asked: list[str] = []
        self.url = ""
        self._cases = {case.diff: case for case in builtin().cases}
        self._lock = threading.Lock()

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        model, text = body["model"], body["messages"][-1]["content"]
        case = next(case for diff, case in self._cases.items() if diff in text)
        with self._lock:
            self.asked.append(model)
        said = self.scripts.get(model, right)(case)
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 500, "completion_tokens": 50, "total_tokens": 550},
        }

    def models_yaml(self, *names: str) -> str:
        """A catalogue with these models behind this endpoint, at 1 and 2 dollars a million tokens."""
        entries = "".join(
            f"  {name}:\n    provider: scripted\n    capabilities: [chat, code]\n"
            "    price: { input: 1, output: 2 }\n    context: 100000\n    max_output: 4096\n"
            for name in names
        )
        provider = f"  scripted:\n    kind: openai\n    api_base: {self.url}/v1\n    region: local\n"
        return f"providers:\n{provider}models:\n{entries}"


@contextmanager
def eval_endpoint() -> Iterator[EvalEndpoint]:
    """Starts it; stops it at the end."""
    endpoint = EvalEndpoint()

    class Answering(Handler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = json.dumps(endpoint.answer(json.loads(self.body()))).encode()
            self.reply(200, data, {"Content-Type": "application/json"})

    with serving(Answering) as endpoint.url:
        yield endpoint
