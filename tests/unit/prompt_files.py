"""Prompts for tests: one file's text, loaded from a folder as a project's are."""

from __future__ import annotations

import textwrap
from pathlib import Path

from maestro.prompts import Prompt
from maestro.prompts.load import load_text

HEAD = "name: greet\nversion: 1.0.0\ndescription: Says hello.\n"


def prompt_text(template: str, variables: str = "", more: str = "") -> str:
    """A prompt whose one message is ``template``; ``variables`` are properties, one a line."""
    inner = textwrap.indent(textwrap.dedent(variables).strip(), "    ")
    schema = f"variables:\n  type: object\n  properties:\n{inner}\n" if inner.strip() else ""
    return f"{HEAD}{schema}messages:\n- role: user\n  content: |\n{textwrap.indent(template, '    ')}\n{more}"


def prompt_of(template: str, variables: str = "", more: str = "", folder: Path | None = None) -> Prompt:
    return loaded(prompt_text(template, variables, more), folder)


def loaded(text: str, folder: Path | None = None) -> Prompt:
    return load_text(text.encode(), file="prompts/greet.yaml", folder=folder or Path(), stem="greet")
