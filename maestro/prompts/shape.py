"""The shape of a prompt's file; editors/prompts.schema.json is made from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from maestro.notation.words import Terms

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"
VERSION_PATTERN = r"^[0-9]+(\.[0-9]+){0,2}(-[0-9A-Za-z.-]+)?$"
CAPABILITY_PATTERN = r"^[a-z][a-z0-9_.-]{0,62}$"
VARIABLE_PATTERN = r"^[a-z_][a-z0-9_]{0,62}$"
TERMS = Terms(
    {
        NAME_PATTERN: "a name (small letters, digits, '-' and '_', a letter first, at most 63)",
        VERSION_PATTERN: "a version like 1, 1.2 or 1.2.3",
        CAPABILITY_PATTERN: "a capability (small letters, digits, '-', '_' and '.')",
        VARIABLE_PATTERN: "a variable name (small letters, digits and '_')",
    },
    {"messages": "a message", "tests": "a test", "answers": "an answer"},
)
Text = Annotated[str, StringConstraints(min_length=1)]
Capability = Annotated[str, StringConstraints(pattern=CAPABILITY_PATTERN)]
VariableName = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class MessageFile(_Part):
    """One message."""

    role: Literal["system", "user", "assistant"] = Field(description="Who says it.")
    content: Text = Field(description="Jinja2; the names it uses are those of 'variables'.")


class LimitsFile(_Part):
    """What an answer may take."""

    max_input_tokens: int | None = Field(
        None, ge=1, le=10_000_000, description="Longer messages are refused before anything is asked (estimated)."
    )
    max_output_tokens: int | None = Field(None, ge=1, le=1_000_000, description="Longest answer, and so its cost.")
    temperature: float | None = Field(None, ge=0, le=2, description="0 gives the likeliest answer.")


class Expectation(_Part):
    """What a text must be like; all of it must hold."""

    contains: list[Text] = Field(default_factory=list, description="Texts that are in it.")
    not_contains: list[Text] = Field(default_factory=list, description="Texts that are not in it.")
    regex: list[Text] = Field(
        default_factory=list, description="Regular expressions found in it (Rust's syntax, linear time)."
    )
    json_schema: dict[str, Any] | None = Field(None, description="It is JSON, and valid against this JSON Schema.")


class AnswerFile(_Part):
    """An answer a model gave once, and what is to be expected of such an answer."""

    text: Text | None = Field(None, description="The answer.")
    file: Text | None = Field(None, description="File with the answer, beside the prompt.")
    expect: Expectation = Field(description="What holds of it.")
    refused: bool = Field(False, description="It is a bad answer: the expectation must fail.")


class TestFile(_Part):
    """One test: the prompt rendered, compared with its snapshot."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(description="A sentence.")
    variables: dict[str, Any] = Field(default_factory=dict, description="Values of the variables.")
    files: dict[VariableName, Text] = Field(
        default_factory=dict, description="Variable to a file beside the prompt, whose text is its value."
    )
    expect: Expectation | None = Field(None, description="What holds of the rendered messages.")
    refused: Text | None = Field(None, description="The prompt refuses these variables, with these words in the error.")
    answers: list[AnswerFile] = Field(default_factory=list, description="Recorded answers, and what holds of them.")


class PromptFile(_Part):
    """A file ``prompts/<name>.yaml``."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] = Field(description="As the file is called.")
    version: Annotated[str, StringConstraints(pattern=VERSION_PATTERN)] = Field(
        description="A new one for each change of what is asked."
    )
    description: Text = Field(description="What it is for, in one sentence.")
    variables: dict[str, Any] = Field(
        default_factory=dict,
        description="JSON Schema (2020-12) of an object; 'x-personal: true' marks personal data.",
    )
    messages: Annotated[list[MessageFile], Field(min_length=1, max_length=50)] = Field(description="What is asked.")
    limits: LimitsFile = Field(default_factory=lambda: LimitsFile(), description="What an answer may take.")
    requires: list[Capability] = Field(default_factory=list, description="Capabilities a model must have.")
    policy: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Facts the policy for models is given."
    )
    tests: list[TestFile] = Field(default_factory=list, description="Run by `maestro prompts test`.")
