"""Step kind ``image.build``: an image from a Containerfile, kept as an OCI layout and pushed to a registry."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from assets import places
from assets.buildah import REQUIREMENTS
from assets.image_archive import keep_archive
from assets.image_build import BuildFailedError, BuiltImage, ImageRecipe, build_image, containerfile
from assets.image_copy import checked_destination
from assets.registry_access import RegistryAccess
from maestro.artifacts import Subject
from maestro.errors import InputError
from maestro.oci.manifest import LAYOUT_ARCHIVE
from maestro.oci.push import push_layout
from maestro.oci.reference import Reference, checked_tag
from maestro.steps import BaseParams, Output, PlanContext, Requirement, StepContext, StepKind, StepResult

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?\Z")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class ImageBuildParams(BaseParams):
    """Parameters of ``image.build``."""

    context: str = Field(".", description="Folder the image is built from.")
    containerfile: str | None = Field(
        None,
        min_length=1,
        description="Path of the Containerfile; else `Containerfile` or `Dockerfile` of the context.",
    )
    registry: str | None = Field(
        None,
        min_length=1,
        description="Where it is pushed to, such as `localhost:5000/app`; it is kept as an artifact as well.",
    )
    tags: list[str] = Field(default_factory=list, description="Tags that shall name the image in the registry.")
    name: str = Field("image", min_length=1, description="What the image is called when there is no registry.")
    platforms: list[str] = Field(
        default_factory=list, description="Such as `linux/amd64`; several give an index. This machine's when not given."
    )
    target: str | None = Field(None, min_length=1, description="Stage to stop at.")
    build_args: dict[str, str] = Field(default_factory=dict, description="Values of `ARG`; no place for secrets.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the image.")
    secrets: list[str] = Field(
        default_factory=list, description="Secrets of the step that `RUN --mount=type=secret,id=NAME` may read."
    )
    hermetic: bool = Field(False, description="Takes the network from RUN; base images are fetched before.")
    cache: bool = Field(True, description="Uses layers of earlier builds of this project.")
    auth: str | None = Field(
        None, min_length=1, description="Secret of the step that holds an auth file (containers-auth.json)."
    )

    @field_validator("registry")
    @classmethod
    def _names_a_repository(cls, value: str | None) -> str | None:
        return None if value is None else checked_destination(value)

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, value: list[str]) -> list[str]:
        return [checked_tag(one) for one in value]

    @field_validator("platforms")
    @classmethod
    def _are_platforms(cls, value: list[str]) -> list[str]:
        return [_matching(_PLATFORM, one, "a platform such as linux/amd64") for one in value]

    @field_validator("build_args", "labels")
    @classmethod
    def _have_names(cls, value: dict[str, str]) -> dict[str, str]:
        return {
            _matching(_LABEL, name, "a name of letters, digits, '.', '_' and '-'"): text for name, text in value.items()
        }

    @field_validator("secrets")
    @classmethod
    def _are_variables(cls, value: list[str]) -> list[str]:
        return [_matching(_VARIABLE, one, "the name of a secret") for one in value]

    def recipe(self) -> ImageRecipe:
        """What to build."""
        return ImageRecipe(
            context=self.context,
            containerfile=self.containerfile,
            platforms=self.platforms,
            target=self.target,
            build_args=self.build_args,
            labels=self.labels,
            secrets=self.secrets,
            hermetic=self.hermetic,
            cache=self.cache,
        )


def run_image_build(context: StepContext, params: ImageBuildParams) -> StepResult:
    """Builds the image, keeps it, and pushes it if a registry is named; ``container.build`` begins with this."""
    missing = [name for name in params.secrets if name not in context.secrets]
    if missing:
        raise InputError(
            f"'secrets' names '{missing[0]}', which the step does not have",
            next_step=f"add {missing[0]} to the step's `secrets`",
        )
    access = RegistryAccess(context, params.auth)
    try:
        built = build_image(context, params.recipe(), access)
    except BuildFailedError as error:
        return StepResult(passed=False, summary=str(error))
    path = keep_archive(context, built.layout)
    pushed, tags = _pushed(context, params, access, built)
    return _result(params, built, path, pushed, tags)


def _pushed(
    context: StepContext, params: ImageBuildParams, access: RegistryAccess, built: BuiltImage
) -> tuple[Reference | None, list[str]]:
    if params.registry is None:
        return None, []
    target = Reference.parse(params.registry, registry_needed=True)
    tags = [*([target.tag] if target.tag else []), *params.tags]
    tags = list(dict.fromkeys(tags))
    with access.registry(target.registry) as registry:
        pushed = push_layout(registry, target.repository, built.layout, tags)
    context.log.info("pushed %s%s", pushed, f" and as {', '.join(tags)}" if tags else "")
    return pushed, tags


def _result(
    params: ImageBuildParams,
    built: BuiltImage,
    path: str,
    pushed: Reference | None,
    tags: list[str],
) -> StepResult:
    digest = built.root.digest
    layers = len({one.digest for one in built.layout.walk(built.root) if "layer" in one.media_type})
    size = sum(one.size for one in {one.digest: one for one in built.layout.walk(built.root)}.values())
    subject = Subject(
        name=pushed.name if pushed else params.name,
        digest={"sha256": built.root.hex},
        uri=f"docker://{pushed}" if pushed else None,
        media_type=built.root.media_type,
        output="image",
    )
    return StepResult(
        summary=f"{digest[:19]}, {', '.join(built.platforms)}, {size:,} bytes"
        + (f", pushed to {pushed.name}" if pushed else ""),
        outputs=[Output("image", path, LAYOUT_ARCHIVE)],
        values={"digest": digest, "reference": str(pushed) if pushed else None},
        metadata={
            "digest": digest,
            **({"reference": str(pushed), "tags": ", ".join(tags)} if pushed else {}),
            "platforms": ", ".join(built.platforms),
            "layers": layers,
            "bytes": size,
            "hermetic": params.hermetic,
            "base_images": [{"name": one.name, "digest": f"sha256:{one.digest['sha256']}"} for one in built.materials],
        },
        subjects=[subject],
        materials=built.materials,
    )


def _matching(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.match(value):
        raise ValueError(f"'{value[:80]}' is not {what}")
    return value


def describe_image_build(params: ImageBuildParams) -> str:
    """What ``image.build`` would do."""
    platforms = f" for {', '.join(params.platforms)}" if params.platforms else ""
    goes = f" and pushes it to {params.registry}" if params.registry else ""
    offline = ", without a network" if params.hermetic else ""
    return f"Builds an image of '{params.context}'{platforms}{offline}{goes}."


def image_build_requires(context: PlanContext, params: ImageBuildParams) -> list[Requirement]:
    """The tools ``image.build`` needs; looks whether there is a Containerfile as well."""
    places.folder(context.workspace, params.context, "context")
    containerfile(context.workspace, params.recipe())
    return list(REQUIREMENTS)


IMAGE_BUILD = StepKind(
    name="image.build",
    version="1",
    params=ImageBuildParams,
    run=run_image_build,
    summary="Builds an image from a Containerfile, the same bytes for the same inputs, and pushes it.",
    describe=describe_image_build,
    requires=image_build_requires,
    dagster_kinds=("docker",),
    cached=lambda params: params.registry is None,
)
