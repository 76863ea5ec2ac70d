"""``on`` and ``concurrency`` in a workflow file: what may be written, and what is said about anything else."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # its stubs are no dependency of ours

from maestro.workflow.model import Workflow
from maestro.workflow.schema import workflow_schema
from maestro.workflow.triggers import Schedule
from maestro.workflow.yaml_reader import parse
from tests.unit.workflow_kinds import REGISTRY, first_lines, load, problems

REST = "\nparams: {level: {default: a}}\nstages: [{name: a, steps: [{run: test.unit}]}]\n"


def file_with(lines: str) -> str:
    return f"name: x\n{lines}{REST}"


def workflow(lines: str) -> Workflow:
    return load(file_with(lines)).workflow


def triggers(lines: str) -> dict[str, Any]:
    """What is written under ``on``, without what has its default."""
    found = workflow(lines).triggers
    assert found is not None
    return found.model_dump(exclude_defaults=True)


@pytest.mark.parametrize("lines", ["on: push", "on: [push]", "on: {push: }", "on: {push: {}}", "'on': push"])
def test_a_word_a_list_and_a_key_alone_are_the_same(lines: str) -> None:
    assert triggers(lines) == {"push": {}}


def test_a_list_names_several() -> None:
    assert set(triggers("on: [push, pull_request, release]")) == {"push", "pull_request", "release"}


def test_without_on_there_are_no_triggers() -> None:
    assert workflow("version: 1").triggers is None


def test_the_issues_example_loads() -> None:
    found = workflow(
        "on:\n  push: { branches: [main, 'release/*'], paths: ['src/**'] }\n  pull_request: { branches: [main] }\n"
        "  schedule: '0 3 * * 1'\nconcurrency: { group: '{{ git.branch }}', cancel_superseded: true }"
    )
    assert found.triggers is not None
    assert found.triggers.push is not None
    assert found.triggers.push.branches == ["main", "release/*"]
    assert found.triggers.push.paths == ["src/**"]
    assert found.triggers.schedules == (Schedule(cron="0 3 * * 1"),)
    assert found.concurrency is not None
    assert found.concurrency.group == "{{ git.branch }}"
    assert found.concurrency.cancel_superseded
    assert found.concurrency.priority == 0


def test_schedules_are_one_or_many_with_or_without_a_time_zone() -> None:
    lines = "on: {schedule: ['0 3 * * 1', {cron: '30 8 * * 1-5', timezone: Europe/Berlin}]}"
    found = workflow(lines).triggers
    assert found is not None
    assert found.schedules == (
        Schedule(cron="0 3 * * 1", timezone="UTC"),
        Schedule(cron="30 8 * * 1-5", timezone="Europe/Berlin"),
    )


def test_a_branch_that_looks_like_a_number_is_text_as_it_is_written() -> None:
    assert triggers("on: {push: {branches: [1.10, 2]}}") == {"push": {"branches": ["1.10", "2"]}}


def test_who_may_comment_is_kept_as_written_but_for_the_at_sign() -> None:
    lines = "on: {comment: {allow: [OWNER, '@octocat', my-org/team, 'renovate[bot]', '@owner']}}"
    assert triggers(lines)["comment"] == {"allow": ["OWNER", "octocat", "my-org/team", "renovate[bot]", "@owner"]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("on: psh", "2:5: 'on' must be 'push', 'pull_request' or 'release', a list or a mapping; found the text 'psh'"),
        ("on: 3", "2:5: 'on' must be 'push', 'pull_request' or 'release', a list or a mapping; found the number 3"),
        ("on: {}", "2:5: 'on' is empty; say what starts a run, or take 'on' away"),
        ("on: []", "2:5: 'on' must not be empty"),
        ("on: [push, schedule]", "2:12: an item of 'on' must be 'push', 'pull_request' or 'release'; found the text"),
        ("on: {psh: }", "2:6: unknown key 'psh' in 'on'"),
        ("on: {push: main}", "2:12: 'push' must be a mapping; found the text 'main'"),
        ("on: {push: {branches: main}}", "2:23: 'branches' must be a list; found the text 'main'"),
        ("on: {push: {branches: []}}", "2:23: 'branches' must not be empty"),
        ("on: {push: {branches: [a, 'b[']}}", "2:27: the pattern 'b[' is wrong: '[' has no ']' after it"),
        ("on: {push: {branches: ['!a']}}", "2:23: every pattern starts with '!', so nothing is matched"),
        ("on: {push: {branches-ignore: [a]}}", "2:13: unknown key 'branches-ignore' in 'push'"),
        ("on: {push: {tags: [refs/tags/v1]}}", "2:20: the pattern 'refs/tags/v1' is wrong: write the bare name"),
        ("on: {push: {paths: [/src]}}", "2:21: the pattern '/src' is wrong: paths start at the repository's root"),
        (
            "on: {push: {paths: ['a'], paths_ignore: ['b']}}",
            "2:12: 'paths' and 'paths_ignore' exclude each other; put patterns with '!' under 'paths'",
        ),
        ("on: {pull_request: {branches: [a], branches_ignore: [b]}}", "2:20: 'branches' and 'branches_ignore' exclude"),
        ("on: {pull_request: {tags: [a]}}", "2:21: unknown key 'tags' in 'pull_request'"),
        ("on: {pull_request: {types: [closed]}}", "2:29: an item of 'types' must be 'opened', 'synchronize'"),
        ("on: {pull_request: {drafts: no}}", "2:29: 'drafts' must be true or false; found the text 'no'"),
        ("on: {release: {types: [deleted]}}", "2:24: an item of 'types' must be 'published', 'created'"),
        ("on: {schedule: }", "2:16: 'schedule' must be text, a mapping or a list; found nothing"),
        ("on: {schedule: '0 25 * * *'}", "2:16: the hour of the cron expression '0 25 * * *' is wrong"),
        ("on: {schedule: ['0 3 * * 1', '0 3 * *']}", "2:30: '0 3 * *' is no cron expression; write five fields"),
        ("on: {schedule: [{cron: '@daily'}]}", "2:24: '@daily' is no cron expression"),
        ("on: {schedule: {cron: '0 3 * * 1', timezone: Mars}}", "2:46: 'Mars' is no time zone"),
        ("on: {schedule: [{crom: '0 3 * * 1', cron: '0 3 * * 1'}]}", "2:18: unknown key 'crom' in an item of"),
        ("on: {schedule: [{timezone: UTC}]}", "2:17: the key 'cron' of an item of 'schedule' is missing"),
        ("on: {comment: {allow: OWNER}}", "2:23: 'allow' must be a list; found the text 'OWNER'"),
        ("on: {comment: {allow: [NONE]}}", "2:24: 'NONE' may be anybody; allowed: OWNER, MEMBER, COLLABORATOR, logins"),
        ("on: {comment: {allow: [contributor]}}", "2:24: 'contributor' may be anybody"),
        ("on: {comment: {allow: [member]}}", "2:24: write MEMBER in capitals; for the person of that name write"),
        ("on: {comment: {allow: ['a b']}}", "2:24: 'a b' is no login"),
        ("on: {push: {branches: ['{{ git.branch }}']}}", "2:24: the pattern '{{ git.branch }}' is wrong: '{' has no"),
        ("concurrency: x", "2:14: 'concurrency' must be a mapping; found the text 'x'"),
        ("concurrency: {cancel_superseded: true}", "2:14: 'cancel_superseded' needs 'group'"),
        ("concurrency: {group: a, cancel_superseded: 1}", "2:44: 'cancel_superseded' must be true or false"),
        ("concurrency: {priority: 101}", "2:25: 'priority' must be at most 100; found the number 101"),
        ("concurrency: {priority: high}", "2:25: 'priority' must be a whole number; found the text 'high'"),
        ("concurrency: {groups: a}", "2:15: unknown key 'groups' in 'concurrency'"),
        ("concurrency: {group: ''}", "2:22: 'group' must not be empty"),
        ("concurrency: {group: '{{ git.brnch }}'}", "2:26: unknown git value 'git.brnch'"),
        ("concurrency: {group: '{{ params.levl }}'}", "2:26: unknown parameter 'params.levl'"),
        ("concurrency: {group: '{{ pull_request.id }}'}", "2:26: unknown pull request value 'pull_request.id'"),
        ("concurrency: {group: '{{ pul_request }}'}", "2:26: unknown name 'pul_request'"),
        (
            "concurrency: {group: 'a {{ steps.unit.passed }}'}",
            "2:28: the concurrency group is made before the run and does not know 'steps'",
        ),
        ("concurrency: {group: \"{{ changed('a') }}\"}", "2:26: the concurrency group is made before the run and does"),
        ("concurrency: {group: '{{ env.A }}'}", "2:26: the concurrency group is made before the run and does not"),
        ("concurrency: {group: '{{ package.json.hash }}'}", "2:26: unknown name 'package'"),
        ("concurrency: {group: '{{ git.branch '}", "2:23: an expression is opened with '{{' and not closed"),
        ("env: {A: '{{ pull_request.number }}'}", "2:14: unknown name 'pull_request'"),
    ],
)
def test_a_mistake_is_named_with_its_place(lines: str, message: str) -> None:
    found = first_lines(file_with(lines))
    assert len(found) == 1, found
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("lines", "suggestion"),
    [
        ("on: psh", "push"),
        ("on: [pul_request]", "pull_request"),
        ("on: {shedule: '0 3 * * 1'}", "schedule"),
        ("on: {push: {branches-ignore: [a]}}", "branches_ignore"),
        ("on: {pull_request: {types: [openend]}}", "opened"),
        ("concurrency: {group: '{{ git.brnch }}'}", "git.branch"),
    ],
)
def test_a_slip_gets_the_nearest_name(lines: str, suggestion: str) -> None:
    assert f'did you mean "{suggestion}"?' in problems(file_with(lines))[0]


def test_every_mistake_of_on_is_reported_at_once() -> None:
    found = first_lines(
        file_with("on: {push: {branches: ['a[', '/'], tgs: []}, schedule: ['x', {cron: 'y', timezone: Mars}, 3]}")
    )
    assert [line.partition(": ")[0] for line in found] == ["2:24", "2:36", "2:57", "2:69", "2:84", "2:91"]


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    return Draft7Validator(workflow_schema(REGISTRY))


def editor_errors(validator: Draft7Validator, lines: str) -> list[Any]:
    return list(validator.iter_errors(parse(file_with(lines).encode(), file="f").root.data()))


@pytest.mark.parametrize(
    "lines",
    [
        "on: push",
        "on: [push, pull_request]",
        "on: {push: , release: , comment: , pull_request: {branches: [main], drafts: false, types: [opened]}}",
        "on: {push: {branches: [main, 1.0], tags_ignore: ['v*'], paths: ['a/**']}}",
        "on: {schedule: '0 3 * * 1'}",
        "on: {schedule: ['0 3 * * 1', {cron: '0 3 * * 1', timezone: UTC}]}",
        "concurrency: {group: '{{ git.branch }}', cancel_superseded: true, priority: -3}",
    ],
)
def test_what_the_loader_takes_the_editor_takes(validator: Draft7Validator, lines: str) -> None:
    load(file_with(lines))
    assert editor_errors(validator, lines) == []


@pytest.mark.parametrize(
    "lines",
    [
        "on: psh",
        "on: {}",
        "on: []",
        "on: {psh: }",
        "on: {schedule: }",
        "on: {schedule: '0 3 * *'}",
        "on: {schedule: [{cron: '@daily'}]}",
        "on: {push: {branches: main}}",
        "on: {pull_request: {types: [closed]}}",
        "concurrency: {priority: 101}",
        "concurrency: {grop: a}",
    ],
)
def test_what_the_editor_can_see_it_refuses_as_the_loader_does(validator: Draft7Validator, lines: str) -> None:
    assert first_lines(file_with(lines))
    assert editor_errors(validator, lines)
