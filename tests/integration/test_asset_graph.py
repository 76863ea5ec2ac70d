"""A snapshot of everything Dagster sees of a rich workflow; after a wanted change: MAESTRO_UPDATE_SNAPSHOTS=1 pytest."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from maestro_defs.definitions import definitions_of
from resources.delivery import Source
from tests.integration.delivery import Delivery

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")

WORKFLOW = """
    name: ship-it
    version: 2.1.0
    project: shop
    description: Everything a revision goes through.
    params:
      level: {type: integer, default: 1, enum: [1, 2, 3], description: How thorough the tests are.}
      region: {type: string, description: Where to deploy.}
      targets: {type: list, default: [web]}
    timeout: 1h
    stages:
      - name: build
        parallel:
          - id: api
            run: shell
            description: The service, packed.
            owners: [team:platform, ops@example.com]
            with: {command: 'make api'}
            inputs: [api/**]
            outputs: {api: dist/api.tar}
            pool: compiler
            retries: {max: 3, delay: 2s, backoff: exponential, jitter: true}
          - id: web
            run: shell
            with: {command: 'make web'}
            outputs: [dist/web/**]
            retries: {max: 1, delay: 5s}
      - name: test
        parallel:
          - {id: unit, run: test.unit, with: {command: 'make unit', report: report.xml}}
          - id: matrix
            run: shell
            matrix: {python: ['3.11', '3.12'], database: [sqlite, postgres], exclude: [{python: '3.11', database: postgres}]}
            with: {command: 'make test PYTHON={{ matrix.python }} DATABASE={{ matrix.database }}'}
          - {id: browser, run: test.e2e, with: {command: 'make browser'}, continue_on_error: true}
      - name: docs
        needs: []
        steps:
          - {id: manual, run: shell, with: {command: 'make manual'}}
      - name: deploy
        needs: [test]
        when: params.level > 1
        steps:
          - id: push
            run: shell
            effects: true
            with: {command: './push {{ params.region }}'}
            compensate: {run: shell, with: {command: './roll-back'}}
          - {id: check, run: shell, when: steps.push.passed, with: {command: './check'}, depends_on: [manual]}
    finally:
      - {id: tell, run: shell, with: {command: './tell'}}
      - {id: clean, run: shell, with: {command: './clean'}}
    """


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    root = tmp_path / "shop"
    root.mkdir()
    made = Delivery(root)
    made.git("init", "-q", "-b", "main")
    made.workflow(WORKFLOW)
    return definitions_of(Source.load(made.project, made.profile), {})


def test_the_asset_graph_is_the_one_written_down(definitions: dg.Definitions) -> None:
    now = "\n".join(snapshot(definitions)) + "\n"
    if os.environ.get("MAESTRO_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.write_text(now, encoding="utf-8")
    before = SNAPSHOT.read_text(encoding="utf-8")
    changed = difflib.unified_diff(before.splitlines(), now.splitlines(), "written down", "now", lineterm="")
    advice = f"\n\nif this is wanted: MAESTRO_UPDATE_SNAPSHOTS=1 pytest {SNAPSHOT.parent.name}/{Path(__file__).name}"
    assert now == before, "the asset graph has changed:\n" + "\n".join(changed) + advice


def test_code_versions_change_with_the_step_and_only_with_it(definitions: dg.Definitions, tmp_path: Path) -> None:
    other = Delivery(tmp_path / "other")
    other.root.mkdir()
    other.git("init", "-q", "-b", "main")
    other.workflow(WORKFLOW.replace("make web", "make pages"))
    changed = definitions_of(Source.load(other.project, other.profile), {})
    before, after = code_versions(definitions), code_versions(changed)
    assert {key for key in before if before[key] != after[key]} == {"shop/build/web"}


@pytest.mark.parametrize(
    ("environ", "status"), [({}, "STOPPED"), ({"MAESTRO_ADVISORY_SOURCE": "https://osv.example"}, "RUNNING")]
)
def test_advisories_are_brought_up_to_date_on_schedule_once_a_source_is_named(
    environ: dict[str, str], status: str, tmp_path: Path
) -> None:
    made = Delivery(tmp_path / "shop")
    made.root.mkdir()
    made.git("init", "-q", "-b", "main")
    made.workflow(WORKFLOW)
    repository = definitions_of(Source.load(made.project, made.profile), environ).get_repository_def()
    assert repository.get_schedule_def("update_advisories").default_status.value == status


def test_an_update_of_advisories_without_a_source_says_how_to_name_one(
    definitions: dg.Definitions, tmp_path: Path
) -> None:
    job = definitions.resolve_job_def("update_advisories")
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        run = instance.create_run_for_job(job)
        events = list(execute_run_iterator(InMemoryJob(job), run, instance))
    assert events[-1].event_type_value == "PIPELINE_FAILURE"
    (failed,) = [event for event in events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data is not None
    assert "set MAESTRO_ADVISORY_SOURCE to an address or a folder" in str(
        failed.step_failure_data.user_failure_data.description
    )


def code_versions(definitions: dg.Definitions) -> dict[str, str | None]:
    return {spec.key.to_user_string(): spec.code_version for spec in definitions.resolve_all_asset_specs()}


def snapshot(definitions: dg.Definitions) -> Iterator[str]:
    """Sorted lines; what differs between machines (paths, digests) is left out."""
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    for key in sorted(graph.get_all_asset_keys()):
        yield from asset(definitions, graph, key)
    for name in sorted(repository.job_names):
        yield from job(definitions.resolve_job_def(name))
    for sensor in sorted(repository.sensor_defs, key=lambda one: one.name):
        yield f"sensor {sensor.name}"
        yield f"  {sensor.default_status.value}, every {sensor.minimum_interval_seconds} s"
        yield f"  {sensor.description}"
    for schedule in sorted(repository.schedule_defs, key=lambda one: one.name):
        yield f"schedule {schedule.name}"
        yield f"  {schedule.default_status.value}, {schedule.cron_schedule}, job {schedule.job_name}"
    for name, resource in sorted(repository.get_top_level_resources().items()):
        yield f"resource {name}"
        fields = getattr(resource.config_schema.config_type, "fields", {})
        for field, about in sorted(fields.items()):
            default = f"default {about.default_value_as_json_str}" if about.default_provided else "no default"
            yield f"  {field}: {type_name(about.config_type)}, {default}"


def asset(definitions: dg.Definitions, graph: Any, key: dg.AssetKey) -> Iterator[str]:
    node = graph.get(key)
    made_by = definitions.resolve_assets_def(key)
    spec = made_by.specs_by_key[key]
    op = made_by.op
    yield f"asset {key.to_user_string()}"
    yield f"  description: {node.description}"
    yield f"  group: {node.group_name}, kinds: {words(node.kinds)}, owners: {words(node.owners)}"
    yield f"  after: {words(one.to_user_string() for one in node.parent_keys)}"
    partitions = getattr(node.partitions_def, "name", type(node.partitions_def).__name__)
    if node.partitions_def is None:
        partitions = "none"
    yield f"  partitions: {partitions}, code version: {'yes' if spec.code_version else 'no'}"
    for check in sorted(made_by.check_specs, key=lambda one: one.name):
        yield f"  check: {check.name}, {'blocking' if check.blocking else 'not blocking'}"
    yield f"  op: {op.name}, pool: {op.pool}, tags: {words(f'{name}={value}' for name, value in op.tags.items())}"
    retries = op.retry_policy
    if retries:
        backoff, jitter = (one.name if one else None for one in (retries.backoff, retries.jitter))
        yield f"  retries: {retries.max_retries}, delay {retries.delay:g} s, backoff {backoff}, jitter {jitter}"
    yield f"  outputs: {words(one.name if one.is_required else f'{one.name}?' for one in op.output_defs)}"
    yield f"  resources: {words(op.required_resource_keys)}"
    shown = {name: getattr(value, "value", value) for name, value in node.metadata.items()}
    yield from (f"  metadata: {name} = {value}" for name, value in sorted(shown.items()))


def job(definition: dg.JobDefinition) -> Iterator[str]:
    yield f"job {definition.name}"
    yield f"  description: {definition.description}"
    yield f"  executor: {definition.executor_def.name}, tags: {words(f'{a}={b}' for a, b in definition.tags.items())}"
    selected = definition.asset_layer.executable_asset_keys
    if selected:
        yield f"  assets: {words(key.to_user_string() for key in selected)}"
    else:
        yield f"  ops: {words(node.name for node in definition.nodes)}"


def type_name(kind: Any) -> str:
    """A configuration type as the Launchpad shows it."""
    inner = getattr(kind, "inner_type", None)
    return f"{kind.kind.value.lower()} of {type_name(inner)}" if inner else kind.given_name or kind.kind.value.lower()


def words(names: Any) -> str:
    return " ".join(sorted(names)) or "none"
