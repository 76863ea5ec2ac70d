"""A prompt: what is asked of a model, with variables; and what it becomes when they are filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maestro.notation.document import Document
    from maestro.prompts.shape import TestFile


@dataclass(frozen=True, slots=True)
class Template:
    """One message of a prompt.

    Args:
        role: ``system``, ``user`` or ``assistant``.
        source: Jinja2, as it stands in the file.
    """

    role: str
    source: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that passed every check.

    Args:
        name, version: together they name it to people.
        digest: ``sha256:…`` over the canonical JSON (RFC 8785) of all that decides what a model is asked.
        variables: a JSON Schema (2020-12) of an object.
        requires: capabilities a model must have.
        policy: facts the policy for models is given.
        max_input_tokens, max_output_tokens, temperature: None: whatever the caller says.
        document: its file, for places.
        folder: where the file is; its samples and snapshots lie beside it.
    """

    name: str
    version: str
    digest: str
    description: str
    variables: Mapping[str, Any]
    messages: tuple[Template, ...]
    requires: frozenset[str]
    policy: Mapping[str, Any]
    max_input_tokens: int | None
    max_output_tokens: int | None
    temperature: float | None
    tests: tuple[TestFile, ...] = field(repr=False)
    document: Document = field(repr=False, compare=False)
    folder: Path = field(compare=False)

    @property
    def file(self) -> str:
        """The file's name, as errors show it."""
        return self.document.file

    @property
    def variable_names(self) -> tuple[str, ...]:
        """The variables, in the order of the file."""
        return tuple(self.variables.get("properties", {}))


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt with its variables filled in.

    Args:
        messages: ``{"role": …, "content": …}``, in order.
        personal: texts in the messages that are marked as personal data, the longest first.
        needs: capabilities a model must have.
        policy: facts for the policy for models.
    """

    name: str
    version: str
    digest: str
    messages: tuple[Mapping[str, str], ...]
    personal: tuple[str, ...] = field(default=(), repr=False)
    needs: frozenset[str] = frozenset()
    policy: Mapping[str, Any] = field(default_factory=dict)
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
