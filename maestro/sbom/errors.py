"""What goes wrong with bills of materials."""

from __future__ import annotations

from maestro.errors import InputError


class SbomError(InputError):
    """A bill of materials cannot be read, or what was made is none."""
