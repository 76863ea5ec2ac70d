"""What the shell completes: names of steps and stages, ids of runs."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from maestro.cli.options import GlobalOptions
from maestro.errors import MaestroError


def complete_selection(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Stages and steps of the workflow; nothing when it cannot be read."""
    from maestro.cli.prepare import open_project
    from maestro.workflow.graph import named_steps

    try:
        opened = open_project(context.ensure_object(GlobalOptions))
    except MaestroError:
        return []
    steps = named_steps(opened.loaded.workflow)
    found = {stage.name: "stage" for stage in opened.loaded.workflow.stages}
    for step in steps:
        found.setdefault(step.id, step.step.run)
        found.setdefault(f"{step.stage}/{step.id}", step.step.run)
    return [CompletionItem(name, help=help_text) for name, help_text in found.items() if name.startswith(typed)]


def complete_run(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Ids of runs that left records; nothing when the project cannot be read."""
    from maestro.artifacts import RecordStore
    from maestro.cli.prepare import find_project, open_store
    from maestro.profile import load_profile

    options = context.ensure_object(GlobalOptions)
    try:
        store = open_store(find_project(options), load_profile(options.profile))
        runs = RecordStore(store).runs()
    except MaestroError:
        return []
    return [CompletionItem(run) for run in ["latest", *runs] if run.startswith(typed)]
