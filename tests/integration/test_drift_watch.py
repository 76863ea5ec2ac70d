"""The conductor tells once of models that drift: on the asset, in its log and in the server's audit log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from maestro.audit import AuditLog
from maestro.errors import MaestroError
from maestro.ledger.place import ledger_url
from maestro.ledger.store import Ledger
from maestro.server.home import HOME_VARIABLE, ServerHome, find_server
from maestro.server.projects import RegisteredProject
from maestro_defs import drift_watch
from maestro_defs.drift_views import watched
from maestro_defs.drift_watch import DriftWatch
from maestro_defs.server import Server
from tests.unit.kept_calls import keep_calls
from tests.unit.llm_world import NOW

HEALTH = dg.AssetKey(["shop", "llm", "health"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerHome:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    found = find_server()
    Server(found).projects.add(RegisteredProject("shop", str(tmp_path / "origin"), tenant="acme", provider="git"))
    with Ledger.open(ledger_url(found.folder, {HOME_VARIABLE: str(found.folder)})) as ledger:
        keep_calls(ledger, NOW, whose=("acme", "shop"), last_cost=2.0)
        keep_calls(ledger, NOW, whose=("acme", "nobody"), last_cost=2.0)
    return found


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def observed(instance: dg.DagsterInstance) -> list[str]:
    records = instance.fetch_observations(HEALTH, limit=100).records
    return [one.asset_observation.description or "" for one in records if one.asset_observation is not None]


def audited(home: ServerHome) -> list[tuple[str, str, object]]:
    folder = home.folder
    with AuditLog.open(
        f"sqlite:///{folder / 'audit.db'}", origin="maestro/server", key_file=folder / "keys" / "audit.pem"
    ) as log:
        return [(one.kind, one.object, one.data["metric"]) for one in log.entries()]


def test_each_alert_is_told_once_however_many_conductors_look(
    home: ServerHome, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "maestro.models"):
        assert DriftWatch(Server(home), instance, lambda: NOW).look() == 2
        assert DriftWatch(Server(home), instance, lambda: NOW + timedelta(hours=1)).look() == 0
    (told,) = observed(instance)
    assert told.startswith("$0.00201 is what a call costs at big (24 calls)")
    assert [one.getMessage().partition(":")[0] for one in caplog.records] == ["acme/nobody", "acme/shop"]
    assert audited(home) == [("llm.drift", "acme/nobody", "cost"), ("llm.drift", "acme/shop", "cost")]


def test_one_look_an_hour_is_enough(home: ServerHome, instance: dg.DagsterInstance) -> None:
    watch = DriftWatch(Server(home), instance, lambda: NOW)
    assert (watch.look(), watch.look()) == (2, 0)


def test_what_could_not_be_told_is_told_the_next_time(
    home: ServerHome, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_arguments: object) -> None:
        raise MaestroError("the audit log does not answer")

    with monkeypatch.context() as away:
        away.setattr(drift_watch, "note_on_server", failing)
        with pytest.raises(MaestroError, match="audit log"):
            DriftWatch(Server(home), instance, lambda: NOW).look()
    assert observed(instance) == []
    assert DriftWatch(Server(home), instance, lambda: NOW).look() == 2
    assert len(observed(instance)) == 1


def test_the_health_of_a_project_shows_its_own_drift_as_a_table_and_no_other_tenant_s_name(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with Ledger.open(ledger_url(tmp_path, {})) as ledger:
        keep_calls(ledger, now, whose=("acme", "shop"), last_cost=2.0, failed=12)
        keep_calls(ledger, now, whose=("secretive", "app"))
    found = watched(tmp_path, {}, "acme", "shop")
    assert found["drift alerts"] == 0, "twelve answers are too few to judge what they cost"
    assert found["worse off than others"] is True
    assert found["slow or failed (%)"] > 40
    assert "secretive" not in str(found)


def test_a_drift_is_a_row_of_the_health_of_its_project(tmp_path: Path) -> None:
    with Ledger.open(ledger_url(tmp_path, {})) as ledger:
        keep_calls(ledger, datetime.now(UTC), last_cost=2.0)
    found = watched(tmp_path, {}, "local", "shop")
    (row,) = found["drift"].records
    assert (row.data["what"], row.data["of"], row.data["now"]) == ("cost", "big", "$0.00201")
    assert "worse off than others" not in found
