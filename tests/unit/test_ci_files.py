"""CI files of ``maestro init --ci``: valid by the services' own schemas, and careful with rights and secrets."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from maestro.ci import SERVICES, ci_file
from maestro.errors import InputError

SCHEMAS = {"github": "github-workflows.json", "gitlab": "gitlab-ci.json"}
"""As check-jsonschema ships them."""


def document(service: str) -> dict[Any, Any]:
    text = ci_file(service, version="1.2.3", default_branch="trunk")
    found: dict[Any, Any] = yaml.load(text, Loader=yaml.BaseLoader if service == "github" else yaml.SafeLoader)
    return found


def problems(service: str, content: object) -> list[str]:
    folder = files("check_jsonschema").joinpath("builtin_schemas/vendor")
    schema = json.loads(folder.joinpath(SCHEMAS[service]).read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [error.message for error in validator.iter_errors(content)]


def github_steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document("github")["jobs"]["maestro"]["steps"]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_file_is_valid_by_the_services_schema(service: str) -> None:
    content = yaml.safe_load(ci_file(service, version="1.2.3", default_branch="trunk"))
    # YAML 1.1 reads GitHub's key `on` as a truth value.
    content = {("on" if key is True else key): value for key, value in content.items()}
    assert problems(service, content) == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_schema_would_notice_a_mistake(service: str) -> None:
    assert problems(service, {"jobs": 7, "maestro": {"script": 7}})


@pytest.mark.parametrize("service", SERVICES)
def test_the_file_installs_the_version_that_wrote_it_and_leaves_no_word_to_fill_in(service: str) -> None:
    text = ci_file(service, version="1.2.3", default_branch="trunk")
    assert "maestro-conductor[evidence]==1.2.3" in text
    assert not re.search(r"@[a-z-]+@", text)


def test_github_runs_the_default_branch_tags_and_pull_requests_and_never_with_the_rights_of_the_base() -> None:
    events = document("github")["on"]
    assert events["push"]["branches"] == ["trunk"]
    assert "pull_request" in events
    assert "pull_request_target" not in events


def test_github_grants_nothing_but_reading_the_contents() -> None:
    content = document("github")
    assert content["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in content["jobs"].values())


def test_github_names_every_action_by_its_commit_with_the_version_beside_it() -> None:
    text = ci_file("github", version="1.2.3", default_branch="trunk")
    used = re.findall(r"uses: (.+)", text)
    assert len(used) == 5
    assert all(re.fullmatch(r"actions/[a-z-]+(/[a-z]+)?@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in used)


def test_github_keeps_no_token_in_the_checkout_and_hands_no_secret_out() -> None:
    assert github_steps()[0]["with"]["persist-credentials"] == "false"
    assert "secrets." not in json.dumps(document("github"))


def test_github_puts_no_text_of_others_into_a_script() -> None:
    assert all("${{" not in step.get("run", "") for step in github_steps())


def test_only_a_newer_push_to_a_pull_request_cancels() -> None:
    concurrency = document("github")["concurrency"]
    assert concurrency["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    assert "github.sha" in concurrency["group"]
    rules = document("gitlab")["maestro"]["rules"]
    assert [(rule.get("if"), rule["interruptible"]) for rule in rules] == [
        ('$CI_PIPELINE_SOURCE == "merge_request_event"', True),
        (None, False),
    ]


def test_both_cache_artifacts_and_results_but_neither_keys_nor_evidence() -> None:
    wanted = [".maestro/artifacts/cas", ".maestro/artifacts/cache"]
    assert document("gitlab")["maestro"]["cache"]["paths"] == wanted
    cached = [step["with"]["path"].split() for step in github_steps() if "cache" in step.get("uses", "")]
    assert cached == [wanted, wanted]


@pytest.mark.parametrize("branch", ["", "feature*", "it's", "a b", "ä"])
def test_a_branch_that_a_filter_cannot_name_is_refused(branch: str) -> None:
    with pytest.raises(InputError, match="cannot be named in a filter") as caught:
        ci_file("github", version="1", default_branch=branch)
    assert "--print" in str(caught.value.next_step)


def test_an_unknown_service_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no file for the CI service 'jenkins'") as caught:
        ci_file("jenkins", version="1", default_branch="main")
    assert caught.value.next_step == "choose one of github, gitlab"
