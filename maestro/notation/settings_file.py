"""Settings in YAML whose first mistake is told, with its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from maestro.errors import InputError, Location

M = TypeVar("M", bound=BaseModel)


def read_settings_file(file: Path, model: type[M], what: str) -> M:
    """What ``file`` says, as ``model``; the model's defaults when there is no file, or nothing in it.

    Args:
        what: it holds, in the plural, as people call it.

    Raises:
        InputError: it cannot be read, it is not YAML, or something in it is unknown or wrong; with its place.
    """
    place = Location(str(file))
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return model.model_validate({} if content is None else content)
    except FileNotFoundError:
        return model()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} cannot be read", where=place, next_step="check the file") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        if mark is not None:
            place = Location(str(file), mark.line + 1, mark.column + 1)
        problem = getattr(error, "problem", None) or "not YAML"
        raise InputError(f"not YAML: {problem}", where=place, next_step="correct the file") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = first["loc"]
        name = ".".join(str(part) for part in path) or "the file"
        place = place_in(file, path, key=first["type"] == "extra_forbidden")
        raise InputError(f"{name}: {first['msg']}", where=place, next_step="correct the file") from None


def place_in(file: Path, path: Sequence[str | int], *, key: bool = False) -> Location:
    """Where the value at ``path`` stands, or its key; of what is not there, where what should have it stands.

    The file alone where it cannot be read any more.
    """
    try:
        node: Any = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return Location(str(file))
    if node is None:
        return Location(str(file))
    name = node
    for depth, part in enumerate(path):
        found = _child(node, part)
        if found is None:
            # A missing part of a mapping is shown at the mapping's key, where it has one.
            node = name if depth else node
            break
        name, node = found
    mark = (name if key else node).start_mark
    return Location(str(file), mark.line + 1, mark.column + 1)


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    """The key's node and the value's."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in reversed(node.value) if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        return node.value[part], node.value[part]
    return None
