"""Keys of providers, by reference: ``env:NAME`` or ``file:/path``. A value goes to its provider, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from maestro.errors import InputError
from maestro.secrets import Masker, SecretReader, SecretSource

FRESH_SECONDS = 5.0
"""A key that was exchanged in its file is used after so long."""


class Keyring:
    """Looks keys up again when some seconds have passed; never shows one.

    Args:
        references: those of the catalogue.
        environ: where ``env:`` looks.
        root: where a relative ``file:`` begins.
    """

    def __init__(self, references: Iterable[str], environ: Mapping[str, str], root: Path = Path("/")) -> None:
        self._sources = {reference: _source(reference) for reference in references}
        self._reader = SecretReader(root, environ, self._sources)
        self._values: dict[str, str] = {}
        self._unusable: dict[str, str] = {}
        self._read_at: float | None = None
        self._masker = Masker(())

    def __repr__(self) -> str:
        return f"Keyring({len(self._sources)} references)"

    @property
    def present(self) -> frozenset[str]:
        """References that lead to a key."""
        self._look()
        return frozenset(self._values)

    @property
    def unusable(self) -> Mapping[str, str]:
        """References to something that cannot be a key -> why: too short, open to others; never with the value."""
        self._look()
        return self._unusable

    @property
    def masker(self) -> Masker:
        """Masks every key."""
        self._look()
        return self._masker

    def value(self, reference: str | None) -> str | None:
        """The key; None where none is needed.

        Raises:
            InputError: there is none; says where it was looked for.
        """
        if reference is None:
            return None
        self._look()
        if reference not in self._values:
            # Says why, in the words of the reader.
            return self._reader.read([reference])[reference]
        return self._values[reference]

    def _look(self) -> None:
        now = time.monotonic()
        if self._read_at is not None and now - self._read_at < FRESH_SECONDS:
            return
        self._read_at = now
        values: dict[str, str] = {}
        unusable: dict[str, str] = {}
        for reference in self._sources:
            try:
                values[reference] = self._reader.read([reference])[reference]
            except InputError:
                if reason := self._reader.unusable(reference):
                    unusable[reference] = reason
        self._unusable = unusable
        if values != self._values:
            self._values = values
            self._masker = Masker(values.values())


def _source(reference: str) -> SecretSource:
    kind, _, place = reference.partition(":")
    if kind == "file":
        return SecretSource("file", path=place)
    return SecretSource("env", variable=place if kind == "env" else reference)
