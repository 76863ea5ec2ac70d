"""Imports what ``maestro run`` and ``maestro retry`` import sooner or later; preloaded by ``forked_maestro``."""

from __future__ import annotations

import importlib

from maestro_defs.warm.preload import ALWAYS, check_single

for _name in (
    *ALWAYS,
    "maestro.cli.main",
    "maestro.cli.local_run",
    "maestro.cli.resuming",
    "maestro.cli.retry",
    "maestro.cli.run",
    "maestro_defs.local",
    "maestro_defs.local_runs",
):
    importlib.import_module(_name)
check_single()
