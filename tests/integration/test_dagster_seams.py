"""Contracts of Dagster's private parts Maestro stands on: the day one moves, a test here says which file relies on it."""

from __future__ import annotations

import importlib
import inspect
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import DagsterEvent
from dagster._core.execution.api import ExecuteRunWithPlanIterable, create_execution_plan, execute_run_iterator
from dagster._core.execution.context.system import PlanExecutionContext, StepExecutionContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import _trigger_hook, dagster_event_sequence_for_step
from dagster._core.execution.plan.execute_step import _get_output_asset_events
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.engine import Engine

from maestro.profile import load_profile
from maestro_defs.connections import kept_connections
from tests.integration.delivery import Delivery

EXECUTOR, RUN_END = "maestro_defs/executor.py", "maestro_defs/run_end.py"
LOOP = "maestro_defs/loop_state.py"
CONNECTIONS, ROWS = "maestro_defs/connections.py", "maestro_defs/event_rows.py"
SQLITE_ROWS, CACHED = "maestro_defs/sqlite_rows.py", "maestro_defs/cached_steps.py"
INSTANCE, LOGS, LOCAL = "maestro_defs/stamp.py", "maestro_defs/step_logs.py", "maestro_defs/local.py"
LEAN = "maestro_defs/lean_imports.py"

PARAMETERS: Sequence[tuple[str, Callable[..., Any], str]] = (
    (EXECUTOR, ExecuteRunWithPlanIterable, "execution_plan iterator execution_context_manager"),
    (
        EXECUTOR,
        PlanExecutionContextManager,
        "job execution_plan run_config dagster_run instance retry_mode scoped_resources_builder_cm raise_on_error "
        "output_capture step_dependency_config",
    ),
    (
        EXECUTOR,
        ExecutionPlan.start,
        "self retry_mode sort_key_fn max_concurrent tag_concurrency_limits instance_concurrency_context "
        "step_dependency_config",
    ),
    (EXECUTOR, InstanceConcurrencyContext, "instance dagster_run"),
    (LOOP, dagster_event_sequence_for_step, "step_context force_local_execution"),
    (EXECUTOR, _trigger_hook, "step_context step_event_list"),
    (LOOP, PlanExecutionContext.for_step, "self step known_state"),
    (EXECUTOR, ActiveExecution.get_steps_to_execute, "self limit"),
    (EXECUTOR, ActiveExecution.plan_events_iterator, "self job_context"),
    (EXECUTOR, ActiveExecution.concurrency_event_iterator, "self plan_context"),
    (EXECUTOR, ActiveExecution.verify_complete, "self job_context step_key"),
    (EXECUTOR, ActiveExecution.handle_event, "self dagster_event"),
    (EXECUTOR, ActiveExecution.sleep_interval, "self"),
    (EXECUTOR, ActiveExecution.sleep_til_ready, "self"),
    (LOOP, ActiveExecution.check_for_interrupts, "self"),
    (EXECUTOR, ActiveExecution.mark_interrupted, "self"),
    (LOOP, ActiveExecution.get_known_state, "self"),
    (CONNECTIONS, SqlEventLogStorage.run_connection, "self run_id"),
    (CONNECTIONS, SqlEventLogStorage.index_connection, "self"),
    (CONNECTIONS, SqlEventLogStorage.has_table, "self table_name"),
    (CONNECTIONS, SqlEventLogStorage.has_dynamic_partition, "self partitions_def_name partition_key"),
    (CONNECTIONS, SqlEventLogStorage._has_asset_key_index_cols_on_connection, "self conn"),
    (CONNECTIONS, SqliteEventLogStorage._connect, "self shard"),
    (CONNECTIONS, SqliteEventLogStorage.run_connection, "self run_id"),
    (CONNECTIONS, SqliteEventLogStorage.index_connection, "self"),
    (CONNECTIONS, SqliteEventLogStorage.conn_string_for_shard, "self shard_name"),
    (CONNECTIONS, PostgresEventLogStorage._connect, "self"),
    (CONNECTIONS, SqliteRunStorage.connect, "self"),
    (SQLITE_ROWS, SqliteEventLogStorage.store_event, "self event"),
    (SQLITE_ROWS, SqlEventLogStorage._event_to_row, "self event"),
    (SQLITE_ROWS, SqlEventLogStorage._tags_for_asset_event, "self event"),
    (SQLITE_ROWS, SqlEventLogStorage._update_asset_check_evaluation, "self event event_id"),
    (ROWS, SqlEventLogStorage._store_asset_event, "self conn event event_id"),
    (ROWS, SqlEventLogStorage.fetch_materializations, "self records_filter limit cursor ascending"),
    (ROWS, SqlEventLogStorage.get_asset_records, "self asset_keys"),
    (
        ROWS,
        SqlEventLogStorage.get_latest_tags_by_partition,
        "self asset_key event_type tag_keys asset_partitions before_cursor after_cursor",
    ),
    (INSTANCE, SqliteEventLogStorage.path_for_shard, "self run_id"),
    (LOGS, LocalComputeLogManager.get_captured_local_path, "self log_key extension partial"),
    (LOGS, LocalComputeLogManager.complete_artifact_path, "self log_key"),
    (LOGS, LocalComputeLogManager.build_log_key_for_run, "self run_id step_key"),
    (LOGS, DagsterEvent.capture_logs, "job_context step_keys log_key log_context"),
    (CACHED, PlanExecutionContext.for_step, "self step known_state"),
    (CACHED, StepExecutionContext.fetch_external_input_asset_version_info, "self"),
    (
        CACHED,
        _get_output_asset_events,
        "asset_key asset_partitions output output_def io_manager_metadata step_context execution_type",
    ),
    (CACHED, dg.AssetCheckResult.to_asset_check_evaluation, "self step_context"),
    (CACHED, DagsterEvent.step_start_event, "step_context"),
    (CACHED, DagsterEvent.step_output_event, "step_context step_output_data"),
    (CACHED, DagsterEvent.asset_materialization, "step_context materialization batch_metadata"),
    (CACHED, DagsterEvent.asset_check_evaluation, "step_context asset_check_evaluation"),
    (CACHED, DagsterEvent.step_success_event, "step_context success"),
    (LOCAL, execute_run_iterator, "job dagster_run instance resume_from_failure"),
    (LOCAL, InMemoryJob, "job_def"),
)


@pytest.mark.parametrize(("user", "part", "parameters"), PARAMETERS, ids=lambda one: getattr(one, "__qualname__", ""))
def test_a_private_part_takes_what_it_took(user: str, part: Callable[..., Any], parameters: str) -> None:
    now = list(inspect.signature(part).parameters)
    assert now == parameters.split(), f"{user} calls or replaces {part.__qualname__}, whose parameters have changed"


@dg.asset
def flour() -> None: ...


@dg.asset(deps=[flour])
def bread() -> None: ...


def bakery() -> dg.JobDefinition:
    made = dg.Definitions(assets=[flour, bread], jobs=[dg.define_asset_job("bakery", [flour, bread])])
    return made.resolve_job_def("bakery")


def test_a_step_goes_from_pending_to_executable_to_in_flight() -> None:
    plan = create_execution_plan(bakery())
    with plan.start(retry_mode=RetryMode.ENABLED, max_concurrent=2) as active:
        assert isinstance(active._pending, dict), f"{EXECUTOR} looks at what is pending"
        assert set(active._pending) == {"bread"}, f"{EXECUTOR} takes pending for what waits for another step"
        assert list(active._executable) == ["flour"], f"{EXECUTOR} takes executable for what may start"
        (step,) = active.get_steps_to_execute(limit=1)
        assert active._in_flight == {"flour"}, f"{EXECUTOR} takes in flight for what it was handed"
        assert not active._executable, f"{EXECUTOR} is handed a step once"
        assert not active.is_complete, f"{EXECUTOR} ends the run when all is complete"
        others: list[Any] = [active._pending_skip, active._pending_retry, active._pending_abandon]
        assert not any([*others, active._waiting_to_retry]), f"{EXECUTOR} takes these for steps still to be settled"
        active.mark_step_produced_output(StepOutputHandle("flour", "result"))
        active.mark_success(step.key)
        (following,) = active.get_steps_to_execute()
        assert following.key == "bread", f"{EXECUTOR} counts on a finished step to release the next"
        assert not active._pending, f"{EXECUTOR} takes a step that was handed out for no longer pending"
        active.mark_success("bread")
        assert active.is_complete


def test_a_compiled_step_knows_its_tags_and_its_run_its_resources() -> None:
    step = create_execution_plan(bakery()).get_steps_to_execute_in_topo_order()[0]
    assert isinstance(step.tags, Mapping), f"{EXECUTOR} finds finally steps by a tag of the step"
    named = inspect.signature(PlanExecutionContext.scoped_resources_builder.fget).return_annotation  # type: ignore[attr-defined]  # a property
    assert "ScopedResourcesBuilder" in str(named), f"{RUN_END} finds the session among the run's resources"
    from dagster._core.definitions.scoped_resources_builder import ScopedResourcesBuilder

    assert "resource_instance_dict" in ScopedResourcesBuilder._fields, f"{RUN_END} reads it from there"


@pytest.mark.parametrize(
    "name",
    [
        "dagster._core.storage.runs.sqlite.sqlite_run_storage",
        "dagster._core.storage.event_log.sqlite.sqlite_event_log",
        "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    ],
)
def test_each_sqlite_storage_asks_alembic_by_a_name_of_its_own_module(name: str) -> None:
    ask = vars(importlib.import_module(name)).get("check_alembic_revision")
    assert ask is not None, f"{INSTANCE} replaces check_alembic_revision in {name}"
    assert len(inspect.signature(ask).parameters) == 2, f"{INSTANCE} answers for (config, connection)"
    assert "get_alembic_config" in vars(importlib.import_module(name)), f"{INSTANCE} gives no configuration to {name}"


def test_the_storages_only_name_alembic_while_they_are_imported() -> None:
    """``test_lean_imports.py`` shows that they can be imported without it."""
    sql = importlib.import_module("dagster._core.storage.sql")
    named = {name for name, value in vars(sql).items() if getattr(value, "__module__", "").startswith("alembic")}
    used = {"downgrade", "stamp", "upgrade", "Config", "EnvironmentContext", "MigrationContext", "ScriptDirectory"}
    assert named == used, f"{LEAN} knows these names to be called only: {used}"
    types = importlib.import_module("dagster._daemon.types")
    needed = {value.__module__ for value in vars(types).values() if getattr(value, "__module__", None)}
    assert not {name for name in needed if name.startswith("dagster._daemon.")} - {types.__name__}, (
        f"{LEAN} imports it without the rest of the daemon"
    )


def test_a_job_is_named_to_dagster_as_the_command_line_does(tmp_path: Path) -> None:
    repository = ReconstructableRepository(ModuleCodePointer("maestro_defs.definitions", "defs", str(tmp_path)))
    job = ReconstructableJob(repository, "flow", asset_selection=frozenset(), asset_check_selection=None)
    assert job.job_name == "flow", f"{LOCAL} hands the job to Dagster's multiprocess executor"
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("maestro"), "__repository__"), job_name="flow"
    )
    assert origin.location_name == "maestro", f"{LOCAL} tells the UI where a run's job is"


def test_a_step_log_is_a_file_that_ends_when_it_is_marked_complete(tmp_path: Path) -> None:
    manager = LocalComputeLogManager(str(tmp_path))
    key = manager.build_log_key_for_run("run", "step")
    path = Path(manager.get_captured_local_path(key, IO_TYPE_EXTENSION[ComputeIOType.STDOUT]))
    path.parent.mkdir(parents=True)
    path.write_text("said\n")
    data, _ = manager.get_log_data_for_type(key, ComputeIOType.STDOUT, 0, None)
    assert data == b"said\n", f"{LOGS} writes the file the UI reads"
    assert not manager.is_capture_complete(key), f"{LOGS} leaves it open while the step runs"
    Path(manager.complete_artifact_path(key)).touch()  # type: ignore[no-untyped-call]  # Dagster's is.
    assert manager.is_capture_complete(key), f"{LOGS} marks it complete by a file"
    assert CapturedLogContext(key).log_key == key, f"{LOGS} tells of it by an event"


@pytest.fixture
def sqlite_delivery(tmp_path: Path) -> Delivery:
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root, load_profile("default"))
    made.git("init", "-q", "-b", "main")
    return made


def test_a_stamped_instance_asks_alembic_nothing_and_starts_runs_from_the_template(
    sqlite_delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite_delivery.instance():
        pass
    home = sqlite_delivery.project.home / "dagster"
    assert (home / "schema").read_text() == dg.__version__
    assert sqlite3.connect(home / "empty-run.db").execute("SELECT count(*) FROM event_logs").fetchone() == (0,)
    asked: list[str] = []
    for name in ("alembic.script.ScriptDirectory.get_current_head", "alembic.script.ScriptDirectory.walk_revisions"):
        monkeypatch.setattr(name, lambda *_: asked.append("asked"))
    with sqlite_delivery.instance() as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, SqliteEventLogStorage)
        assert INDEX_SHARD_NAME in storage._initialized_dbs, f"{INSTANCE} says that the index needs no migration"
        store(instance, "a-run")
        assert "a-run" in storage._initialized_dbs, f"{INSTANCE} says that a copied run database needs none"
        assert Path(storage.path_for_shard("a-run")).is_file()
        assert [one.message for one in instance.all_logs("a-run")] == ["hello"]
    assert not asked, f"{INSTANCE} no longer keeps Dagster from loading its migrations"


def store(instance: dg.DagsterInstance, run_id: str, revision: str = "r1") -> None:
    """Stores an event: that an asset was materialized."""
    about = DagsterEvent(
        "ASSET_MATERIALIZATION",
        "bakery",
        event_specific_data=materialized(dg.AssetMaterialization("flour", partition=revision, tags={"a": "b"})),
    )
    entry = dg.EventLogEntry(None, 10, "hello", run_id, time.time(), None, "bakery", about)  # type: ignore[no-untyped-call] # Dagster's is.
    instance.store_event(entry)


def materialized(what: dg.AssetMaterialization) -> Any:
    from dagster._core.events import StepMaterializationData

    return StepMaterializationData(what)


def test_connections_are_kept_within_the_block_and_everything_is_put_back_after_it(delivery: Delivery) -> None:
    opened: list[object] = []

    def count(connection: object, _record: object) -> None:
        opened.append(connection)

    with delivery.instance() as instance:
        storage: Any = instance.event_log_storage
        instance.add_dynamic_partitions("revisions", ["r1"])
        before = dict(storage.__dict__)
        with kept_connections(instance) as kept:
            assert kept, f"{CONNECTIONS} does not know {type(storage).__name__} any more"
            store(instance, "a-run")
            assert storage.has_dynamic_partition("revisions", "r1")
            assert instance.get_run_by_id("no-run") is None
            sqlalchemy_event.listen(Engine, "connect", count)
            try:
                for _ in range(5):
                    store(instance, "a-run")
                    assert storage.has_dynamic_partition("revisions", "r1")
                    if isinstance(instance.run_storage, SqliteRunStorage):
                        assert instance.get_run_by_id("no-run") is None
            finally:
                sqlalchemy_event.remove(Engine, "connect", count)
            with kept_connections(instance) as again:
                assert not again, "a block inside a block keeps what is kept"
        assert not opened, f"{CONNECTIONS} no longer covers every way in which {type(storage).__name__} connects"
        replaced = {name for name in {*before, *storage.__dict__} if before.get(name) is not storage.__dict__.get(name)}
        assert "connect" not in instance.run_storage.__dict__
        assert not replaced, f"{CONNECTIONS} left these behind: {replaced}"
        store(instance, "a-run")
        assert len(instance.all_logs("a-run")) == 7


def test_an_event_stored_by_a_kept_connection_is_the_one_dagster_stores_itself(delivery: Delivery) -> None:
    with delivery.instance() as instance:
        store(instance, "stock")
        with kept_connections(instance):
            store(instance, "kept")
            inside = instance.get_latest_materialization_event(dg.AssetKey("flour"))
        assert row_of(instance, "stock") == row_of(instance, "kept"), f"{ROWS} writes other rows than Dagster"
        outside = instance.get_latest_materialization_event(dg.AssetKey("flour"))
        assert inside == outside, f"{ROWS} answers from memory what Dagster would not"
        assert outside is not None
        assert outside.run_id == "kept"


def row_of(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, Any]:
    """The columns of the only row of a run, without its id, its time and the run."""
    storage: Any = instance.event_log_storage
    with storage.run_connection(run_id) as connection:
        found = connection.exec_driver_sql(f"SELECT * FROM event_logs WHERE run_id = '{run_id}'")
        (row,) = [dict(one._mapping) for one in found]
    assert row.pop("run_id") == run_id
    assert run_id in row.pop("event")
    assert row.pop("timestamp") is not None
    row.pop("id")
    return row


READER = """
import sys
from pathlib import Path
from maestro.profile import load_profile
from maestro.project import Project
from maestro_defs.instance import open_instance
with open_instance(Project.find(Path(sys.argv[1]), environ={}), load_profile(sys.argv[2])) as instance:
    print([one.message for one in instance.all_logs("a-run")])
    info = instance.event_log_storage.get_concurrency_info("compiler")
    print(info.slot_count, info.active_slot_count, sorted(info.active_run_ids))
    print(instance.event_log_storage.claim_concurrency_slot("compiler", "other-run", "step").is_claimed)
"""


def test_events_and_pool_claims_of_a_kept_connection_are_seen_by_other_processes_at_once(delivery: Delivery) -> None:
    with delivery.instance() as instance, kept_connections(instance):
        storage = instance.event_log_storage
        storage.set_concurrency_slots("compiler", 1)
        store(instance, "a-run")
        assert storage.claim_concurrency_slot("compiler", "a-run", "build").is_claimed
        asked = [sys.executable, "-c", READER, str(delivery.root), delivery.profile.name]
        seen = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert seen.stdout.splitlines() == ["['hello']", "1 1 ['a-run']", "False"], seen.stderr
        storage.free_concurrency_slots_for_run("a-run")
        assert storage.claim_concurrency_slot("compiler", "other-run", "step").is_claimed


def test_an_unknown_storage_is_left_as_it_is() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = dict(instance.event_log_storage.__dict__)
        with kept_connections(instance) as kept:
            assert isinstance(kept, bool)
            store(instance, "a-run")
        assert instance.event_log_storage.__dict__.keys() == before.keys()
