"""``init``, ``artifacts``, ``config``, ``doctor``, ``schema`` and ``completion`` on a real repository."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.product import Product

WORKFLOW = """
    name: shop
    project: shop
    secrets: [TOKEN_OF_TEST]
    stages:
      - name: build
        steps:
          - {id: compile, run: shell, with: {command: 'echo compiled > made.txt'}, outputs: {result: made.txt}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Product:
    return Product.new(tmp_path / "shop", {"maestro.yaml": WORKFLOW})


def test_a_makefile_project_goes_from_init_to_a_second_run_from_the_cache(tmp_path: Path) -> None:
    product = Product.new(tmp_path / "made", {"Makefile": "build:\n\techo built\ntest:\n\techo tested\n"})
    ended = product.installed("init")
    assert ended.code == 0, ended.text
    assert "found: a Makefile (build, test)" in ended.out
    assert "next: maestro plan" in ended.out
    assert product.installed("plan").code == 0
    product.deliver_installed()
    assert {step["state"] for step in product.deliver_installed()["steps"]} == {"cached"}


def test_init_works_without_commits_prints_and_overwrites_only_when_told(tmp_path: Path) -> None:
    product = Product(tmp_path / "bare")
    product.root.mkdir()
    product.git("init", "-q")
    printed = product.maestro("init", "--print")
    assert printed.code == 0, printed.text
    assert not (product.root / "maestro.yaml").exists()
    assert product.maestro("init").code == 0
    assert (product.root / "maestro.yaml").read_text("utf-8") == printed.out
    assert product.maestro("init", "--force", "--template", "minimal").code == 0
    assert product.deliver()["state"] == "succeeded"


def test_artifacts_are_listed_got_verified_and_collected(shop: Product, tmp_path: Path) -> None:
    run = shop.deliver()
    listed = shop.maestro("artifacts", "ls", "--json").json()["artifacts"]
    assert {one["name"] for one in listed} == {"result", "log"}
    assert shop.maestro("artifacts", "ls", "--run", "latest", "--json").json()["artifacts"] == listed
    result = next(one for one in listed if one["name"] == "result")
    assert result["run"] == run["run_id"]
    target = tmp_path / "got.txt"
    assert shop.maestro("artifacts", "get", "compile", "-o", str(target)).code == 0
    assert target.read_text("utf-8") == "compiled\n"
    assert shop.maestro("artifacts", "get", result["sha256"][:12], "-o", "-").out == "compiled\n"
    assert "0 corrupt" in shop.maestro("artifacts", "verify").out
    dry = shop.maestro("artifacts", "gc", "--older-than", "1h", "--json").json()
    assert dry == {"deleted": False, "objects": [], "bytes": 0, "records": []}


def test_a_corrupt_artifact_is_found_and_the_exit_code_is_1(shop: Product) -> None:
    shop.deliver()
    listed = shop.maestro("artifacts", "ls", "--json").json()["artifacts"]
    digest = next(one["sha256"] for one in listed if one["name"] == "result")
    stored = shop.project.home / "artifacts" / "cas" / "sha256" / digest[:2] / digest[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"tampered")
    ended = shop.maestro("artifacts", "verify", "--json")
    assert ended.code == 1
    assert ended.json()["corrupt"] == [digest]


def test_config_says_where_everything_comes_from_and_shows_no_secret(shop: Product) -> None:
    product = replace(shop, environment={"TOKEN_OF_TEST": "hunter2hunter2", "MAESTRO_TOKEN": "sesame-sesame"})
    ended = product.maestro("config", "--json")
    assert ended.code == 0, ended.text
    found = ended.json()
    assert found["secrets"]["TOKEN_OF_TEST"] == {"value": "available", "from": "variable TOKEN_OF_TEST"}
    assert found["environment"]["MAESTRO_TOKEN"]["value"] == "set"
    assert found["project"]["root"]["value"] == str(shop.root)
    assert "hunter2" not in ended.text
    assert "sesame" not in ended.text
    assert "missing" in shop.maestro("config").out


def test_doctor_says_what_is_missing_and_how_to_get_it(shop: Product) -> None:
    found = shop.maestro("doctor", "--json")
    assert found.code == 0, found.text
    names = [check["name"] for check in found.json()["checks"]]
    assert {"python", "git", "workflow", "artifact store", "disk space", "dagster", "bubblewrap"} <= set(names)
    shop.write({"maestro.yaml": WORKFLOW.replace("run: shell,", "run: shell, secrets: [TOKEN_OF_TEST],")})
    ended = shop.maestro("doctor")
    assert ended.code == 1
    assert "set the environment variable TOKEN_OF_TEST" in ended.out


def test_doctor_says_that_the_postgres_profile_needs_its_url(shop: Product) -> None:
    ended = shop.maestro("--profile", "postgres", "doctor")
    assert ended.code == 1
    assert "export MAESTRO_POSTGRES_URL=" in ended.out


def test_the_schema_is_printed_and_written(shop: Product, tmp_path: Path) -> None:
    printed = shop.maestro("schema")
    assert json.loads(printed.out)["$schema"]
    target = tmp_path / "schema.json"
    assert shop.maestro("schema", "--write", str(target)).code == 0
    assert target.read_text("utf-8") == printed.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_each_shell_asks_maestro(shop: Product, shell: str) -> None:
    assert "_MAESTRO_COMPLETE" in shop.maestro("completion", shell).out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("maestro pl", "plan"),
        ("maestro run comp", "compile"),
        ("maestro run bui", "build"),
        ("maestro logs l", "latest"),
    ],
)
def test_commands_steps_stages_and_runs_are_completed(shop: Product, words: str, offered: str) -> None:
    asked = {"_MAESTRO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert f"plain,{offered}" in replace(shop, environment=asked).maestro().out.split()
