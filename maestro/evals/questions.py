"""How a case is put to a model: the prompt of the evaluation, which is a part of what is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import rfc8785

from maestro.evals.cases import Case
from maestro.llm.model import Message, PromptRef

_SYSTEM = (
    "You review changes to source code. You report defects that the change brings in: errors of logic, leaks, races, "
    "security holes, wrong handling of errors, times, money or data. You do not report style, naming, missing tests "
    "or missing documentation. Many changes have no defect; then you report none."
)
_USER = """Review this change.

Answer with a JSON array and nothing else. Each element is one defect, the most certain first:
{{"file": "<path as in the diff, without b/>", "line": <its line in the file after the change>,
  "kind": "<a word or two>", "severity": "low|medium|high|critical", "message": "<one sentence>"}}
When there is no defect, answer [].

```diff
{diff}```
"""


@dataclass(frozen=True, slots=True)
class Questions:
    """A prompt for the cases of a data set.

    Args:
        name: for reports, with its version after a space.
        digest: ``sha256:…``: equal for prompts that ask the same.
        messages: what a model is sent for a case.
        max_output_tokens: of an answer.
    """

    name: str
    digest: str
    messages: Callable[[Case], tuple[Message, ...]]
    max_output_tokens: int = 1024

    @property
    def prompt(self) -> PromptRef:
        """What decisions keep of it, and the policy for models is told."""
        name, _, version = self.name.partition(" ")
        return PromptRef(name, version, self.digest)


def code_review() -> Questions:
    """The prompt for code review: the diff, and an answer that can be scored."""

    def messages(case: Case) -> tuple[Message, ...]:
        return (Message("system", _SYSTEM), Message("user", _USER.format(diff=case.diff)))

    digest = hashlib.sha256(rfc8785.dumps([_SYSTEM, _USER])).hexdigest()
    return Questions("evals.code_review 1", f"sha256:{digest}", messages)
