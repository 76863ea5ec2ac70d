"""What stands in a check and in a comment, and in which order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from maestro.github.comments import marker
from maestro.reporting.markdown import LIMIT
from maestro.reporting.model import (
    ComponentsReport,
    GateReason,
    GateReport,
    RunReport,
    StepReport,
    TestFailure,
    TestsReport,
)
from maestro.reporting.summary import check_summary, comment, title

SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"


def report(state: Any = "failed", **changes: Any) -> RunReport:
    made = RunReport(
        project="shop",
        repository="acme/shop",
        sha=SHA,
        run_id="0b5fa0e2-8f2c-4b6f-9a39-6e0f8ed7a4f7",
        workflow="delivery",
        state=state,
        created=1000.0,
        started=1001.0,
        ended=1196.0,
        url="https://maestro.example/runs/0b5f",
    )
    return replace(made, **changes)


FAILED = (
    StepReport("build/wheel", "cached", "", 0.1, "aa11bb22-cc"),
    StepReport("test/unit", "failed", "2 failed, 210 passed", 12.0, log=("tests/a.py:7", "E  assert 1 == 2")),
    StepReport("lint/ruff", "failed", "exit code 1", 1.0),
    StepReport("deploy/prod", "skipped", "a step before it failed"),
)


def test_what_failed_first_comes_first_with_why_and_how_to_see_it_again() -> None:
    text = check_summary(report(steps=FAILED))
    beginning = text.split("**Steps**")[0]
    assert (
        beginning
        == f"""\
4 steps: 2 failed, 1 from the cache, 1 skipped, in 3 min 15 s.

**`test/unit` failed** (the first of 2 that failed): `2 failed, 210 passed`

The end of its log:

```
tests/a.py:7
E  assert 1 == 2
```

To see it again:

```sh
maestro run test/unit --revision {SHA}
```

"""
    )


def test_every_step_has_its_result_its_time_and_where_a_cached_one_was_made() -> None:
    text = check_summary(report(steps=FAILED))
    assert "| `build/wheel` | ✅ cached | 0.1 s | made by run `aa11bb22` |" in text
    assert "| `deploy/prod` | ⏭️ skipped |  | `a step before it failed` |" in text


def test_a_command_people_paste_runs_nothing_else() -> None:
    name = "test/unit/$(reboot); `reboot`\n&& reboot"
    text = check_summary(report(steps=(StepReport(name, "failed"),)))
    assert f"maestro run 'test/unit/$(reboot); `reboot` && reboot' --revision {SHA}" in text


def test_a_gate_says_why_not_and_what_would_change_that() -> None:
    gate = GateReport(
        "release/gate",
        "supply_chain.release",
        False,
        (GateReason("sbom_required", "shop-1.0.whl has no SBOM", "add a step `run: sbom.generate`"),),
        "abcd1234",
    )
    text = check_summary(report(gates=(gate,)))
    assert "**Gate `release/gate` denied** by `supply_chain.release`" in text
    assert "- `shop-1.0.whl has no SBOM` (`sbom_required`)" in text
    assert "  - to change that: `` add a step `run: sbom.generate` ``" in text
    assert "`maestro policy explain abcd1234`" in text


def test_a_gate_that_let_go_says_so_with_its_waivers() -> None:
    gate = GateReport("release/gate", "supply_chain.release", True, waived=2)
    text = check_summary(report("succeeded", gates=(gate,)))
    assert "- `release/gate` allowed by `supply_chain.release`, 2 waivers used" in text


def test_failed_tests_say_where_and_why_and_all_of_them_are_counted() -> None:
    failures = tuple(TestFailure(f"test_{n}", "tests/a.py", n, "assert 1 == 2") for n in range(1, 51))
    text = check_summary(report(tests=(TestsReport("test/unit", 210, 70, 3, 10.0, failures),)))
    assert "**70 tests failed** in `test/unit`" in text
    assert "| `test_1` | `tests/a.py:1` | `assert 1 == 2` |" in text
    assert "… and 50 more in its log." in text
    assert "| `test/unit` | 210 | 70 | 3 | 10.0 s |" in text


def test_components_are_counted_against_the_earlier_revision() -> None:
    found = ComponentsReport("shop", "b" * 40, 1_200, 2, 3, 4, {"critical": 1, "high": 2}, ("left-pad 1.0",))
    text = check_summary(report("succeeded", components=(found, replace(found, subject="api", vulnerabilities=None))))
    assert "**Components**, compared with `bbbbbbbbbbbb`" in text
    assert "| `shop` | 1,200 | 2 | 3 | 4 | 1 critical, 2 high |" in text
    assert "| `api` | 1,200 | 2 | 3 | 4 | not compared |" in text
    assert "- `left-pad 1.0`" in text


def test_a_failed_run_says_how_it_goes_on() -> None:
    text = comment(report(steps=FAILED, pull_request=5), marker("shop"))
    assert "goes on where it stopped: `maestro retry 0b5fa0e2`" in text
    assert "or comment `/maestro retry`" in text
    assert "maestro retry" not in check_summary(report("succeeded", steps=FAILED[:1]))


def test_a_comment_begins_with_its_marker_and_leads_to_the_run() -> None:
    mark = marker("shop")
    text = comment(report("succeeded"), mark)
    assert text.startswith(f"{mark}\n### `delivery`: [✅ succeeded](https://maestro.example/runs/0b5f)\n")
    assert "https" not in comment(report("succeeded", url=None), mark)


def test_why_a_run_failed_when_no_step_did_is_told() -> None:
    text = check_summary(report(reason="its process ended without a word"))
    assert "Why: `its process ended without a word`" in text


def test_a_wrong_workflow_file_is_shown_as_it_would_be_on_a_terminal() -> None:
    reason = 'maestro.yaml:3:1: there is no key "stepps"\n  | stepps:\n  | ^\n  did you mean "steps"?'
    text = check_summary(report("invalid", reason=reason))
    assert f"```\n{reason}\n```" in text


def test_hundreds_of_steps_stay_within_githubs_limit_and_are_folded() -> None:
    steps = tuple(StepReport(f"test/unit/cell-{n}", "failed", "x" * 290, 1.0) for n in range(2_000))
    mark = marker("shop")
    for text in (check_summary(report(steps=steps)), comment(report(steps=steps), mark)):
        assert len(text) <= LIMIT
        assert "<summary>2,000 steps, 0 from the cache</summary>" in text
        assert re.search(r"… and [\d,]+ more\.", text)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (report(steps=FAILED), "test/unit failed: 2 failed, 210 passed"),
        (report("queued"), "Waiting for its turn"),
        (report("succeeded", steps=FAILED[:1]), "1 from the cache, in 3 min 15 s"),
        (report("running", steps=(StepReport("a/b", "running"),), ended=None), "1 running"),
        (report("running", ended=None), "running"),
        (report("failed", reason="no disk\nleft"), "no disk left"),
        (report("cancelled", started=None, ended=None), "cancelled"),
        (report(steps=(StepReport("a/b", "failed", "x" * 500),)), "a/b failed: " + "x" * 127 + "…"),
    ],
)
def test_the_title_says_it_in_one_line(made: RunReport, said: str) -> None:
    assert title(made) == said
