"""A prompt with its variables filled in: checked, in the sandbox, within limits, with what is personal in it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from jinja2.exceptions import SecurityError

from maestro.errors import InputError, Location
from maestro.prompts.load import template_place
from maestro.prompts.meter import Meter
from maestro.prompts.model import Prompt, Rendered
from maestro.prompts.personal import marked
from maestro.prompts.templates import TemplateFault, rendered
from maestro.prompts.variables import completed, value_faults

SECONDS = 5.0
"""Longest rendering."""
BYTES_PER_TOKEN = 4
"""For estimates: what a token of English or code has on average."""

__all__ = ["RenderError", "Rendered", "estimated_tokens", "render"]


class RenderError(InputError):
    """A prompt cannot be rendered with these variables.

    Args:
        problems: one sentence each.
    """

    def __init__(self, prompt: Prompt, problems: list[str], where: Location, next_step: str) -> None:
        self.problems = tuple(problems)
        words = problems[0] if len(problems) == 1 else "\n  ".join(["", *problems])
        super().__init__(f"the prompt '{prompt.name}' cannot be rendered: {words}", where=where, next_step=next_step)


def estimated_tokens(messages: Any) -> int:
    """How many tokens ``messages`` have, roughly: a quarter of their UTF-8 bytes."""
    size = sum(len(one["content"].encode("utf-8", "surrogatepass")) + 8 for one in messages)
    return math.ceil(size / BYTES_PER_TOKEN)


def render(prompt: Prompt, variables: Mapping[str, Any], *, seconds: float = SECONDS) -> Rendered:
    """The messages of ``prompt`` with ``variables``.

    Args:
        seconds: longest time it may take.

    Raises:
        RenderError: a variable is missing, unknown or wrong (all of them at once); the template has no value for
            a name, does too much or takes too long; the messages are longer than the prompt's limit.
    """
    schema = prompt.variables
    wrong = value_faults(schema, variables)
    if wrong:
        place = Location(prompt.file, *_line(prompt, ("variables",)))
        raise RenderError(prompt, wrong, place, "see the variables there, and correct what is given")
    values, personal = marked(schema, completed(schema, variables))
    meter = Meter(time.monotonic() + seconds, personal=personal)
    messages: list[dict[str, str]] = []
    for index, message in enumerate(prompt.messages):
        try:
            messages.append({"role": message.role, "content": rendered(message.source, values, meter)})
        except TemplateFault as fault:
            place = template_place(prompt.document, index, fault)
            raise RenderError(prompt, [fault.what], place, "correct the template or the variables") from None
    tokens = estimated_tokens(messages)
    if prompt.max_input_tokens is not None and tokens > prompt.max_input_tokens:
        place = Location(prompt.file, *_line(prompt, ("limits", "max_input_tokens")))
        what = f"the messages have about {tokens:,} tokens; at most {prompt.max_input_tokens:,} are allowed"
        raise RenderError(prompt, [what], place, "give it less, or raise the limit")
    whole = "\0".join(one["content"] for one in messages)
    known = sorted(meter.personal, key=lambda one: (-len(one), one))
    try:
        written = [one for one, found in zip(known, meter.found(known, whole), strict=True) if found]
    except SecurityError as error:
        place = Location(prompt.file, *_line(prompt, ("variables",)))
        raise RenderError(prompt, [str(error)], place, "give it less personal data") from None
    return Rendered(
        name=prompt.name,
        version=prompt.version,
        digest=prompt.digest,
        messages=tuple(messages),
        personal=tuple(written),
        needs=prompt.requires,
        policy=prompt.policy,
        max_input_tokens=prompt.max_input_tokens,
        max_output_tokens=prompt.max_output_tokens,
        temperature=prompt.temperature,
    )


def _line(prompt: Prompt, path: tuple[str, ...]) -> tuple[int, int]:
    place = prompt.document.location(path, key=True)
    return place.line, place.column
