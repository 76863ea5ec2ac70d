"""Says how to get the libraries of the extra ``evidence``, before a missing one ends in a traceback."""

from __future__ import annotations

from importlib.util import find_spec

from maestro.errors import InputError

LIBRARIES = ("cyclonedx", "ijson", "jsonschema_rs", "license_expression", "packageurl", "packaging", "univers")


def check_libraries() -> None:
    """Look whether they are installed, without importing them.

    Raises:
        InputError: one is not.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"bills of materials need libraries that are not installed: {', '.join(missing)}",
            next_step="install them: pip install 'maestro-conductor[evidence]'",
        )
