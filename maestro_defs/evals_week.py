"""What follows from a week's runs, as assets: the report of what changed, and the routing weights it proposes."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from maestro.artifacts import keys
from maestro.evals.comparing import State
from maestro.evals.proposing import PullRequest, open_pull_request, proposal_text
from maestro.evals.render_html import to_html
from maestro.evals.report import WeekReport, rows
from maestro.evals.weekly import close_week
from maestro_defs.evals_setup import DATASET, GROUP, Evals, table, told_by_dagster


def diff_asset(evals: Evals, runs: Sequence[dg.AssetKey], weeks: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The report of a week, as a page and as JSON; its check fails when a model became worse."""
    key = evals.key("diff")

    @dg.asset(
        key=key,
        group_name=GROUP,
        kinds={"evals"},
        partitions_def=weeks,
        deps=list(runs),
        check_specs=[dg.AssetCheckSpec("no_regression", asset=key, description="No model became worse.")],
        description="Each model against its last good week, by a paired test: as a page and as JSON.",
    )
    def diff(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads it
        week = context.partition_key
        with told_by_dagster():
            report, missing = close_week(evals.history(), DATASET, week, evals.models, _weights_now(evals))
            places = _keep(evals, report)
        checks = [_regression_check(report)]
        metadata = {
            "week": week,
            "says": report.headline,
            "models": _rows(rows(report)),
            "not run": ", ".join(missing) or "none",
            **places,
        }
        return dg.MaterializeResult(metadata=metadata, check_results=checks)

    return diff


_UNKNOWN: tuple[State, ...] = ("incomplete", "not_enough_cases", "first")


def _regression_check(report: WeekReport) -> dg.AssetCheckResult:
    """Passed only where something was compared and nothing is worse; what is not known is a warning, not a pass."""
    worse = report.of_state("regression")
    unknown = [one for state in _UNKNOWN for one in report.of_state(state)]
    return dg.AssetCheckResult(
        check_name="no_regression",
        passed=bool(report.models) and not worse and not unknown,
        severity=dg.AssetCheckSeverity.ERROR if worse else dg.AssetCheckSeverity.WARN,
        metadata={"says": report.headline},
    )


def _keep(evals: Evals, report: WeekReport) -> dict[str, Any]:
    """Keeps the report in the store; where it is."""
    store = evals.store()
    places = {}
    for form, data in (("html", to_html(report).encode()), ("json", report.encoded())):
        key = keys.eval_report(evals.charged.name, report.dataset, report.week, form)
        store.objects.replace(key, data)
        places[f"report ({form})"] = dg.MetadataValue.path(f"{store.url.rstrip('/')}/{key}")
    return places


def weights_asset(evals: Evals, diff: dg.AssetKey, weeks: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The weights a week proposes, as a pull request where a repository is set up for it."""

    @dg.asset(
        key=evals.charged.key("routing_weights"),
        group_name=GROUP,
        kinds={"evals", "llm"},
        partitions_def=weeks,
        deps=[diff],
        description="Routing weights proposed from the week's scores: a pull request that needs an approval.",
    )
    def routing_weights(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        week = context.partition_key
        with told_by_dagster():
            report, _missing = close_week(evals.history(), DATASET, week, evals.models, _weights_now(evals))
            made = _proposed(evals, report)
        weights = [(one.model, one.now, one.proposed, one.why) for one in report.weights]
        metadata: dict[str, Any] = {
            "week": week,
            "changes": sum(one.changes for one in report.weights),
            "weights": table(["model", "now", "proposed", "why"], weights),
        }
        if made is None:
            metadata["pull request"] = "none: no repository is set up for it"
        else:
            metadata |= {
                "pull request": dg.MetadataValue.url(made.url) if made.url else made.state,
                "state": made.state,
                "approval required": {True: "yes", False: "no", None: "not known"}[made.approval],
                "notes": "; ".join(made.notes) or "none",
            }
        return dg.MaterializeResult(metadata=metadata)

    return routing_weights


def _proposed(evals: Evals, report: WeekReport) -> PullRequest | None:
    with evals.open_repository() as repository:
        if repository is None:
            return None
        return open_pull_request(
            repository.client,
            repository.name,
            report.week,
            report.weights,
            proposal_text(report),
            path=repository.path,
            reviewers=evals.reviewers,
        )


def _weights_now(evals: Evals) -> dict[str, float]:
    from maestro.llm.opening import catalogue_for

    models = catalogue_for(evals.charged.project.root, evals.environ).models
    return {name: models[name].weight for name in evals.models if name in models}


def _rows(found: Sequence[Mapping[str, str | float | int]]) -> Any:
    return table(list(found[0]), [tuple(one.values()) for one in found]) if found else "none"
