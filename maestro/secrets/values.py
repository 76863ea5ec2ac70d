"""Values of secrets in memory, made so that they do not slip out by accident."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn, SupportsIndex

MINIMUM_LENGTH = 4
"""Characters; masking anything shorter would black out ordinary text."""


class SecretValues(Mapping[str, str]):
    """Secret name -> value. Printing shows the names only; pickling and copying are refused."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"SecretValues({', '.join(sorted(self._values))})"

    def __format__(self, specification: str) -> str:
        return format(repr(self), specification)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("values of secrets are not pickled; read them again where they are needed")
