"""Step kind ``image.copy``: copies an image to a registry with skopeo, every byte the same."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field, field_validator

from assets import places
from assets.base_images import layout_material, registry_material
from assets.image_archive import keep_archive
from assets.registry_access import RegistryAccess
from maestro.artifacts import Material, Subject
from maestro.errors import InputError
from maestro.oci.archive import unpack_layout
from maestro.oci.attach import attach_bundle
from maestro.oci.attached import bundles_of
from maestro.oci.layout import Layout
from maestro.oci.manifest import LAYOUT_ARCHIVE
from maestro.oci.pull import pull_layout
from maestro.oci.reference import Reference, checked_tag, is_digest
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

SKOPEO = Requirement("skopeo", "install skopeo: apt-get install skopeo")

_FOLDERS = ("oci:", "oci-archive:")


def checked_destination(value: str) -> str:
    """``value``, if it names a registry and a repository. Raises ValueError when not, for validators of parameters."""
    try:
        found = Reference.parse(value, registry_needed=True)
    except InputError as error:
        raise ValueError(error.what) from error
    if found.digest is not None:
        raise ValueError(f"'{value}' names a digest, which nothing can be pushed to; give the repository alone")
    return value


class ImageCopyParams(BaseParams):
    """Parameters of ``image.copy``."""

    source: str = Field(
        min_length=1,
        description="Image of a registry, or `oci:` and the folder, or `oci-archive:` and the file of a layout.",
    )
    to: str = Field(min_length=1, description="Registry and repository, such as `registry.example.com/team/app`.")
    tags: list[str] = Field(default_factory=list, description="Tags that shall name the image there.")
    digest: str | None = Field(None, description="What the source's digest must be (`sha256:…`).")
    evidence: bool = Field(True, description="Copies the signed bundles that are attached to the image as well.")
    auth: str | None = Field(None, min_length=1, description="Secret of the step that holds an auth file.")

    @field_validator("to")
    @classmethod
    def _names_a_repository(cls, value: str) -> str:
        return checked_destination(value)

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, value: list[str]) -> list[str]:
        return [checked_tag(one) for one in value]

    @field_validator("digest")
    @classmethod
    def _is_a_digest(cls, value: str | None) -> str | None:
        if value is not None and not is_digest(value):
            raise ValueError("'digest' is not 'sha256:' and 64 lower-case hexadecimal digits")
        return value


@dataclass(frozen=True, slots=True)
class _Source:
    """What is copied.

    Args:
        layout: holds it; all its blobs have been checked.
        reference: where it is, by digest, when it is in a registry.
    """

    layout: Layout
    reference: Reference | None
    material: Material


class _CopyFailedError(Exception):
    """skopeo failed; the text is the step's summary."""


def _run(context: StepContext, params: ImageCopyParams) -> StepResult:
    access = RegistryAccess(context, params.auth)
    (context.scratch / "tmp").mkdir(exist_ok=True)
    try:
        return _copy(context, params, access)
    except _CopyFailedError as error:
        return StepResult(passed=False, summary=str(error))


def _copy(context: StepContext, params: ImageCopyParams, access: RegistryAccess) -> StepResult:
    source = _source(context, params, access)
    root = source.layout.root
    target = Reference.parse(params.to, registry_needed=True)
    tags = list(dict.fromkeys([*([target.tag] if target.tag else []), *params.tags]))
    exact = target.at(root.digest)
    # By a link of a fixed name: skopeo ends the path at a colon.
    (context.scratch / "layout").symlink_to(source.layout.folder)
    _skopeo(context, access.flags(target.registry, "dest-"), "oci:layout", f"docker://{exact}")
    with access.registry(target.registry) as registry:
        # Asked for by digest, so that what comes back is verified.
        kept = registry.manifest(target.repository, root.digest)
        for tag in tags:
            registry.put_manifest(target.repository, tag, kept.data, kept.descriptor.media_type)
    attached = _copy_evidence(access, source.reference, exact) if params.evidence and source.reference else 0
    subject = Subject(
        name=exact.name,
        digest={"sha256": root.hex},
        uri=f"docker://{exact}",
        media_type=kept.descriptor.media_type,
        output="image",
    )
    return StepResult(
        summary=f"copied {root.digest[:19]} to {target.name}" + (f" as {', '.join(tags)}" if tags else ""),
        outputs=[Output("image", keep_archive(context, source.layout), LAYOUT_ARCHIVE)],
        values={"digest": root.digest, "reference": str(exact)},
        metadata={"digest": root.digest, "reference": str(exact), "tags": ", ".join(tags), "bundles": attached},
        subjects=[subject],
        materials=[source.material],
    )


def _source(context: StepContext, params: ImageCopyParams, access: RegistryAccess) -> _Source:
    name = params.source
    fetched = context.scratch / "source"
    if name.startswith(_FOLDERS):
        transport, _, path = name.partition(":")
        place = places.inside(context.workspace, path, "source")
        layout = unpack_layout(place, fetched) if transport == "oci-archive" else Layout.open(place)
        _expect(params, layout.root.digest)
        layout.verify()
        return _Source(layout, None, layout_material(path, layout.root))
    reference = Reference.parse(name)
    with access.registry(reference.registry) as registry:
        digest = registry.manifest(reference.repository, reference.version).descriptor.digest
        _expect(params, digest)
        # Not by skopeo: it puts no image of Docker's older media types into a layout without changing its digest.
        layout = pull_layout(registry, reference.repository, digest, fetched)
    return _Source(layout, reference.at(digest), registry_material(reference, digest))


def _expect(params: ImageCopyParams, digest: str) -> None:
    if params.digest is not None and digest != params.digest:
        raise _CopyFailedError(f"'{params.source}' is {digest}, not {params.digest}: nothing was copied")


def _skopeo(context: StepContext, flags: list[str], source: str, target: str) -> None:
    argv = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests", "--retry-times=3", *flags, source, target]
    environment = {"TMPDIR": str(context.scratch / "tmp")}
    code = context.run_process(argv, cwd=context.scratch, env=environment).exit_code
    if code != 0:
        raise _CopyFailedError(f"skopeo could not copy {source} to {target} (exit code {code}), see the step's log")


def _copy_evidence(access: RegistryAccess, source: Reference, target: Reference) -> int:
    """Attach the source's bundles to the copy; verified or not, they are what they were."""
    with access.registry(source.registry) as registry:
        found = [one for one in bundles_of(registry, source) if one.via == "referrer"]
    with access.registry(target.registry) as registry:
        for one in found:
            attach_bundle(registry, target, one.data, one.predicate_type)
    return len(found)


def _requires(context: PlanContext, params: ImageCopyParams) -> list[Requirement]:
    if params.source.startswith(_FOLDERS):
        places.inside(context.workspace, params.source.partition(":")[2], "source")
    else:
        Reference.parse(params.source)
    return [SKOPEO]


IMAGE_COPY = StepKind(
    name="image.copy",
    version="1",
    params=ImageCopyParams,
    run=_run,
    summary="Copies an image and its evidence to a registry, every byte the same.",
    describe=lambda params: f"Copies the image '{params.source}' to {params.to}.",
    requires=_requires,
    dagster_kinds=("docker",),
    cached=lambda _params: False,
)
