"""Prompts in files: versioned, with variables that are checked, rendered in a sandbox.

``load_prompt`` finds and checks one, ``render`` fills it in; ``testing`` runs its tests, ``comparison`` says what
changed between two versions. ``builtin`` holds those Maestro comes with. Nothing here knows a model.
"""

from maestro.prompts.load import PromptErrors, load_file, load_prompt, prompt_files
from maestro.prompts.model import Prompt, Rendered
from maestro.prompts.rendering import RenderError, render

__all__ = [
    "Prompt",
    "PromptErrors",
    "RenderError",
    "Rendered",
    "load_file",
    "load_prompt",
    "prompt_files",
    "render",
]
