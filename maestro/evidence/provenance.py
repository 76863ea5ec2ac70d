"""SLSA v1 provenance of what a step made (https://slsa.dev/spec/v1.0/provenance), from the step's record.

The build type, documented in docs/evidence.md:

- ``externalParameters``: ``workflow``, ``step``, ``kind`` and ``with``: what a person chose;
- ``internalParameters``: ``kind_version``, ``cache_key``, ``revision``: what Maestro chose;
- ``resolvedDependencies``: the source revision, what the kind reports (base images), the outputs of every step before
  it, what such a step and one before the proof has asked a model (prompt, model, decision), and one entry for each part
  of the step's cache key, since whatever could change the result is a part of the key;
- ``runDetails.metadata.invocationId``: the run that really made it, another one when the result came from the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from maestro.artifacts import Material, StepRecord, Subject
from maestro.signing.origin import write_seconds

BUILD_TYPE = "https://maestro.example/buildtypes/step/v1"


OWN_NAMES = "maestro:"
"""Materials of such a URI were used to make what a step says, not a file: prompts, models, decisions about them."""


def provenance(
    record: StepRecord,
    *,
    builder: str,
    source: Subject,
    upstream: Mapping[str, StepRecord],
    before_proof: Mapping[str, StepRecord] | None = None,
) -> dict[str, Any]:
    """The predicate for the subjects of ``record``.

    Args:
        record: of the step that made them.
        builder: ``builder.id``.
        source: the revision of the source.
        upstream: name -> record of the steps it waited for.
        before_proof: the same of the step that asks for the provenance, where that is another one.
    """
    asking = {name: one for name, one in {**(before_proof or {}), **upstream}.items() if name != record.step}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "workflow": record.workflow,
                "step": record.step,
                "kind": record.kind,
                "with": dict(record.params),
            },
            "internalParameters": {
                "kind_version": record.kind_version,
                "cache_key": record.cache_key,
                "revision": record.revision,
            },
            "resolvedDependencies": [
                _descriptor(Material(source.uri or source.name, source.digest, "source")),
                *(_descriptor(one) for one in record.materials),
                *(_descriptor(one) for one in _outputs(upstream)),
                *(_descriptor(one) for one in _asked(asking)),
                *(_descriptor(one) for one in _key_parts(record.key_parts)),
            ],
        },
        "runDetails": {
            "builder": {"id": builder},
            "metadata": {
                "invocationId": record.made_by_run,
                "startedOn": _rfc3339(record.made_started),
                "finishedOn": _rfc3339(record.made_started + record.made_seconds),
            },
            "byproducts": [{"name": "log", "digest": {"sha256": record.log.sha256}, "mediaType": record.log.media_type}]
            if record.log
            else [],
        },
    }


def _outputs(upstream: Mapping[str, StepRecord]) -> list[Material]:
    return [
        Material(f"maestro:step/{name}/{output.name}", {"sha256": output.sha256}, f"{name}: {output.name}")
        for name, record in sorted(upstream.items())
        for output in record.outputs
    ]


def _asked(steps: Mapping[str, StepRecord]) -> list[Material]:
    """What these steps used that is Maestro's to name. Base images and the like are of what those steps made."""
    return [
        Material(one.uri, one.digest, f"{name}: {one.name or one.uri}")
        for name, record in sorted(steps.items())
        for one in record.materials
        if one.uri.startswith(OWN_NAMES)
    ]


def _key_parts(parts: Mapping[str, str]) -> Sequence[Material]:
    """Each part of the cache key; text that is no digest itself is named by its own."""
    return [
        Material(f"maestro:cache-key/{name.replace(' ', '/')}", {"sha256": _digest_of(value)}, f"cache key: {name}")
        for name, value in sorted(parts.items())
        if value and not name.startswith("upstream ")
    ]


def _digest_of(value: str) -> str:
    is_digest = len(value) == 64 and all(one in "0123456789abcdef" for one in value)
    return value if is_digest else hashlib.sha256(value.encode()).hexdigest()


def _descriptor(material: Material) -> dict[str, Any]:
    found: dict[str, Any] = {"uri": material.uri, "digest": dict(material.digest)}
    if material.name:
        found["name"] = material.name
    return found


def _rfc3339(seconds: float) -> str:
    return write_seconds(datetime.fromtimestamp(seconds, UTC))
