"""A repository whose steps deliver, claim, and stand before and behind a gate; and a hand that changes evidence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dagster import DagsterEventType, EventLogEntry

from assets.artifacts import ARTIFACT_PUT
from assets.gates import GATE
from assets.provenance import ATTEST_PROVENANCE
from assets.shell import SHELL
from assets.tests import TEST_UNIT
from maestro.artifacts import ArtifactStore, Claim
from maestro.evidence.desk import EvidenceDesk
from maestro.evidence.index import Entry
from maestro.evidence.types import TEST_RESULT
from maestro.execution.open_desk import open_desk
from maestro.steps import BaseParams, Registry, StepContext, StepKind, StepResult
from tests.integration.delivery import Delivery, Finished

REPORT = "<testsuite><testcase classname='a' name='one'/></testsuite>"

WORKFLOW = """
    name: flow
    project: shop
    params:
      deployed: {type: string, default: /dev/null}
      builders: {type: string, default: '**'}
      before: {type: string, default: 'true', description: A command in front of the gate.}
      environment: {type: string, default: staging}
    evidence: {require: [provenance, test-report]}
    stages:
      - name: build
        steps:
          - id: unit
            run: test.unit
            with: {command: 'cp given.xml report.xml', report: report.xml}
            inputs: [given.xml]
            outputs: [report.xml]
          - id: make
            run: shell
            with: {command: 'mkdir -p dist && cp source.txt dist/app.txt'}
            inputs: [source.txt]
            outputs: [dist/app.txt]
          - {id: app, run: artifact.put, with: {path: dist/app.txt, deliver: true}, inputs: [source.txt]}
          - {id: prove, run: attest.provenance}
      - name: release
        steps:
          - {id: prepare, run: shell, cache: false, with: {command: '{{ params.before }}'}}
          - id: gate
            run: gate
            with:
              policy: supply_chain.release
              environment: '{{ params.environment }}'
              config: {allowed_builders: ['{{ params.builders }}']}
          - id: deploy
            run: shell
            effects: true
            retries: {max: 2}
            with: {command: 'echo deployed >> {{ params.deployed }}'}
    finally:
      - {id: tell, run: shell, with: {command: 'echo told'}}
    """


class SayParams(BaseParams):
    """Parameters of ``say``."""

    text: str = "nothing"


def _say(context: StepContext, params: SayParams) -> StepResult:
    secret = context.secrets.get("TOKEN", "")
    predicate = {"result": "PASSED", "note": f"{params.text} {secret}", "nested": {"list": [secret]}}
    return StepResult(summary="said", claims=[Claim("test-report", TEST_RESULT, predicate=predicate)])


SAY = StepKind(
    name="say",
    version="1",
    params=SayParams,
    run=_say,
    summary="Claims what it is told to.",
    describe=lambda _params: "Claims.",
)


def registry() -> Registry:
    """The kinds these tests use."""
    return Registry([SHELL, ARTIFACT_PUT, TEST_UNIT, ATTEST_PROVENANCE, GATE, SAY])


def delivering(delivery: Delivery, workflow: str = WORKFLOW) -> Delivery:
    """``delivery`` with the workflow and the files it works on."""
    made = replace(delivery, make_registry=registry)
    made.write({"source.txt": "made\n", "given.xml": REPORT})
    made.workflow(workflow)
    return made


def with_settings(delivery: Delivery, *, policy: Mapping[str, Any] | None = None, **evidence: Any) -> Delivery:
    """``delivery`` under a profile with other settings."""
    settings = delivery.profile.settings
    changed = settings.model_copy(
        update={
            "evidence": settings.evidence.model_copy(update=evidence),
            "policy": settings.policy.model_copy(update=dict(policy or {})),
        }
    )
    return replace(delivery, profile=replace(delivery.profile, settings=changed))


@contextmanager
def desk_of(delivery: Delivery) -> Iterator[EvidenceDesk]:
    """The desk as a later process opens it."""
    desk = open_desk(delivery.project, "shop", delivery.profile, delivery.store(), os.environ)
    try:
        yield desk
    finally:
        desk.close()


def entries_of(delivery: Delivery, revision: str | None = None) -> list[Entry]:
    """The index entries of a revision; of the one checked out."""
    with desk_of(delivery) as desk:
        return list(desk.index.of_revision("shop", revision or delivery.git("rev-parse", "HEAD")))


def rows_of(delivery: Delivery, kind: str) -> list[Any]:
    """Rows of the audit log of one kind."""
    with desk_of(delivery) as desk:
        return [row for row in desk.audit.entries() if row.kind == kind]


TAMPER = """
import json, os, sys
from pathlib import Path

store = Path(sys.argv[1])
for file in Path(store, "evidence/revisions/shop", os.environ["MAESTRO_REVISION"]).iterdir():
    entry = json.loads(file.read_text())
    if entry["type"] == "provenance":
        digest = entry["bundle"]["sha256"]
        bundle = Path(store, "cas/sha256", digest[:2], digest[2:])
        bundle.chmod(0o644)
        bundle.write_bytes(bundle.read_bytes() + b" ")
"""
"""A program that changes the provenance of the revision it runs for: its argument is the store's folder."""


def damage(store: ArtifactStore, sha256: str) -> None:
    """Changes bytes on disk."""
    assert store.objects.folder is not None
    file = Path(store.objects.folder, "cas", "sha256", sha256[:2], sha256[2:])
    file.chmod(0o644)
    data = file.read_bytes()
    file.write_bytes(data[:-20] + b"x" + data[-19:])


def observations(delivery: Delivery, run: Finished) -> list[tuple[str, dict[str, Any]]]:
    """Asset and metadata of every observation the event log has of a run."""
    with delivery.instance() as instance:
        found: list[EventLogEntry] = list(instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_OBSERVATION))
    told = []
    for entry in found:
        assert entry.dagster_event is not None
        made = entry.dagster_event.asset_observation_data.asset_observation
        told.append((made.asset_key.to_user_string(), {name: value.value for name, value in made.metadata.items()}))
    return told
