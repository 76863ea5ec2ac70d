"""Settings in YAML whose first mistake is told, with the place of what is no YAML."""

from __future__ import annotations

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
        InputError: it cannot be read, it is not YAML, or something in it is unknown or wrong.
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
        name = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{name}: {first['msg']}", where=place, next_step="correct the file") from None
