"""The trust root as a YAML file that people can read and review."""

from __future__ import annotations

import stat
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maestro.artifacts import durable
from maestro.errors import InputError, Location
from maestro.signing.errors import KeyUnusableError
from maestro.signing.origin import write_time
from maestro.signing.private_files import ensure_key_folder
from maestro.signing.statement import first_problem
from maestro.signing.trust import TrustedKey, TrustRoot

MAX_BYTES = 1024 * 1024
_MAX_KEYS = 1000
_HEADER = "# Whose signatures this project trusts. Change it with `maestro keys`; every change should be reviewed.\n"
# Everything is text to this loader, so no value turns into a number, a date or a boolean behind the model's back.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_TIMES = ("valid_from", "valid_until", "retired_at", "revoked_at")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_: Literal["1"] = Field(alias="schema")
    keys: list[TrustedKey] = Field(max_length=_MAX_KEYS)


def load(path: Path) -> TrustRoot:
    """The trust root in ``path``.

    Raises:
        KeyUnusableError: it cannot be read, others may write it, or it is no trust root.
    """
    place = Location(str(path))
    try:
        with path.open("rb") as file:
            status = path.stat()
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise KeyUnusableError(
            "there is no trust file, so no signature can be trusted",
            where=place,
            next_step="trust a key with `maestro keys import FILE`, or make one with `maestro keys rotate`",
        ) from None
    except OSError as error:
        raise KeyUnusableError(
            f"the trust file cannot be read: {error.strerror}", where=place, next_step="make it readable"
        ) from None
    if status.st_mode & stat.S_IWOTH:
        raise KeyUnusableError(
            "everybody on this machine may write the trust file",
            where=place,
            next_step=f"look whether its keys are yours, then: chmod o-w {path}",
        )
    return parse(data, file=str(path))


@lru_cache(maxsize=4)
def parse(data: bytes, *, file: str) -> TrustRoot:
    """The trust root in ``data``; ``file`` is its name in errors. Remembered, since every verification asks anew.

    Raises:
        KeyUnusableError: it is no trust root.
    """
    if len(data) > MAX_BYTES:
        raise _unusable(f"it is larger than {MAX_BYTES:,} bytes", file)
    try:
        _refuse_ambiguous(data, file)
        document = yaml.load(data, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise _unusable(f"it is not YAML: {error.problem}", file, line, column) from None
    except (yaml.YAMLError, UnicodeError, RecursionError):
        raise _unusable("it is not YAML", file) from None
    try:
        return TrustRoot(tuple(_File.model_validate(document).keys))
    except ValidationError as error:
        raise _unusable(first_problem(error), file) from None
    except InputError as error:
        raise _unusable(error.what, file) from None


def dump(trust: TrustRoot) -> bytes:
    """The trust root as YAML, for :func:`parse`; equal trust roots give equal bytes."""
    document = {"schema": 1, "keys": [_entry(one) for one in trust.keys]}
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return (_HEADER + text).encode("utf-8")


def save(trust: TrustRoot, path: Path) -> None:
    """Write ``trust`` to ``path``: whole, and durable, or not at all.

    Raises:
        KeyUnusableError: it cannot be written.
    """
    try:
        if not path.parent.is_dir():
            ensure_key_folder(path.parent)
        durable.replace(path, dump(trust), path.parent)
    except OSError as error:
        raise KeyUnusableError(
            f"the trust file cannot be written: {error.strerror}",
            where=Location(str(path)),
            next_step="make its folder writable for you",
        ) from None


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines, which are keys in PEM, as they are."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _entry(key: TrustedKey) -> dict[str, Any]:
    entry = {name: value for name, value in key.model_dump().items() if value is not None}
    return {name: write_time(value) if name in _TIMES else value for name, value in entry.items()}


def _refuse_ambiguous(data: bytes, file: str) -> None:
    """No aliases, which make much out of little, no tags, and no key twice, of which YAML readers take the last."""
    open_maps: list[tuple[set[str], bool] | None] = []
    for event in yaml.parse(data, Loader=_LOADER):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if isinstance(event, yaml.AliasEvent):
            raise _unusable("aliases are not allowed", file, *place)
        if isinstance(event, yaml.CollectionEndEvent):
            open_maps.pop()
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            if event.tag is not None:
                raise _unusable("tags are not allowed", file, *place)
            if open_maps and (above := open_maps[-1]) is not None:
                names, is_key = above
                if is_key and isinstance(event, yaml.ScalarEvent):
                    if event.value in names:
                        raise _unusable(f"{event.value[:60]!r} is there twice", file, *place)
                    names.add(event.value)
                open_maps[-1] = (names, not is_key)
            if isinstance(event, yaml.CollectionStartEvent):
                open_maps.append((set(), True) if isinstance(event, yaml.MappingStartEvent) else None)


def _unusable(reason: str, file: str, line: int = 0, column: int = 0) -> KeyUnusableError:
    return KeyUnusableError(
        f"this is no trust file: {reason}",
        where=Location(file, line, column),
        next_step="correct it, or fetch it again from whom you have it",
    )
