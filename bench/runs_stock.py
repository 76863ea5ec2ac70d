"""The peer of ``bench runs``: the same waiting step as a plain Dagster asset, by Dagster's own launcher and executor."""

from __future__ import annotations


def stock_mb_per_run(count: int) -> float:
    """Memory of ``count`` runs at once, divided; without that of Dagster's code server, which is there anyway."""
    raise NotImplementedError
