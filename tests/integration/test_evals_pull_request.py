"""A week's weights become one pull request, however often it is tried and whatever gets lost; nothing merges it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
import yaml

from maestro.errors import InputError
from maestro.evals.proposing import PullRequest, open_pull_request
from maestro.evals.weights import ProposedWeight
from maestro.github.app import TokenCredentials
from maestro.github.errors import CredentialsError, UnavailableError
from maestro.github.rest import RestClient
from tests.integration.github_pulls import GitHubWithPulls, github_with_pulls
from tests.integration.github_server import TOKEN, Failure, bad_gateway, lost_answer

WEEK = "2026-11-16"
BRANCH = f"maestro/routing-weights-{WEEK}"
FILE = "# Ours.\nmodels:\n  cheap:\n    weight: 1.0  # equal\n"
WEIGHTS = (ProposedWeight("cheap", 1.0, 0.7, "70 %"), ProposedWeight("same", 1.0, 1.0, "no change"))
APPROVAL = [{"type": "pull_request", "parameters": {"required_approving_review_count": 1}}]


@pytest.fixture
def github() -> Iterator[GitHubWithPulls]:
    with github_with_pulls({"models.yaml": FILE, "README.md": "hello\n"}) as server:
        yield server


@pytest.fixture
def client(github: GitHubWithPulls) -> Iterator[RestClient]:
    with httpx.Client() as http:
        yield RestClient(github.url, TokenCredentials(lambda: TOKEN), http)


def _propose(client: RestClient, week: str = WEEK, **more: object) -> PullRequest:
    return open_pull_request(client, "acme/app", week, more.pop("weights", WEIGHTS), "Because of the scores.", **more)


def test_weights_become_a_branch_a_commit_and_a_pull_request(github: GitHubWithPulls, client: RestClient) -> None:
    github.rules = APPROVAL
    made = _propose(client)
    assert (made.state, made.number, made.approval, made.notes) == ("opened", 1, True, ())
    assert github.file(BRANCH, "models.yaml") == FILE.replace("1.0", "0.7")
    assert github.file(BRANCH, "README.md") == "hello\n"
    assert github.commits[github.branches[BRANCH]]["parents"] == [github.branches["main"]]
    pull = github.pulls[0]
    assert (pull["base"], pull["head"]["ref"], pull["draft"]) == ("main", BRANCH, False)
    assert pull["body"] == "Because of the scores."


def test_the_branch_it_is_for_is_left_as_it_is(github: GitHubWithPulls, client: RestClient) -> None:
    before = github.branches["main"]
    _propose(client)
    assert github.branches["main"] == before
    assert github.file("main", "models.yaml") == FILE


def test_where_no_approval_is_required_it_is_a_draft_and_says_so(github: GitHubWithPulls, client: RestClient) -> None:
    made = _propose(client)
    assert made.approval is None
    assert github.pulls[0]["draft"]
    assert "is not known to require an approving review" in github.pulls[0]["body"]
    assert "`main`" in made.notes[0]


def test_classic_protection_counts_as_well(github: GitHubWithPulls, client: RestClient) -> None:
    github.protection = {"required_pull_request_reviews": {"required_approving_review_count": 2}}
    assert _propose(client).approval is True


def test_a_repository_without_drafts_gets_a_plain_one_with_the_warning(
    github: GitHubWithPulls, client: RestClient
) -> None:
    github.drafts = False
    assert _propose(client).state == "opened"
    assert "is not known to require" in github.pulls[0]["body"]


def test_the_same_week_is_proposed_once(github: GitHubWithPulls, client: RestClient) -> None:
    assert _propose(client).state == "opened"
    again = _propose(client)
    assert (again.state, again.number, len(github.pulls)) == ("open", 1, 1)


@pytest.mark.parametrize(("changes", "state"), [({}, "declined"), ({"merged_at": "2026-11-17T08:00:00Z"}, "merged")])
def test_what_a_person_decided_stands(
    github: GitHubWithPulls, client: RestClient, changes: dict[str, str], state: str
) -> None:
    _propose(client)
    github.pulls[0] |= {"state": "closed", **changes}
    assert _propose(client).state == state
    assert len(github.pulls) == 1


def test_another_week_has_a_pull_request_of_its_own(github: GitHubWithPulls, client: RestClient) -> None:
    _propose(client)
    assert _propose(client, "2026-11-23").number == 2


def test_without_changes_nothing_is_made(github: GitHubWithPulls, client: RestClient) -> None:
    assert _propose(client, weights=WEIGHTS[1:]).state == "nothing"
    assert list(github.branches) == ["main"]


def test_weights_that_are_there_already_are_not_proposed(github: GitHubWithPulls, client: RestClient) -> None:
    assert _propose(client, weights=(ProposedWeight("cheap", 0.5, 1.0, ""),)).state == "nothing"


def test_a_repository_without_the_file_gets_one(github: GitHubWithPulls, client: RestClient) -> None:
    _propose(client, path="conf/models.yaml")
    found = github.file(BRANCH, "conf/models.yaml")
    assert found is not None
    assert yaml.safe_load(found) == {"models": {"cheap": {"weight": 0.7}}}


def test_reviewers_are_asked(github: GitHubWithPulls, client: RestClient) -> None:
    _propose(client, reviewers=("ann",))
    assert github.pulls[0]["reviewers"] == ["ann"]


@pytest.mark.parametrize(
    "step",
    [
        "POST /repos/acme/app/git/trees",
        "POST /repos/acme/app/git/commits",
        "POST /repos/acme/app/git/refs",
        "POST /repos/acme/app/pulls",
    ],
)
@pytest.mark.parametrize("failure", [lost_answer, bad_gateway])
def test_after_a_failure_at_any_step_the_next_try_makes_exactly_one(
    github: GitHubWithPulls, client: RestClient, step: str, failure: Callable[..., Failure]
) -> None:
    github.fail_next(failure(matches=step))
    with pytest.raises(UnavailableError):
        _propose(client)
    made = _propose(client)
    assert made.state in ("opened", "open")
    assert len(github.pulls) == 1
    assert github.file(BRANCH, "models.yaml") == FILE.replace("1.0", "0.7")


def test_a_branch_that_holds_something_else_is_not_touched(github: GitHubWithPulls, client: RestClient) -> None:
    github.fail_next(bad_gateway(matches="POST /repos/acme/app/pulls"))
    with pytest.raises(UnavailableError):
        _propose(client)
    with pytest.raises(InputError, match=r"has another models\.yaml than is proposed") as caught:
        _propose(client, weights=(ProposedWeight("cheap", 1.0, 0.2, ""),))
    assert "delete the branch" in str(caught.value)


def test_credentials_that_may_not_write_are_told(github: GitHubWithPulls, client: RestClient) -> None:
    github.fail_next(Failure(403, {"message": "Resource not accessible"}, matches="POST /repos/acme/app/git/trees"))
    with pytest.raises(CredentialsError, match="Resource not accessible"):
        _propose(client)
    assert list(github.branches) == ["main"]


def test_nothing_is_ever_merged_or_approved(github: GitHubWithPulls, client: RestClient) -> None:
    _propose(client, reviewers=("ann",))
    _propose(client)
    assert not [one for one in github.requests if "merge" in one.path or one.path.endswith("/reviews")]
    assert {one.method for one in github.requests} == {"GET", "POST"}
