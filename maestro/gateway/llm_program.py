"""The OpenAI-compatible endpoint as a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from maestro.gateway.access_log import AccessLog
from maestro.gateway.llm_app import Opening, alone
from maestro.gateway.llm_tokens import TokenFile
from maestro.gateway.program import listen, log_to_stderr, run, shown


def serve(
    tokens: TokenFile, open_gateway: Opening, *, host: str, port: int, ready: Callable[[str], None] = lambda _url: None
) -> None:
    """Answers until SIGTERM or SIGINT; what was spent is in the ledger when this returns.

    Args:
        port: 0: any that is free.
        ready: told where it listens.

    Raises:
        InputError: the address cannot be had.
    """
    log_to_stderr()
    log = AccessLog()
    listener = listen(host, port)
    with contextlib.closing(listener):
        listener.listen()
        ready(shown(listener, None))
        run(alone(tokens, open_gateway, log.add), listener)
    log.flush()
