"""What is wrong with steps, told all at once, and each mistake with the step it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from maestro.errors import InputError
from maestro.notation.problems import MAX_SHOWN, FileErrors
from maestro.workflow.graph import Node
from maestro.workflow.load import LoadedWorkflow


class PlanErrors(InputError):  # noqa: N818 - it is all of the plan's errors
    """Several steps cannot be planned.

    Args:
        errors: at least one, in the order of the steps.
    """

    def __init__(self, errors: Sequence[InputError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
        super().__init__(f"{first.what}{more}", where=first.where, next_step=first.next_step)

    def __str__(self) -> str:
        shown = [str(error) for error in self.errors[:MAX_SHOWN]]
        if len(self.errors) > MAX_SHOWN:
            shown.append(f"… and {len(self.errors) - MAX_SHOWN} more mistakes")
        return "\n".join(shown)


def together(errors: Iterable[InputError]) -> InputError:
    """One error for all of them: the error itself where there is but one; equal ones count once."""
    found = list({str(error): error for error in errors}.values())
    return found[0] if len(found) == 1 else PlanErrors(found)


@contextmanager
def of_step(loaded: LoadedWorkflow, node: Node) -> Iterator[None]:
    """Has an error say which step it is of: the step's place where it has none, else the step's name before its own.

    What is wrong with another file in itself, whoever uses it, stays as it is.
    """
    try:
        yield
    except InputError as error:
        if error.where is None:
            error.where = loaded.location((*node.path, "with"))
        elif error.where.file != loaded.file and not isinstance(error, FileErrors):
            error.what = f"step '{node.name}': {error.where}: {error.what}"
            error.where = loaded.location(node.path)
        raise
