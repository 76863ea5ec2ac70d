"""The profiles that come with Maestro: complete, understood by Dagster, and without a secret of their own."""

from __future__ import annotations

import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import process_config

from maestro.cli.config import configuration
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError
from maestro.profile import FOLDERS, load_profile

NAMES = ("cluster", "default", "kubernetes", "postgres", "server", "single")
SERVERS = ("cluster", "kubernetes", "server", "single")
ENVIRONMENT = {
    "MAESTRO_ARTIFACTS": "s3://artifacts/maestro",
    "MAESTRO_POSTGRES_URL": "postgresql://maestro@db.example.com/maestro",
}


def dagster_yaml(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDERS[0] / name / "dagster.yaml").read_text("utf-8"))
    return content


def classes(name: str) -> list[tuple[Any, dict[str, Any]]]:
    """The classes a profile names, and how they are configured."""
    parts = [part for part in dagster_yaml(name).values() if isinstance(part, dict) and "class" in part]
    return [(getattr(import_module(part["module"]), part["class"]), part.get("config", {})) for part in parts]


def test_these_profiles_are_there() -> None:
    assert sorted(one.name for one in FOLDERS[0].iterdir()) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_of_a_profile_are_understood(name: str) -> None:
    assert load_profile(name, ENVIRONMENT).name == name


@pytest.mark.parametrize("name", SERVERS)
def test_every_class_a_profile_names_takes_its_configuration(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for made, config in classes(name):
        for value in config.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict):
                    monkeypatch.setenv(one["env"], "value")
        result = process_config(made.config_type(), config)
        assert result.success, (name, made, result.errors)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_queues_runs_itself_and_resumes_those_whose_worker_died(name: str) -> None:
    content = dagster_yaml(name)
    assert content["run_coordinator"]["class"] == "MaestroRunCoordinator"
    monitoring = content["run_monitoring"]
    assert monitoring["enabled"]
    assert monitoring["max_resume_run_attempts"] > 0
    # What a launcher gives a cancelled run, with a minute to kill what does not end.
    assert monitoring["cancel_timeout_seconds"] > 360


@pytest.mark.parametrize("name", NAMES)
def test_no_profile_sends_telemetry(name: str) -> None:
    assert dagster_yaml(name)["telemetry"] == {"enabled": False}


def test_the_single_machines_profile_needs_nothing_from_the_environment_but_the_servers_home() -> None:
    text = (FOLDERS[0] / "single" / "dagster.yaml").read_text("utf-8")
    assert {line.split()[-1] for line in text.splitlines() if "env:" in line} == {"MAESTRO_SERVER_HOME"}
    assert load_profile("single", {}).settings.artifacts is None


@pytest.mark.parametrize("name", ["cluster", "kubernetes"])
def test_machines_that_share_no_disk_share_the_artifact_store_and_the_audit_log(name: str) -> None:
    settings = load_profile(name, {**ENVIRONMENT, "MAESTRO_EVIDENCE_KEY": "awskms:alias/maestro"}).settings
    assert settings.artifacts == ENVIRONMENT["MAESTRO_ARTIFACTS"]
    assert settings.evidence.audit == ENVIRONMENT["MAESTRO_POSTGRES_URL"]
    assert settings.evidence.key == "awskms:alias/maestro"
    assert settings.evidence.vault is None


def test_a_variable_that_a_setting_needs_and_that_is_not_set_is_named() -> None:
    with pytest.raises(
        InputError, match="artifacts comes from the variable MAESTRO_ARTIFACTS, which is not set"
    ) as caught:
        load_profile("cluster", {})
    assert str(caught.value.next_step).startswith("export MAESTRO_ARTIFACTS=")
    assert str(caught.value.where).endswith("cluster/settings.yaml")


def test_only_a_whole_value_names_a_variable(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "settings.yaml").write_text(
        "artifacts: s3://env:bucket/x\nevidence: {origin: 'env:NOT_SET?'}\n", "utf-8"
    )
    settings = load_profile(str(tmp_path), {}).settings
    assert settings.artifacts == "s3://env:bucket/x"
    assert settings.evidence.origin is None


def test_the_configuration_is_shown_without_the_password_in_an_address(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "settings.yaml").write_text("evidence: {audit: 'postgresql://me:hush-hush@db:5432/x'}\n", "utf-8")
    shown = configuration(GlobalOptions(project=tmp_path, profile=str(tmp_path)))
    assert shown["settings"]["evidence"]["value"]["audit"] == "postgresql://me:***@db:5432/x"
    assert "hush-hush" not in str(shown)
