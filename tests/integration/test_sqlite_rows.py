"""The rows Maestro writes into Dagster's SQLite databases are those Dagster writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.event_api import EventLogRecord
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.execution.plan.objects import StepSuccessData
from dagster._core.instance import DagsterInstance
from dagster_shared.serdes import serialize_value

from maestro_defs.connections import collected, kept_connections, written_together
from maestro_defs.sqlite_rows import record_text

FLOUR = dg.AssetKey(["shop", "flour"])
TAGS = {"dagster/data_version": "v1", "dagster/code_version": "c1"}


def evaluation(*, passed: bool) -> AssetCheckEvaluation:
    target = AssetCheckEvaluationTargetMaterializationData(storage_id=3, run_id="a-run", timestamp=5.0)
    return AssetCheckEvaluation(
        asset_key=FLOUR,
        check_name="fine",
        passed=passed,
        metadata={"summary": "ok"},
        target_materialization_data=target,
    )


def entry(kind: DagsterEventType, data: Any = None, at: float = 1000.25) -> dg.EventLogEntry:
    """An event of a step as it is stored."""
    about = DagsterEvent(kind.value, "bakery", step_key="flour", event_specific_data=data, message='it\'s "done" — ✓')
    return dg.EventLogEntry(None, 10, "said", "a-run", at, "flour", "bakery", about)  # type: ignore[no-untyped-call] # Dagster's is.


def day() -> Sequence[dg.EventLogEntry]:
    """Every kind of event there is a way of its own for, some twice, and some there is none for."""
    kinds = DagsterEventType
    materialized = StepMaterializationData(dg.AssetMaterialization(FLOUR, partition="r1", tags=TAGS))
    again = StepMaterializationData(dg.AssetMaterialization(FLOUR, partition="r2", metadata={"weight": 1.5}))
    return [
        entry(kinds.ASSET_CHECK_EVALUATION_PLANNED, AssetCheckEvaluationPlanned(asset_key=FLOUR, check_name="fine")),
        entry(kinds.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(FLOUR)),
        entry(kinds.STEP_START),
        entry(kinds.ASSET_MATERIALIZATION, materialized, at=2000.5),
        entry(kinds.ASSET_CHECK_EVALUATION, evaluation(passed=True), at=2001.0),
        entry(kinds.ASSET_MATERIALIZATION, again, at=2002.123456),
        entry(kinds.ASSET_OBSERVATION, AssetObservationData(dg.AssetObservation(FLOUR)), at=2003.0),
        entry(kinds.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(FLOUR), at=2004.0),
        entry(kinds.ASSET_CHECK_EVALUATION, evaluation(passed=False), at=2005.0),
        entry(kinds.STEP_SUCCESS, StepSuccessData(duration_ms=1.5)),  # type: ignore[no-untyped-call] # Dagster's is.
    ]


def rows(home: Path) -> dict[str, list[Any]]:
    """What is in the databases, without the moments at which rows were made."""
    found: dict[str, list[Any]] = {}
    for path in sorted(home.rglob("history/runs/*.db")):
        connection = sqlite3.connect(path)
        connection.row_factory = sqlite3.Row
        for table in ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions"):
            selected = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]
            for row in selected:
                row.pop("create_timestamp", None)
            found[f"{path.name} {table}"] = selected
        connection.close()
    return found


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "stock", tmp_path / "ours"
    for home in (first, second):
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return first, second


@pytest.mark.parametrize("together", [nullcontext, written_together, collected], ids=["one by one", "together", "late"])
def test_the_rows_are_those_dagster_writes(
    homes: tuple[Path, Path], together: Callable[[DagsterInstance], AbstractContextManager[object]]
) -> None:
    stock, ours = homes
    with DagsterInstance.from_config(str(stock)) as instance:
        for one in day():
            instance.store_event(one)
    with DagsterInstance.from_config(str(ours)) as instance, kept_connections(instance), together(instance):
        for one in day():
            instance.store_event(one)
    expected = rows(stock)
    assert [len(found) for found in expected.values()] != [0] * len(expected)
    assert rows(ours) == expected


def test_the_text_of_a_record_is_the_one_dagster_serializes() -> None:
    event = day()[3]
    assert record_text(serialize_value(event), 17) == serialize_value(EventLogRecord(17, event))


def test_what_is_written_together_is_seen_by_others_all_at_once_or_not_at_all(homes: tuple[Path, Path]) -> None:
    home, _ = homes
    with DagsterInstance.from_config(str(home)) as instance, kept_connections(instance):
        instance.store_event(entry(DagsterEventType.STEP_START))
        with pytest.raises(KeyError), written_together(instance):
            for one in day():
                instance.store_event(one)
            raise KeyError("stop")
        assert [len(found) for name, found in rows(home).items() if name == "a-run.db event_logs"] == [1]
        with written_together(instance):
            for one in day():
                instance.store_event(one)
            assert [len(found) for name, found in rows(home).items() if name == "a-run.db event_logs"] == [1]
        assert [len(found) for name, found in rows(home).items() if name == "a-run.db event_logs"] == [11]


def test_what_is_collected_is_held_by_nobody_until_it_is_written_even_when_something_fails(
    homes: tuple[Path, Path],
) -> None:
    home, _ = homes

    def written() -> int:
        return len(rows(home)["a-run.db event_logs"])

    with DagsterInstance.from_config(str(home)) as instance, kept_connections(instance):
        instance.store_event(entry(DagsterEventType.STEP_START))
        with pytest.raises(KeyError), collected(instance):
            for _ in range(3):
                instance.store_event(entry(DagsterEventType.STEP_START))
            assert written() == 1
            other = threading.Thread(target=instance.store_event, args=[entry(DagsterEventType.STEP_START)])
            other.start()
            other.join(30)
            assert written() == 2, "another thread's event is written at once"
            raise KeyError("stop")
        assert written() == 5, "what has been logged is not lost"
