"""How a program that has imported Dagster ends: at once."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Ends the process with ``code``; whoever calls has closed what it had.

    Python would take Dagster apart, module by module, for a second.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # The reader is gone; nobody to tell.
    os._exit(code)
