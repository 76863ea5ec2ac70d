"""Finds step kinds by entry point ``maestro.steps``; a kind is loaded when it is first named."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from maestro.errors import MaestroError, missing_library
from maestro.steps.kind import StepKind

GROUP = "maestro.steps"


class Registry:
    """Step kinds by name.

    Args:
        kinds: kinds given directly, in place of those installed.
    """

    def __init__(self, kinds: Iterable[StepKind[Any]] | None = None) -> None:
        self._given = None if kinds is None else {kind.name: kind for kind in kinds}
        self._loaded: dict[str, StepKind[Any]] = dict(self._given or {})

    @cached_property
    def _entry_points(self) -> Mapping[str, EntryPoint]:
        if self._given is not None:
            return {}
        return {point.name: point for point in entry_points(group=GROUP)}

    @property
    def names(self) -> list[str]:
        """Names of all kinds, sorted; loads none of them."""
        return sorted({*self._loaded, *self._entry_points})

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self._entry_points

    def get(self, name: str) -> StepKind[Any]:
        """The kind called ``name``.

        Raises:
            KeyError: no such kind.
            MaestroError: the package that promises it cannot be loaded.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(self._entry_points[name])
        return self._loaded[name]

    def nearest(self, name: str) -> str | None:
        """The known name most like ``name``, if any is like it."""
        close = difflib.get_close_matches(name, self.names, n=1, cutoff=0.6)
        return close[0] if close else None

    @staticmethod
    def _load(point: EntryPoint) -> StepKind[Any]:
        package = point.dist.name if point.dist else point.value
        try:
            kind = point.load()
        except Exception as error:
            missing = missing_library(error, f"step kind '{point.name}'")
            if missing is not None:
                raise missing from error
            raise MaestroError(
                f"step kind '{point.name}' of package '{package}' cannot be loaded: {type(error).__name__}: {error}",
                next_step=f"repair or uninstall '{package}'",
            ) from error
        if not isinstance(kind, StepKind) or kind.name != point.name:
            raise MaestroError(
                f"entry point '{point.name}' of package '{package}' does not hold a step kind of that name",
                next_step=f"make {point.value} a maestro.steps.StepKind named '{point.name}'",
            )
        return kind
