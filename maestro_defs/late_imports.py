"""What a run imports only once it needs it: imported before, in a process that workers are forked from.

tests/integration/test_late_imports.py rehearses a run and names what is missing here.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable

OF_A_RUN = (
    "assets.shell",
    "dagster._core.definitions.external_asset",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.instance.factory",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.migration.utils",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.system_config.composite_descent",
    "dagster._core.types.primitive_mapping",
    "dagster._core.types.transform_typing",
    "encodings.ascii",
    "encodings.utf_8_sig",
    "fsspec.implementations.local",
    "importlib.readers",
    "jinja2.sandbox",
    "maestro.artifacts.durable",
    "maestro.artifacts.objects",
    "maestro.execution.budgets",
    "maestro.execution.quotas",
    "maestro.notation.environment",
    "maestro.workflow.check",
    "maestro.workflow.repair",
    "maestro.workflow.sandbox",
    "maestro_defs.admissions",
    "maestro_defs.coordinator",
    "maestro_defs.queue_facts",
    "maestro_defs.waits",
    "obstore.store",
    "upath.implementations.local",
)
"""A run of a server, from its making to its end; what these import is not named."""


def import_all(names: Iterable[str]) -> None:
    """Imports the modules that are not there yet; one that cannot be imported alone is left out.

    Modules written in C that belong to others of Python's own (``_asyncio``) are left to these: in a process that has
    imported ``_asyncio`` before ``asyncio``, asyncio takes no task for one of its own (seen with CPython 3.11).
    """
    for name in names:
        if name not in sys.modules and not name.startswith("_"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
