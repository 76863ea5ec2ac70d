"""Compiles a workflow: one asset for each step (and matrix cell), one job, and the resources a run of it needs."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import dagster as dg

from maestro.errors import MaestroError
from maestro.evidence.errors import QuarantinedError
from maestro.execution.errors import StepCancelledError, StepError
from maestro.execution.log import StepLog
from maestro.execution.session import RunSession
from maestro.execution.step import Outcome, run_step
from maestro.runs.tags import PROJECT_TAG, WORKFLOW_TAG
from maestro.steps import StepKind
from maestro.workflow.expressions import has_expression
from maestro.workflow.graph import Node
from maestro.workflow.model import Retries
from maestro_defs.executor import FINAL_TAG, default_concurrency, maestro_executor
from maestro_defs.late_end import late_end_job
from maestro_defs.names import op_names
from maestro_defs.partitions import revisions
from maestro_defs.results import check_result, materialize_result
from maestro_defs.step_logs import current_log
from maestro_defs.turns import at_work
from resources.delivery import PARAMS, SESSION, Source, session_resource
from resources.parameters import params_resource
from sensors.end_of_run import end_of_run_sensor
from sensors.revisions import revisions_sensor

SKIPPED = "skipped"
QUARANTINED = "quarantined"


def asset_key(project_name: str, node_name: str) -> dg.AssetKey:
    """``[project, stage, step]``, and the cell of a matrix."""
    return dg.AssetKey([project_name, *node_name.split("/")])


def job_name(workflow_name: str) -> str:
    """Name of a workflow's Dagster job."""
    return re.sub(r"[^A-Za-z0-9_]", "_", workflow_name)


def compile_workflow(source: Source) -> dg.Definitions:
    """Everything Dagster loads for one workflow."""
    partitions = revisions(source.project_name)
    names = op_names(source.graph)
    assets = [
        _asset(source, node, names[node.name], position, partitions) for position, node in enumerate(source.graph)
    ]
    workflow = source.loaded.workflow
    job = dg.define_asset_job(
        name=job_name(workflow.name),
        selection=dg.AssetSelection.assets(*(asset_key(source.project_name, name) for name in in_job(source))),
        executor_def=executor(source),
        description=workflow.description or f"Workflow {workflow.name} {workflow.version} of {source.project_name}.",
        tags={WORKFLOW_TAG: workflow.name, PROJECT_TAG: source.project_name},
    )
    end = late_end_job(source)
    return dg.Definitions(
        assets=assets,
        jobs=[job, end],
        sensors=[
            end_of_run_sensor(
                source.project_name, workflow.name, end, every_run=source.profile.settings.executor != "maestro"
            ),
            revisions_sensor(source.project, partitions),
        ],
        executor=executor(source),
        resources={PARAMS: params_resource(workflow), SESSION: session_resource(source)},
    )


def in_job(source: Source) -> list[str]:
    """Names of the nodes the job's executor carries out: Dagster's own executors know no run's end."""
    ours = source.profile.settings.executor == "maestro"
    return [node.name for node in source.graph if ours or not node.final]


def executor(source: Source) -> dg.ExecutorDefinition:
    """The executor of the profile."""
    settings = source.profile.settings
    limit = settings.max_concurrent or default_concurrency()
    if settings.executor == "in_process":
        return dg.in_process_executor
    chosen = maestro_executor if settings.executor == "maestro" else dg.multiprocess_executor
    return chosen.configured({"max_concurrent": limit}, name=chosen.name)


def _asset(
    source: Source, node: Node, name: str, position: int, partitions: dg.DynamicPartitionsDefinition
) -> dg.AssetsDefinition:
    step = node.step
    kind = source.registry.get(step.run)
    key = asset_key(source.project_name, node.name)

    spec = dg.AssetSpec(
        key,
        deps=[asset_key(source.project_name, name) for name in node.upstream],
        skippable=True,
        group_name=re.sub(r"[^A-Za-z0-9_]", "_", node.stage),
        kinds=set(kind.dagster_kinds) or {"maestro"},
        owners=list(step.owners),
        code_version=_code_version(source, node, kind),
        description=step.description or _description(source, node, kind),
        metadata=_definition_metadata(source, node),
        partitions_def=partitions,
    )

    # A multi-asset of one: only there can the step's name be given, and made from the key it would not be unique.
    @dg.multi_asset(
        name=name,
        specs=[spec],
        check_specs=[dg.AssetCheckSpec(kind.check, asset=key, blocking=not step.continue_on_error)],
        retry_policy=_retry_policy(step.retries),
        pool=step.pool,
        op_tags={FINAL_TAG: str(position)} if node.final else {},
        required_resource_keys={SESSION},
        can_subset=True,  # Makes the check's output optional, as a skipped step has no result to check.
    )
    def carry_out(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        session: RunSession = getattr(context.resources, SESSION)
        try:
            outcome = _carry_out(session, node, context.retry_number)
        except QuarantinedError as error:
            # On the asset whose evidence is in doubt, for whoever looks at it there.
            context.log_event(
                dg.AssetObservation(
                    asset_key(source.project_name, error.step),
                    partition=session.revision.id,
                    metadata={
                        QUARANTINED: session.masker.text(error.reason),
                        "digest": error.digest,
                        "refused to": node.name,
                    },
                )
            )
            raise dg.Failure(session.masker.text(str(error)), allow_retries=False) from None
        record = outcome.record
        if record is None:
            # For Dagster a step that leaves nothing behind has succeeded; this says why there is nothing.
            context.log_event(dg.AssetObservation(key, metadata={SKIPPED: outcome.skipped or ""}))
            return
        if key in context.selected_asset_keys:
            yield materialize_result(record, node, kind)
        else:  # Only the check was asked for.
            yield check_result(record, node, kind, key)

    return carry_out


def _carry_out(session: RunSession, node: Node, retry: int) -> Outcome:
    """How the step ended; raises what Dagster understands."""
    log = StepLog(current_log.get(), session.masker)
    last = retry >= node.step.retries.max or session.stop.is_set()
    try:
        with at_work():
            outcome = run_step(session, node, log, attempt=retry + 1)
    except MaestroError as error:
        message = session.masker.text(str(error))
        log.line(message)
        if isinstance(error, QuarantinedError):
            raise
        retryable = isinstance(error, StepError) and not isinstance(error, StepCancelledError)
        raise dg.Failure(message, allow_retries=retryable and not last) from None
    finally:
        log.close()
    record = outcome.record
    if record is not None and not record.passed and not last:
        raise dg.Failure(f"attempt {retry + 1} failed: {record.summary}", allow_retries=True)
    return outcome


def _description(source: Source, node: Node, kind: StepKind[Any]) -> str:
    cell = " ".join(f"{axis}={value}" for axis, value in node.matrix.items())
    does = kind.summary
    if not has_expression(node.step.with_):
        does = kind.describe(source.loaded.params(kind.name, node.step.with_, node.path))
    return f"{kind.name}: {does}{f' ({cell})' if cell else ''}"


def _definition_metadata(source: Source, node: Node) -> dict[str, Any]:
    place = source.loaded.location(node.path)
    found: dict[str, Any] = {
        "defined at": f"{source.project.workflow_file.name}:{place.line}",
        "step kind": node.step.run,
        "workflow": f"{source.loaded.workflow.name} {source.loaded.workflow.version}",
    }
    if node.matrix:
        found["matrix"] = dg.MetadataValue.json(dict(node.matrix))
    return found


def _code_version(source: Source, node: Node, kind: StepKind[Any]) -> str:
    content = [source.loaded.workflow.version, kind.name, kind.version, node.step.model_dump_json(), str(node.matrix)]
    return hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]


def _retry_policy(retries: Retries) -> dg.RetryPolicy | None:
    if not retries.max:
        return None
    backoff = {"constant": None, "linear": dg.Backoff.LINEAR, "exponential": dg.Backoff.EXPONENTIAL}[retries.backoff]
    return dg.RetryPolicy(
        max_retries=retries.max,
        delay=retries.delay,
        backoff=backoff,
        jitter=dg.Jitter.PLUS_MINUS if retries.jitter else None,
    )
