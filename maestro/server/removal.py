"""Removes rows nobody needs any more a page at a time, so that no other writer waits for long."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

ROWS = 200
"""Rows of one transaction; a few milliseconds with either database."""
_LEAST_PAUSE = 0.005


def always() -> bool:
    """Goes on until nothing is left."""
    return True


def page_by_page(
    engine: sa.Engine, remove: Callable[[sa.Connection], bool], go_on: Callable[[], bool] = always
) -> None:
    """Calls ``remove`` in a transaction of its own until it says that nothing is left.

    Between two of them it waits for as long as the one before took: SQLite gives the lock to whoever asks first, and
    who removes would always be first.

    Args:
        remove: removes some rows; False when there are no more.
        go_on: asked before each page; False leaves the rest for another time.
    """
    while go_on():
        begun = time.monotonic()
        with engine.begin() as connection:
            if not remove(connection):
                return
        time.sleep(max(_LEAST_PAUSE, time.monotonic() - begun))
