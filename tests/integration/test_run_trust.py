"""Which runs of a server are trusted, whoever started them: also those somebody starts in Dagster's UI."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from maestro.artifacts import RecordStore
from maestro.errors import MaestroError
from maestro.runs.tags import CHECKOUT_TAG, PARTITION_TAG, PROJECT_TAG, UNTRUSTED_TAG, WORKFLOW_REVISION_TAG
from maestro_defs.compiler import compile_workflow, job_name
from maestro_defs.making import checkout_of
from maestro_defs.partitions import register_revision
from maestro_defs.run_worker import carry_out, workflow_revision
from maestro_defs.trust import judged, made_here
from tests.integration.dispatch_desk import WORKFLOW, Desk, comment, desk, forks_run, push, rerequested
from tests.integration.mirror_origin import git

__all__ = ["desk"]


def from_the_ui(
    desk: Desk, sha: str, tags: dict[str, str] | None = None, parent: dg.DagsterRun | None = None
) -> dg.DagsterRun:
    """A run of a revision as Materialize makes it: of the code location's job, without a delivery."""
    project = desk.server.projects.get("app")
    loaded = desk.server.workflow(project, desk.server.default_revision(project))
    job = compile_workflow(desk.server.source(project, loaded)).resolve_job_def(job_name(loaded.workflow.name))
    return desk.instance.create_run_for_job(
        job,
        run_id=make_new_run_id(),
        tags={PARTITION_TAG: sha, PROJECT_TAG: "app", **(tags or {})},
        parent_run_id=parent.run_id if parent else None,
        root_run_id=parent.run_id if parent else None,
    )


def seen(desk: Desk, run: dg.DagsterRun) -> dg.DagsterRun:
    project = desk.server.projects.get("app")
    return judged(run, desk.instance, "app", desk.server.mirror(project))


def test_materializing_a_forks_commit_is_as_untrusted_as_its_pull_request(desk: Desk) -> None:
    sha = forks_run(desk).tags[PARTITION_TAG]
    run = seen(desk, from_the_ui(desk, sha))
    assert run.tags[UNTRUSTED_TAG] == "true"
    project = desk.server.projects.get("app")
    assert workflow_revision(desk.server, project, run) == desk.head()
    events = [one.message for one in desk.instance.all_logs(run.run_id)]
    assert any("on no branch or tag of the repository" in one for one in events)


def test_a_commit_of_a_branch_or_a_tag_is_trusted_whoever_starts_it(desk: Desk) -> None:
    older, newest = desk.head(), desk.origin.commit({"src/a.py": "2"})
    topic = desk.origin.commit({"src/b.py": "3"}, branch="topic")
    for sha in (older, newest, topic):
        desk.server.mirror(desk.server.projects.get("app")).ensure(sha)
        assert UNTRUSTED_TAG not in seen(desk, from_the_ui(desk, sha)).tags


def test_a_commit_that_was_merged_since_is_trusted(desk: Desk) -> None:
    sha = forks_run(desk).tags[PARTITION_TAG]
    assert UNTRUSTED_TAG in seen(desk, from_the_ui(desk, sha)).tags
    git(desk.origin.bare, "update-ref", "refs/heads/main", sha)
    assert UNTRUSTED_TAG not in seen(desk, from_the_ui(desk, sha)).tags


def test_a_commit_whose_branch_was_deleted_stays_trusted_by_the_run_of_its_push(desk: Desk) -> None:
    sha = desk.origin.commit({"src/b.py": "3"})
    desk.run(desk.take("push", push(sha)))
    git(desk.origin.bare, "update-ref", "refs/heads/main", f"{sha}^")
    desk.server.mirror(desk.server.projects.get("app")).refresh()
    assert UNTRUSTED_TAG not in seen(desk, from_the_ui(desk, sha)).tags


def test_an_approved_commit_may_be_run_again_in_the_ui(desk: Desk) -> None:
    sha = forks_run(desk).tags[PARTITION_TAG]
    approved = desk.run(desk.take("issue_comment", comment(f"/maestro approve {sha}", "MEMBER")))
    assert made_here(approved)
    assert UNTRUSTED_TAG not in seen(desk, from_the_ui(desk, sha, dict(approved.tags))).tags


def test_a_re_execution_keeps_the_mark_of_its_run(desk: Desk) -> None:
    first = forks_run(desk)
    copied = from_the_ui(desk, first.tags[PARTITION_TAG], dict(first.tags))
    assert seen(desk, copied).tags[WORKFLOW_REVISION_TAG] == first.tags[WORKFLOW_REVISION_TAG]
    assert UNTRUSTED_TAG in copied.tags


def test_tags_that_were_copied_and_stripped_of_the_mark_vouch_for_nothing(desk: Desk) -> None:
    first = forks_run(desk)
    tags = {name: value for name, value in first.tags.items() if name != UNTRUSTED_TAG}
    copied = from_the_ui(desk, first.tags[PARTITION_TAG], tags)
    assert not made_here(copied)
    assert UNTRUSTED_TAG in seen(desk, copied).tags


def test_the_checkout_of_the_run_it_was_copied_from_is_not_used(desk: Desk, tmp_path: Path) -> None:
    first = desk.run(desk.take("push", push(desk.head())))
    assert checkout_of(first) is not None
    assert checkout_of(from_the_ui(desk, desk.head(), dict(first.tags))) is None
    anywhere = {CHECKOUT_TAG: f"{os.uname().nodename} {tmp_path}"}
    assert checkout_of(from_the_ui(desk, desk.head(), anywhere)) is None


def test_what_an_untrusted_run_left_is_no_beginning_for_a_trusted_one(desk: Desk) -> None:
    first = forks_run(desk)
    sha = first.tags[PARTITION_TAG]
    desk.run(desk.take("issue_comment", comment(f"/maestro approve {sha}", "MEMBER")))
    project = desk.server.projects.get("app")
    source = desk.server.source(project, desk.server.workflow(project, desk.head()))
    run = from_the_ui(desk, sha, parent=first)
    with source.session(run, {}, desk.instance) as session:
        assert not session.request.untrusted
        assert session.identity.earlier == ()


def test_a_repository_that_cannot_be_asked_leaves_a_strange_commit_unrun(desk: Desk) -> None:
    sha = forks_run(desk).tags[PARTITION_TAG]
    run = from_the_ui(desk, sha)
    desk.origin.bare.rename(desk.origin.bare.with_suffix(".away"))
    with pytest.raises(MaestroError):
        seen(desk, run)


def test_a_run_of_a_forks_commit_from_the_ui_carries_out_the_default_branchs_steps(desk: Desk) -> None:
    evil = WORKFLOW.replace("echo {{ git.short_sha }}", "echo mine")
    sha = desk.forks_commit({"maestro.yaml": evil, "src/a.py": "evil"})
    register_revision(desk.instance, "app", sha)
    desk.server.mirror(desk.server.projects.get("app")).ensure(sha)
    run = from_the_ui(desk, sha)
    carry_out(run.run_id, desk.server.home)
    ended = desk.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert (ended.status, ended.tags[UNTRUSTED_TAG]) == (dg.DagsterRunStatus.SUCCESS, "true")
    store = desk.server.store(desk.server.projects.get("app"))
    records = {one.step: one for one in RecordStore(store).of_run(run.run_id)}
    log = records["test/say"].log
    assert log is not None
    assert sha[:8] in store.get_bytes(log.sha256).decode()
    assert RecordStore(store).of_revision("app", sha, "test/say") is None


def test_a_checkout_made_for_a_run_of_the_ui_obeys_no_filter_of_the_servers_account(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    account = tmp_path / "gitconfig"
    account.write_text(f'[filter "strange"]\n\tsmudge = touch {mark}; cat\n')
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    account.rename(tmp_path / ".gitconfig")
    sha = desk.forks_commit({".gitattributes": "* filter=strange\n", "src/a.py": "evil"})
    project = desk.server.projects.get("app")
    desk.server.mirror(project).ensure(sha)
    source = desk.server.source(project, desk.server.workflow(project, desk.head()))
    with source.session(from_the_ui(desk, sha), {}, desk.instance) as session:
        assert (session.request.untrusted, (session.workspace / "src/a.py").read_text()) == (True, "evil")
    assert not mark.exists()
    assert not session.workspace.exists()


def test_asking_for_a_check_again_does_not_launder_a_run_of_the_ui_nobody_has_judged(desk: Desk) -> None:
    sha = desk.forks_commit({"maestro.yaml": WORKFLOW.replace("id: say", "id: steal"), "src/a.py": "evil"})
    desk.server.mirror(desk.server.projects.get("app")).ensure(sha)
    strange = from_the_ui(desk, sha)
    assert UNTRUSTED_TAG not in strange.tags
    again = desk.run(desk.take("check_run", rerequested(sha, strange.run_id)))
    assert (again.tags[UNTRUSTED_TAG], again.tags[WORKFLOW_REVISION_TAG]) == ("true", desk.head())
