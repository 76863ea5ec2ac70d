"""Runs of a group count in the order they were asked for, and a delivery finds its project however late that comes."""

import json
from datetime import UTC, datetime

import dagster as dg
import pytest

from maestro.inbox import Delivery
from maestro_defs.dispatch import Dispatcher
from maestro_defs.run_moves import why_cancelled
from tests.integration.dispatch_desk import Desk, desk, pull_request, push

__all__ = ["desk"]


def test_a_run_that_is_made_after_one_that_was_asked_for_later_is_superseded(desk: Desk) -> None:
    before = desk.head()
    older, newer = desk.origin.commit({"src/a.py": "2"}), desk.origin.commit({"src/a.py": "3"})
    quick = desk.run(desk.take("push", push(newer, older), number=12))
    late = desk.run(desk.take("push", push(older, before), number=11, attempts=5))
    assert (quick.status, late.status) == (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.CANCELED)
    reason = why_cancelled(desk.instance, late.run_id)
    assert reason == f"Cancelled: superseded by run {quick.run_id[:8]} (revision {newer[:12]})."
    newest = desk.run(desk.take("push", push(desk.origin.commit({"src/a.py": "4"}), newer), number=13, attempts=5))
    assert newest.status == dg.DagsterRunStatus.QUEUED


def test_a_run_that_is_made_late_supersedes_none_of_another_branch(desk: Desk) -> None:
    before = desk.head()
    desk.run(desk.take("push", push(desk.origin.commit({"src/a.py": "2"}), before), number=12))
    side = desk.origin.commit({"src/a.py": "3"}, branch="side")
    body = pull_request(desk, side, fork=False)
    late = desk.run(desk.take("pull_request", body, number=11, attempts=5))
    assert late.status == dg.DagsterRunStatus.QUEUED


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({**push("1" * 40), "repository": {"full_name": "Octo/hello", "default_branch": "main"}}, "app"),
        ({**push("1" * 40), "repository": {"full_name": "octo/other", "default_branch": "main"}}, ""),
        ({"ref": 7}, ""),
        ("no object", ""),
    ],
)
def test_a_delivery_is_named_by_a_project_that_was_registered_after_it_came(
    desk: Desk, body: object, expected: str
) -> None:
    came = Delivery("github", "d", "push", "", {}, json.dumps(body).encode(), "", 1, datetime.now(UTC))
    assert Dispatcher(desk.server, desk.instance, desk.told.append).named(came).project == expected
