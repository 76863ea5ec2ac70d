"""Which queued runs start, which are superseded, which wait and for what."""

from __future__ import annotations

from typing import Any

import pytest

from maestro.admission import Active, Admission, Limits, Waiting, admit
from maestro.errors import InputError

NONE = Limits()


def queued(run_id: str, position: int, **facts: Any) -> Waiting:
    return Waiting(run_id=run_id, position=position, **{"project": "shop", **facts})


def running(run_id: str, position: int, **facts: Any) -> Active:
    return Active(run_id=run_id, position=position, **{"project": "shop", **facts})


def newer(run_id: str, position: int, **facts: Any) -> Waiting:
    return queued(run_id, position, group="main", cancel_superseded=True, **facts)


def decided(waiting: list[Waiting], active: list[Active] | None = None, limits: Limits = NONE) -> Admission:
    return admit(waiting, active or [], limits)


def test_a_run_without_a_group_starts_at_once() -> None:
    assert decided([queued("a", 1)], [running("b", 0)]).launch == ("a",)


def test_of_a_group_one_run_starts_and_each_other_waits_for_the_one_before_it() -> None:
    result = decided([queued("a", 1, group="main"), queued("b", 2, group="main"), queued("c", 3, group="main")])
    assert result.launch == ("a",)
    assert result.blocked == {"b": "waits for run a of group 'main'", "c": "waits for run b of group 'main'"}


def test_a_group_starts_in_the_order_the_runs_were_made_in_whatever_order_they_are_given() -> None:
    assert decided([queued("b", 2, group="main"), queued("a", 1, group="main")]).launch == ("a",)


def test_a_run_waits_for_the_active_one_of_its_group() -> None:
    result = decided([queued("b", 2, group="main")], [running("a", 1, group="main")])
    assert (result.launch, result.cancel) == ((), ())
    assert result.blocked == {"b": "waits for run a of group 'main'"}


def test_groups_of_the_same_name_in_two_projects_are_two_groups() -> None:
    waiting = [queued("a", 1, group="main"), queued("b", 2, group="main", project="site")]
    assert decided(waiting).launch == ("a", "b")


def test_a_newer_run_supersedes_queued_and_active_older_ones_and_waits_for_the_active_one_to_end() -> None:
    waiting = [queued("b", 2, group="main"), newer("c", 3, revision="0123456789abcdef")]
    result = decided(waiting, [running("a", 1, group="main")])
    reason = "superseded by run c (revision 0123456789ab)"
    assert dict(result.cancel) == {"a": reason, "b": reason}
    assert result.launch == ()
    assert result.blocked == {"c": "waits for run a of group 'main'"}


def test_a_cancelled_run_is_not_cancelled_again_and_keeps_its_group_until_it_has_ended() -> None:
    result = decided([newer("b", 2)], [running("a", 1, group="main", cancelling=True)])
    assert result.cancel == ()
    assert result.blocked == {"b": "waits for run a of group 'main', which is being cancelled"}


def test_only_the_newest_of_many_superseding_runs_is_left() -> None:
    result = decided([newer("a", 1), newer("b", 2), newer("c", 3)])
    assert result.launch == ("c",)
    assert dict(result.cancel) == {"a": "superseded by run c", "b": "superseded by run c"}


def test_a_run_that_does_not_supersede_waits_behind_one_that_does() -> None:
    result = decided([newer("a", 1), queued("b", 2, group="main")])
    assert (result.launch, result.cancel) == (("a",), ())
    assert result.blocked == {"b": "waits for run a of group 'main'"}


def test_a_run_that_is_being_cancelled_supersedes_nobody() -> None:
    ending = running("b", 2, group="main", cancel_superseded=True, cancelling=True)
    result = decided([queued("a", 1, group="main")], [ending])
    assert result.cancel == ()
    assert result.blocked == {"a": "waits for run b of group 'main', which is being cancelled"}


def test_another_project_or_group_supersedes_nothing() -> None:
    waiting = [queued("a", 1, group="main", project="site"), queued("b", 2, group="next"), newer("c", 3)]
    assert decided(waiting).launch == ("a", "b", "c")


def test_a_fork_that_names_its_branch_main_neither_supersedes_nor_delays_the_run_of_main() -> None:
    main = running("a", 1, group="main")
    result = decided([newer("b", 2, scope="pull request 7"), newer("c", 3, scope="pull request 8")], [main])
    assert (result.launch, result.cancel) == (("b", "c"), ())


def test_higher_priority_starts_first_then_age() -> None:
    waiting = [queued("old", 1), queued("older", 0), queued("urgent", 9, priority=5), queued("lazy", 2, priority=-1)]
    assert decided(waiting).launch == ("urgent", "older", "old", "lazy")


def test_a_run_that_an_urgent_one_of_its_group_waits_for_is_as_urgent() -> None:
    waiting = [queued("other", 0, priority=1), queued("a", 1, group="main"), queued("b", 2, group="main", priority=9)]
    assert decided(waiting, limits=Limits(runs=1)).launch == ("a",)


def test_a_run_that_is_held_waits_with_its_own_reason_and_keeps_its_turn_in_the_group() -> None:
    waiting = [queued("a", 1, group="main", held="waits until noon"), queued("b", 2, group="main")]
    assert decided(waiting).blocked == {"a": "waits until noon", "b": "waits for run a of group 'main'"}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(runs=2), "the server has its 2 runs"),
        (Limits(per_project=2), "the project 'shop' has its 2 runs"),
        (Limits(per_tenant=2), "the tenant 'acme' has its 2 runs"),
        (Limits(per_project=9, projects={"shop": 2}), "the project 'shop' has its 2 runs"),
        (Limits(per_tenant=9, tenants={"acme": 2}), "the tenant 'acme' has its 2 runs"),
        (Limits(runs=1), "the server has its 1 run"),
        (Limits(runs=0), "the server may have no runs: its limit is 0"),
    ],
)
def test_a_run_without_a_place_waits_and_says_whose_limit_it_is(limits: Limits, reason: str) -> None:
    waiting = [queued("b", 2, tenant="acme"), queued("c", 3, tenant="acme")]
    assert decided(waiting, [running("a", 1, tenant="acme")], limits).blocked["c"] == reason


def test_a_limit_of_one_project_may_be_lifted() -> None:
    limits = Limits(per_project=1, projects={"shop": None})
    assert decided([queued("a", 1), queued("b", 2)], limits=limits).launch == ("a", "b")


def test_runs_without_a_tenant_share_no_limit_of_tenants() -> None:
    assert decided([queued("a", 1), queued("b", 2)], limits=Limits(per_tenant=1)).launch == ("a", "b")


def test_a_cancelling_run_still_takes_its_place() -> None:
    assert decided([queued("b", 2)], [running("a", 1, cancelling=True)], Limits(runs=1)).launch == ()


def test_many_runs_of_one_project_do_not_keep_anothers_few_from_starting() -> None:
    many = [queued(f"m{number}", number, project="busy") for number in range(10)]
    few = [queued("f1", 20, project="calm"), queued("f2", 21, project="calm")]
    assert decided(many + few, limits=Limits(runs=4)).launch == ("m0", "f1", "m1", "f2")


def test_a_tenant_with_many_projects_gets_no_more_than_one_with_a_single_one() -> None:
    many = [queued(f"m{number}", number, project=f"p{number}", tenant="big") for number in range(6)]
    few = [queued(f"f{number}", 10 + number, project="only", tenant="small") for number in range(3)]
    launched = decided(many + few, limits=Limits(runs=4)).launch
    assert launched == ("m0", "f0", "m1", "f1")


def test_who_has_fewer_active_runs_comes_first() -> None:
    active = [running("x", 0, project="busy"), running("y", 1, project="busy")]
    waiting = [queued("m", 2, project="busy"), queued("f", 3, project="calm")]
    assert decided(waiting, active, Limits(runs=3)).launch == ("f",)


def test_a_full_project_does_not_hold_up_the_others() -> None:
    waiting = [queued("a", 1, priority=5), queued("b", 2, priority=5), queued("c", 3, project="site")]
    assert decided(waiting, limits=Limits(per_project=1)).launch == ("a", "c")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"runs": -1}, "limits.runs is -1"),
        ({"projects": {"shop": -2}}, "limits.projects.shop is -2"),
        ({"tenants": {"acme": -3}}, "limits.tenants.acme is -3"),
    ],
)
def test_a_negative_limit_is_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Limits(**limits)
