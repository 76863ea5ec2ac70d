"""Step kind ``sbom.generate``: what packages and images are made of, as CycloneDX and SPDX."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from assets import places
from assets.sbom_looks import Look, Looker
from assets.sbom_targets import Target, targets
from assets.step_reports import slugs, write_report
from maestro.artifacts import Claim
from maestro.errors import InputError
from maestro.sbom import canonical, diff, model, normalise, spdx, syft
from maestro.sbom.libraries import check_libraries
from maestro.sbom.reading import read_sbom
from maestro.sbom.validation import validate
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

Format = Literal["cyclonedx", "spdx"]

_TOP = 10
_MOST_ROWS = 100
_PREDICATES = {"cyclonedx": model.CYCLONEDX_PREDICATE, "spdx": model.SPDX_PREDICATE}
_MEDIA_TYPES = {"cyclonedx": model.CYCLONEDX_MEDIA_TYPE, "spdx": model.SPDX_MEDIA_TYPE}
_ENDINGS = {"cyclonedx": "cdx.json", "spdx": "spdx.json"}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SbomParams(BaseParams):
    """Parameters of ``sbom.generate``."""

    of: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        default_factory=list,
        description="Steps by id, or paths: a package, a folder, a virtual environment, node_modules. "
        "Everything the steps before deliver when not given.",
    )
    format: Annotated[list[Format], BeforeValidator(_as_list)] = Field(
        default=["cyclonedx", "spdx"], min_length=1, description="CycloneDX 1.6, SPDX 2.3, or both."
    )
    environment: str | None = Field(
        None, min_length=1, description="Virtual environment whose installed versions a wheel's requirements have."
    )
    extras: list[str] = Field(default_factory=list, description="Extras of the wheel, with `environment`.")
    catalogers: list[str] = Field(
        default_factory=list, description="Cataloguers of syft, instead of those for what is looked at."
    )
    baseline: str | None = Field(
        None, min_length=1, description="An earlier bill of materials; what is not in it is shown as new."
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """The bill of materials of one target, written."""

    target: Target
    look: Look
    sbom: model.Sbom
    documents: dict[Format, bytes]


def _run(context: StepContext, params: SbomParams) -> StepResult:
    found = targets(context, params.of)
    environment = places.folder(context.workspace, params.environment, "environment") if params.environment else None
    baseline = read_sbom(places.inside(context.workspace, params.baseline, "baseline")) if params.baseline else None
    program = syft.find(context.which, context.env)
    looker = Looker(context, program, tuple(params.catalogers), environment, tuple(params.extras))
    epoch = _epoch(context)
    made = [
        _one(target, looker.look(target, context.scratch / f"look-{number}"), params.format, epoch)
        for number, target in enumerate(found)
    ]
    outputs, claims = _kept(context, made)
    count = sum(len(one.sbom.components) for one in made)
    missing = sorted({name for one in made for name in one.look.missing})
    for one in made:
        if not one.sbom.components:
            context.log.warning("nothing was found in '%s': is it what you meant?", one.target.name)
    for name in missing:
        context.log.warning("'%s' is needed but not installed in '%s'", name, params.environment)
    return StepResult(
        summary=_summary(made, count, missing),
        outputs=outputs,
        values={"components": count},
        metadata=_metadata(made, count, missing, baseline),
        claims=claims,
    )


def _one(target: Target, look: Look, formats: Sequence[Format], epoch: int | None) -> _Made:
    document = normalise.cyclonedx(look.root, look.found, tools=look.tools, epoch=epoch, prefixes=look.prefixes)
    written: dict[Format, bytes] = {}
    # Both when both are asked for; CycloneDX is always made, as the other is written from it.
    for name in dict.fromkeys(formats):
        made = document if name == "cyclonedx" else spdx.from_cyclonedx(document)
        validate(made)
        written[name] = canonical.encoded(made)
    return _Made(target, look, read_sbom(next(iter(written.values()))), written)


def _kept(context: StepContext, made: Sequence[_Made]) -> tuple[list[Output], list[Claim]]:
    names = ["sbom"]
    if len(made) > 1:
        digests = [one.target.subject.digest["sha256"] if one.target.subject else "" for one in made]
        names = slugs(zip((one.target.name for one in made), digests, strict=True))
    outputs: list[Output] = []
    claims: list[Claim] = []
    for name, one in zip(names, made, strict=True):
        for kind, data in one.documents.items():
            file = f"{name}.{_ENDINGS[kind]}"
            outputs.append(Output(file, write_report(context, "sbom.generate", file, data), _MEDIA_TYPES[kind]))
            subjects = (one.target.subject,) if one.target.subject else ()
            claims.append(Claim("sbom", _PREDICATES[kind], subjects, output=file))
    return outputs, claims


def _metadata(made: Sequence[_Made], count: int, missing: Sequence[str], baseline: model.Sbom | None) -> dict[str, Any]:
    components = tuple(component for one in made for component in one.sbom.components)
    counts = model.license_counts(components)
    metadata: dict[str, Any] = {
        "components": count,
        "licenses": [{"license": name, "components": number} for name, number in list(counts.items())[:_TOP]],
        "components without a license": counts.get("unknown", 0),
    }
    if len(made) > 1:
        metadata["subjects"] = [{"subject": one.target.name, "components": len(one.sbom.components)} for one in made]
    if missing:
        metadata["not installed"] = list(missing)
    if baseline is not None:
        fresh = diff.new_components(baseline.components, components)
        metadata["new components"] = len(fresh)
        metadata["new"] = [
            {"name": one.name, "version": one.version or "", "license": one.licenses or "unknown"}
            for one in fresh[:_MOST_ROWS]
        ]
    return metadata


def _summary(made: Sequence[_Made], count: int, missing: Sequence[str]) -> str:
    of = f"'{made[0].target.name}'" if len(made) == 1 else f"{len(made)} subjects"
    text = f"{count:,} {'component' if count == 1 else 'components'} in {of}"
    return f"{text}; {len(missing)} of its requirements not installed" if missing else text


def _epoch(context: StepContext) -> int | None:
    given = context.env.get("SOURCE_DATE_EPOCH")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 11):
        raise InputError(
            f"SOURCE_DATE_EPOCH is '{given[:40]}', which is no time in whole seconds",
            next_step="correct it, or leave it out: the document has no time then",
        )
    return int(given)


def _describe(params: SbomParams) -> str:
    of = ", ".join(f"'{one}'" for one in params.of) or "everything the steps before it deliver"
    names = {"cyclonedx": "CycloneDX 1.6", "spdx": "SPDX 2.3"}
    return f"Lists what {of} is made of, as {' and '.join(names[one] for one in dict.fromkeys(params.format))}."


def _requires(context: PlanContext, _params: SbomParams) -> list[Requirement]:
    check_libraries()
    return [Requirement(syft.find(context.which, os.environ), syft.INSTALL)]


def _cached(params: SbomParams) -> bool:
    # Environments and built folders are no part of the cache key, and a name under `of` may be one.
    return not params.of and params.environment is None


SBOM_GENERATE = StepKind(
    name="sbom.generate",
    version="1",
    params=SbomParams,
    run=_run,
    summary="Lists what packages and images are made of, as CycloneDX 1.6 and SPDX 2.3, the same bytes each time.",
    describe=_describe,
    requires=_requires,
    dagster_kinds=("sbom", "syft"),
    check="sbom_conforms",
    cached=_cached,
    confined=True,
)
