"""A profile: a folder with Maestro's settings and Dagster's ``dagster.yaml``; code never asks which one it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maestro.errors import InputError, Location
from maestro.evidence.config import EvidenceConfig, PolicyConfig

_HERE = Path(__file__).resolve().parent
# In a checkout profiles stand under deploy/; in an installed wheel they are data of this package.
FOLDERS = (_HERE.parent / "deploy" / "profiles", _HERE / "profiles")
_VARIABLE = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<optional>\??)")


class Settings(BaseModel):
    """Maestro's own settings.

    Args:
        executor: ``maestro``, or one of Dagster's own.
        max_concurrent: steps of a run at once; None: twice the processors, at least 4.
        artifacts: URL of the artifact store; None: a folder under the project's state folder.
        evidence: how evidence is signed and kept.
        policy: how policy is evaluated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: Literal["maestro", "multiprocess", "in_process"] = "maestro"
    max_concurrent: int | None = Field(None, ge=1, le=1024)
    artifacts: str | None = None
    evidence: EvidenceConfig = EvidenceConfig()
    policy: PolicyConfig = PolicyConfig()


@dataclass(frozen=True, slots=True)
class Profile:
    """A named size of installation.

    Args:
        folder: where its two files are.
    """

    name: str
    folder: Path
    settings: Settings

    @property
    def dagster_yaml(self) -> Path:
        """Dagster's instance configuration."""
        return self.folder / "dagster.yaml"


def load_profile(name: str | None = None, environ: Mapping[str, str] | None = None) -> Profile:
    """The profile called ``name``, or the folder of that path.

    Args:
        name: None: what ``MAESTRO_PROFILE`` says, else ``default``.
        environ: the process's environment when None.

    Raises:
        InputError: there is none, or its settings are wrong.
    """
    environ = os.environ if environ is None else environ
    name = name or environ.get("MAESTRO_PROFILE") or "default"
    candidates = [Path(name)] if "/" in name else [base / name for base in FOLDERS]
    folder = next((one for one in candidates if (one / "dagster.yaml").is_file()), None)
    if folder is None:
        known = sorted({one.name for base in FOLDERS if base.is_dir() for one in base.iterdir()})
        raise InputError(
            f"there is no profile '{name}'",
            next_step=f"choose one of {', '.join(known)}, or give a folder with a dagster.yaml",
        )
    return Profile(folder.name, folder.resolve(), _settings(folder / "settings.yaml", environ))


def _settings(file: Path, environ: Mapping[str, str]) -> Settings:
    if not file.is_file():
        return Settings()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        return Settings.model_validate(_filled(content, file, environ))
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}", where=Location(str(file)), next_step="correct the file") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place}: {first['msg']}", where=Location(str(file)), next_step="correct the file") from error


def _filled(content: Any, file: Path, environ: Mapping[str, str], name: str = "") -> Any:
    """``content`` with variables in place of ``env:NAME``, and of ``env:NAME?``, which is null when it is not set."""
    if isinstance(content, dict):
        return {key: _filled(value, file, environ, f"{name}.{key}".lstrip(".")) for key, value in content.items()}
    variable = _VARIABLE.fullmatch(content) if isinstance(content, str) else None
    if variable is None:
        return content
    value = environ.get(variable["name"])
    if value or variable["optional"]:
        return value or None
    raise InputError(
        f"{name} comes from the variable {variable['name']}, which is not set",
        where=Location(str(file)),
        next_step=f"export {variable['name']}=…, or choose another profile",
    )
