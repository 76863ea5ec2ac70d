"""Whether the workflow's ``on`` lets something start a run; GitHub's rules for filters, see docs/workflow.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maestro.triggers.model import Wanted
from maestro.workflow.patterns import selected
from maestro.workflow.triggers import On, PullRequestTrigger, PushTrigger, ReleaseTrigger, Triggers, triggers_of

Changed = Callable[[], Sequence[str] | None]


def refusal(on: On, wanted: Wanted, changed: Changed) -> str | None:
    """None when ``wanted`` is to be started; else why not, one sentence for people.

    Args:
        on: of the workflow file that counts, see ``Wanted.workflow_sha``.
        changed: paths of the files that differ from the base, asked for only when a filter needs them; None, or from
            it None, when that cannot be known, and then no filter over paths holds anything back.
    """
    if wanted.event in ("rerequested", "command"):
        return None
    triggers = triggers_of(on)
    if triggers is None:
        return "the workflow has no 'on', so nothing but a person starts it"
    match wanted.event:
        case "push":
            return _push(triggers.push, wanted, changed)
        case "pull_request":
            return _pull_request(triggers.pull_request, wanted, changed)
        case "release":
            return _release(triggers.release, wanted)
        case "schedule":
            return _schedule(triggers, wanted)
    return f"'{wanted.event}' starts nothing"


def _push(push: PushTrigger | None, wanted: Wanted, changed: Changed) -> str | None:
    if push is None:
        return _missing("push")
    branches = push.branches is not None or push.branches_ignore is not None
    tags = push.tags is not None or push.tags_ignore is not None
    if wanted.tag is not None:
        if branches and not tags:
            return f"tag '{wanted.tag}': on.push names branches only"
        # As at GitHub, files are not looked at for a tag.
        return _name("push", "tags", wanted.tag, push.tags, push.tags_ignore)
    if tags and not branches:
        return f"branch '{wanted.branch}': on.push names tags only"
    refused = _name("push", "branches", wanted.branch or "", push.branches, push.branches_ignore)
    return refused or _paths("push", push.paths, push.paths_ignore, changed)


def _pull_request(trigger: PullRequestTrigger | None, wanted: Wanted, changed: Changed) -> str | None:
    if trigger is None:
        return _missing("pull_request")
    if wanted.draft and not trigger.drafts:
        return f"pull request {wanted.pull_request} is a draft"
    if wanted.action not in trigger.starting_types:
        return f"on.pull_request.types does not name '{wanted.action}'"
    refused = _name("pull_request", "branches", wanted.base_branch or "", trigger.branches, trigger.branches_ignore)
    return refused or _paths("pull_request", trigger.paths, trigger.paths_ignore, changed)


def _release(release: ReleaseTrigger | None, wanted: Wanted) -> str | None:
    if release is None:
        return _missing("release")
    if wanted.action not in release.types:
        return f"on.release.types does not name '{wanted.action}'"
    return None


def _schedule(triggers: Triggers, wanted: Wanted) -> str | None:
    schedules = triggers.schedules
    if not schedules:
        return _missing("schedule")
    zone = wanted.timezone or "UTC"
    if wanted.cron is not None and not any(one.cron == wanted.cron and one.timezone == zone for one in schedules):
        return f"on.schedule does not name '{wanted.cron}' ({zone}) any more"
    return None


def _missing(event: str) -> str:
    return f"the workflow's 'on' does not name {event}"


def _name(event: str, key: str, name: str, only: list[str] | None, ignored: list[str] | None) -> str | None:
    what = f"{'tag' if key == 'tags' else 'branch'} '{name}'"
    if only is not None and not selected(only, name):
        return f"{what} is not among on.{event}.{key}"
    if ignored is not None and selected(ignored, name):
        return f"{what} is among on.{event}.{key}_ignore"
    return None


def _paths(event: str, only: list[str] | None, ignored: list[str] | None, changed: Changed) -> str | None:
    if only is None and ignored is None:
        return None
    files = changed()
    if files is None:
        return None
    if only is not None and not any(selected(only, file) for file in files):
        return f"no changed file is among on.{event}.paths"
    if ignored is not None and files and all(selected(ignored, file) for file in files):
        return f"all changed files are among on.{event}.paths_ignore"
    return None
