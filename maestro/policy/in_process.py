"""Rego in this process, by regorus.

An evaluation cannot be stopped from outside: regorus has no limit that its Python binding offers, and holds the
interpreter's lock while it works. So this is for policies that are known to be sound, Maestro's own; an answer that
comes too late is no answer. For all others there is :mod:`maestro.policy.confined`.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from maestro.policy.engine import TIMEOUT, overdue, undefined
from maestro.policy.errors import PolicyEngineError
from maestro.policy.syntax import syntax_error

if TYPE_CHECKING:
    from maestro.policy.bundle import Bundle

MAX_INPUT_BYTES = 64 * 1024 * 1024

# Outlives every InProcessEngine: were it a part of one, what other threads have in it would go in whichever thread
# lets go of that one last, and regorus complains on stderr when it is dropped in another thread than its own.
_OF_THIS_THREAD = threading.local()
_numbers = itertools.count()


class InProcessEngine:
    """regorus in this process; an engine of its own for each thread, since they are bound to one.

    Args:
        timeout: seconds.
    """

    def __init__(self, bundle: Bundle, *, timeout: float = TIMEOUT) -> None:
        self.bundle = bundle
        self._timeout = timeout
        self._number = next(_numbers)

    @property
    def name(self) -> str:
        """``regorus <version>``."""
        return f"regorus {regorus_version()}"

    def evaluate(self, policy: str, input_json: str) -> Any:
        """See :class:`maestro.policy.engine.PolicyEngine`."""
        began = time.monotonic()
        value = evaluate(self._engine(), policy, input_json)
        if time.monotonic() - began > self._timeout:
            raise overdue(self._timeout)
        return value

    def close(self) -> None:
        """Lets go of this thread's engine; those of other threads go with their threads."""
        _OF_THIS_THREAD.__dict__.pop(self._name_here, None)

    @property
    def _name_here(self) -> str:
        return f"engine_{self._number}"

    def _engine(self) -> Any:
        engine = getattr(_OF_THIS_THREAD, self._name_here, None)
        if engine is None:
            engine = make_engine(
                {name: data.decode() for name, data in self.bundle.files.items() if name.endswith(".rego")},
                json.dumps(dict(self.bundle.data)),
            )
            setattr(_OF_THIS_THREAD, self._name_here, engine)
        return engine


@cache
def regorus_version() -> str:
    """Of regorus, as it is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("celine-regorus")
    except PackageNotFoundError:
        return "unknown"


def make_engine(policies: dict[str, str], data_json: str) -> Any:
    """A regorus engine with these policies and data."""
    import regorus

    engine = regorus.Engine()
    for name, text in policies.items():
        engine.add_policy(name, text)
    engine.add_data_json(data_json)
    # What a policy prints is for its author, not for the log of a gate.
    engine.set_gather_prints(True)
    return engine


def evaluate(engine: Any, policy: str, input_json: str) -> Any:
    """The value of ``data.maestro.<policy>``.

    Raises:
        PolicyEngineError: in every other case.
    """
    if len(input_json) > MAX_INPUT_BYTES:
        raise PolicyEngineError(
            f"the input has {len(input_json):,} characters; at most {MAX_INPUT_BYTES:,} are judged",
            next_step="judge fewer subjects in one gate",
        )
    try:
        engine.set_input_json(input_json)
        # A query, since asking for a rule that is not there by its name is an error of another kind than no value.
        answer = json.loads(engine.eval_query_as_json(f"data.maestro.{policy}"))
        engine.take_prints()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        told = syntax_error(error)
        place = f"{told.where}: " if told.where else ""
        raise PolicyEngineError(f"the policy failed: {place}{told.what}", next_step="correct the policy") from None
    results = answer.get("result") or []
    value = results[0]["expressions"][0]["value"] if len(results) == 1 else "<undefined>"
    if value == "<undefined>":
        raise undefined(policy)
    return value
