"""Proposed weights as a pull request on GitHub: once a week, on a branch of its own, for a person to decide.

Nothing here approves or merges. The commit is made before the branch that names it, so the branch holds all of the
change or does not exist.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from maestro.errors import InputError, MaestroError
from maestro.evals.report import WeekReport
from maestro.evals.weights import ProposedWeight
from maestro.evals.weights_file import with_weights
from maestro.github.errors import GitHubError, RefusedError
from maestro.github.rest import RestClient

State = Literal["nothing", "opened", "open", "declined", "merged"]
BRANCH = "maestro/routing-weights"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What became of a proposal.

    Args:
        state: ``nothing``: there is nothing to change. ``opened``: by this call. ``open``, ``declined`` (closed),
            ``merged``: it was there already.
        approval: whether GitHub lets nobody merge it without an approving review; None: GitHub does not say.
        notes: what a person should know, a sentence each.
    """

    state: State
    number: int | None = None
    url: str = ""
    approval: bool | None = None
    notes: tuple[str, ...] = ()


def proposal_text(report: WeekReport) -> str:
    """What the pull request says, in Markdown: names and numbers of ours, nothing a model wrote."""
    lines = [
        f"The evaluation `{report.dataset}` of the week {report.week} proposes these routing weights.",
        "Maestro does not merge this: a person approves it, or closes it, and then it is not proposed again.",
        "",
        "| model | now | proposed | why |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{one.model}` | {one.now} | {one.proposed if one.changes else 'no change'} | {_cell(one.why)} |"
        for one in report.weights
    ]
    return "\n".join([*lines, "", *(f"- `{one.run.model}`: {one.comparison.sentence}" for one in report.models)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def open_pull_request(
    client: RestClient,
    repository: str,
    week: str,
    weights: Sequence[ProposedWeight],
    body: str,
    *,
    path: str = "models.yaml",
    reviewers: Sequence[str] = (),
) -> PullRequest:
    """Opens the pull request of a week, or finds it: the same week never has two.

    Args:
        repository: ``owner/name``.
        body: Markdown.
        path: of the file with the weights, in the repository.
        reviewers: logins who are asked to review.

    Raises:
        GitHubError: GitHub did not do it; to be tried again, nothing is there twice.
        InputError: the file cannot be changed, or the branch holds something else.
    """
    changes = {one.model: one.proposed for one in weights if one.changes}
    root = f"/repos/{repository}"
    base = str(client.get(root).body["default_branch"])
    branch = f"{BRANCH}-{week}"
    there = _find(client, root, repository, branch)
    approval = _approval(client, root, base)
    if there is not None:
        return PullRequest(_state(there), there["number"], there["html_url"], approval)
    if not changes:
        return PullRequest("nothing", approval=approval)
    commit = str(client.get(f"{root}/git/ref/heads/{quote(base)}").body["object"]["sha"])
    before = _content(client, root, path, commit)
    after = with_weights(before, changes, path)
    if after == before:
        return PullRequest("nothing", approval=approval)
    _make_branch(client, root, branch, commit, path, after, _title(week))
    notes = [] if approval else [_UNGUARDED.format(base=base)]
    made = _open(client, root, repository, branch, base, week, "\n\n".join([body, *notes]), draft=not approval)
    if reviewers:
        notes += _ask(client, root, made["number"], reviewers)
    return PullRequest("opened", made["number"], made["html_url"], approval, tuple(notes))


_UNGUARDED = (
    "The branch `{base}` is not known to require an approving review, so this is a draft: approve it before anybody "
    "marks it as ready."
)


def _title(week: str) -> str:
    return f"Routing weights from the evaluation of {week}"


def _find(client: RestClient, root: str, repository: str, branch: str) -> Mapping[str, Any] | None:
    owner = repository.partition("/")[0]
    found = client.get(f"{root}/pulls", {"head": f"{owner}:{branch}", "state": "all"}).body
    return next((one for one in found if one["head"]["ref"] == branch), None)


def _state(pull: Mapping[str, Any]) -> State:
    if pull.get("merged_at"):
        return "merged"
    return "open" if pull["state"] == "open" else "declined"


def _approval(client: RestClient, root: str, base: str) -> bool | None:
    """Whether rules of the branch ask for an approving review. Classic protection is not readable by everybody."""
    try:
        for rule in client.get(f"{root}/rules/branches/{quote(base, safe='')}").body:
            wanted = (rule.get("parameters") or {}).get("required_approving_review_count", 0)
            if rule.get("type") == "pull_request" and wanted > 0:
                return True
        protection = client.get(f"{root}/branches/{quote(base, safe='')}/protection").body
    except GitHubError as error:
        if error.status in (403, 404):
            return None
        raise
    return bool((protection.get("required_pull_request_reviews") or {}).get("required_approving_review_count", 0))


def _content(client: RestClient, root: str, path: str, ref: str) -> str:
    try:
        found = client.get(f"{root}/contents/{quote(path)}", {"ref": ref}).body
    except RefusedError as error:
        if error.status == 404:
            return ""
        raise
    if not isinstance(found, dict) or found.get("encoding") != "base64":
        raise InputError(f"{path} is no file of a size GitHub shows", next_step="name the file with the models")
    try:
        return base64.b64decode(found["content"]).decode("utf-8")
    except ValueError:
        raise InputError(f"{path} is no text", next_step="name the file with the models") from None


def _make_branch(client: RestClient, root: str, branch: str, commit: str, path: str, text: str, title: str) -> None:
    try:
        client.get(f"{root}/git/ref/heads/{quote(branch)}")
    except RefusedError as error:
        if error.status != 404:
            raise
    else:
        _check_branch(client, root, branch, path, text)
        return
    tree = client.get(f"{root}/git/commits/{commit}").body["tree"]["sha"]
    entry = {"path": path, "mode": "100644", "type": "blob", "content": text}
    made = client.request("POST", f"{root}/git/trees", json={"base_tree": tree, "tree": [entry]}).body["sha"]
    wanted = {"message": title, "tree": made, "parents": [commit]}
    sha = client.request("POST", f"{root}/git/commits", json=wanted).body["sha"]
    try:
        client.request("POST", f"{root}/git/refs", json={"ref": f"refs/heads/{branch}", "sha": sha})
    except RefusedError as error:
        if error.status != 422:
            raise
        # Somebody else, or an earlier try whose answer was lost, made it meanwhile.
        _check_branch(client, root, branch, path, text)


def _check_branch(client: RestClient, root: str, branch: str, path: str, text: str) -> None:
    if _content(client, root, path, branch) != text:
        raise InputError(
            f"the branch '{branch}' has another {path} than is proposed",
            next_step="delete the branch, or merge by hand",
        )


def _open(
    client: RestClient, root: str, repository: str, branch: str, base: str, week: str, body: str, *, draft: bool
) -> Mapping[str, Any]:
    wanted = {"title": _title(week), "head": branch, "base": base, "body": body, "maintainer_can_modify": True}
    try:
        return dict(client.request("POST", f"{root}/pulls", json={**wanted, "draft": draft}).body)
    except RefusedError as error:
        there = _find(client, root, repository, branch)
        if there is not None:
            return there
        if not draft or "draft" not in error.what.lower():
            raise
    # Drafts are no part of every plan of GitHub's.
    return dict(client.request("POST", f"{root}/pulls", json=wanted).body)


def _ask(client: RestClient, root: str, number: int, reviewers: Sequence[str]) -> list[str]:
    try:
        client.request("POST", f"{root}/pulls/{number}/requested_reviewers", json={"reviewers": list(reviewers)})
    except MaestroError as error:
        return [f"nobody was asked to review: {error.what}"]
    return []
