"""Builds an image with buildah: the same inputs give the same digest, on any machine and in any folder."""

from __future__ import annotations

import platform as machine
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets import places
from assets.base_images import BaseImages, Fetched
from assets.build_context import ignore_file, stage_context
from assets.buildah import Buildah, Ran
from assets.containerfile import LIMIT, Containerfile, ImageUse
from assets.registry_access import RegistryAccess
from maestro.artifacts import Material
from maestro.errors import InputError
from maestro.oci.layout import Layout
from maestro.oci.manifest import INDEX, Descriptor, canonical
from maestro.oci.normalise import adopt
from maestro.steps import StepContext

NAMES = ("Containerfile", "Dockerfile")

_STEP = re.compile(r'building at STEP "((?:[^"\\]|\\.)*)": (.*)')
_STAGE = re.compile(r"^(?:\[\d+/\d+\] )?STEP \d+/\d+: (.*)$", re.MULTILINE)
_OFFLINE = re.compile(
    r"network is unreachable|could not resolve|name resolution|no such host|temporary failure|getaddrinfo|bad address"
    r"|EAI_AGAIN|ENOTFOUND|ENETUNREACH|name or service not known|can't connect",
    re.IGNORECASE,
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """What to build; fields as the parameters of ``image.build`` have them."""

    context: str
    containerfile: str | None
    platforms: Sequence[str]
    target: str | None
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    secrets: Sequence[str]
    hermetic: bool
    cache: bool


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """What was built.

    Args:
        layout: holds it.
        root: its manifest, or its index when it is for several platforms.
        platforms: what it runs on.
        materials: its base images.
    """

    layout: Layout
    root: Descriptor
    platforms: tuple[str, ...]
    materials: tuple[Material, ...]


class BuildFailedError(Exception):
    """The image could not be built; the text is the step's summary."""


def build_image(context: StepContext, recipe: ImageRecipe, access: RegistryAccess) -> BuiltImage:
    """Build ``recipe``.

    Raises:
        InputError: Containerfile, context or base image cannot be used.
        BuildFailedError: an instruction failed.
        RegistryError: a base image cannot be looked up.
    """
    folder = places.folder(context.workspace, recipe.context, "context")
    file = containerfile(context.workspace, recipe)
    staged = context.scratch / "context"
    count = stage_context(context.workspace, folder, staged)
    context.log.info("build context: %d files", count)
    layout = Layout.create(context.scratch / "layout")
    built: list[Descriptor] = []
    materials: dict[str, Material] = {}
    for platform in platforms_of(recipe):
        parsed = Containerfile(_text(file), places.relative(context.workspace, file), _arguments(recipe, platform))
        buildah = Buildah(context, hermetic=recipe.hermetic, platform=platform)
        bases = BaseImages(context, buildah, access)
        fetched = {use: bases.fetch(parsed, use, platform) for use in parsed.images(recipe.target)}
        built.append(_one(context, recipe, buildah, parsed, fetched, platform, layout))
        materials |= {one.uri: one for one in bases.materials}
    root = built[0]
    if len(built) > 1:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one.to_json() for one in built]}
        root = layout.add(canonical(index), INDEX)
    return BuiltImage(layout.finish(root), root, tuple(str(one.platform) for one in built), tuple(materials.values()))


def containerfile(workspace: Path, recipe: ImageRecipe) -> Path:
    """The Containerfile of ``recipe``; named, or in its context.

    Raises:
        InputError: there is none, or it is too large.
    """
    names = (recipe.containerfile,) if recipe.containerfile else tuple(f"{recipe.context}/{name}" for name in NAMES)
    found = [file for file in (places.inside(workspace, name, "containerfile") for name in names) if file.is_file()]
    if not found:
        where = (
            f"'{recipe.containerfile}'"
            if recipe.containerfile
            else f"Containerfile or Dockerfile in '{recipe.context}'"
        )
        raise InputError(f"there is no {where}", next_step="write one, or name it with 'containerfile'")
    if found[0].stat().st_size > LIMIT:
        raise InputError(f"'{found[0].name}' is larger than 1 MiB", next_step="name another one with 'containerfile'")
    return found[0]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"'{file.name}' cannot be read: {why}", next_step=f"correct '{file.name}'") from error


def platforms_of(recipe: ImageRecipe) -> tuple[str, ...]:
    """The platforms built for, sorted; this machine's when none are named."""
    return tuple(sorted(set(recipe.platforms))) or (this_platform(),)


def this_platform() -> str:
    """``linux/amd64``."""
    name = machine.machine()
    return f"linux/{_ARCHITECTURES.get(name, name)}"


def _arguments(recipe: ImageRecipe, platform: str) -> dict[str, str]:
    """The predefined arguments of ``FROM``, and the given ones."""
    system, architecture, *variant = platform.split("/")
    return {
        "BUILDPLATFORM": this_platform(),
        "TARGETPLATFORM": platform,
        "TARGETOS": system,
        "TARGETARCH": architecture,
        "TARGETVARIANT": "/".join(variant),
        **recipe.build_args,
    }


def _one(
    context: StepContext,
    recipe: ImageRecipe,
    buildah: Buildah,
    parsed: Containerfile,
    fetched: Mapping[ImageUse, Fetched],
    platform: str,
    layout: Layout,
) -> Descriptor:
    """Build for one platform, into ``layout``."""
    slug = platform.replace("/", "-")
    exact = context.scratch / f"Containerfile-{slug}"
    exact.write_text(parsed.rewritten({use: one.image for use, one in fetched.items()}))
    ident = context.scratch / f"image-{slug}"
    epoch = _epoch(context)
    arguments = dict(recipe.build_args)
    if "SOURCE_DATE_EPOCH" in parsed.declared:
        arguments.setdefault("SOURCE_DATE_EPOCH", str(epoch))
    # Buildah takes a cached layer whatever times it was made with.
    cache = recipe.cache and epoch == 0
    ignoring = ignore_file(context.scratch / "context")
    ran = buildah.run(
        "build",
        *("--format", "oci", "--isolation", "chroot", "--pull=never", "--force-rm", "--layers"),
        *("--identity-label=false", f"--timestamp={epoch}", f"--platform={platform}"),
        *([] if cache else ["--no-cache"]),
        *(["--http-proxy=false"] if recipe.hermetic else []),
        *([f"--target={recipe.target}"] if recipe.target is not None else []),
        *(f"--build-arg={name}={value}" for name, value in sorted(arguments.items())),
        *(f"--label={name}={value}" for name, value in sorted(recipe.labels.items())),
        *(f"--secret=id={name},type=env,src={name}" for name in recipe.secrets),
        *([f"--ignorefile={ignoring}"] if ignoring else []),
        *(f"--file={exact}", f"--iidfile={ident}", str(context.scratch / "context")),
        network=not recipe.hermetic,
    )
    if ran.exit_code != 0:
        raise BuildFailedError(_explained(ran, parsed, recipe, platform))
    pushed = context.scratch / f"built-{slug}"
    ran = buildah.run("push", "--quiet", "--format", "oci", ident.read_text().strip(), f"oci:{pushed.name}")
    if ran.exit_code != 0:
        raise BuildFailedError(f"the image was built, but cannot be taken from buildah's storage: {ran.reason}")
    use = parsed.last_base(recipe.target)
    base = None if use is None else fetched[use].base
    return adopt(Layout.open(pushed), layout, base, platform)


def _epoch(context: StepContext) -> int:
    """The time every file and layer is said to have: the step's SOURCE_DATE_EPOCH, else 1970.

    Not the commit's time: an image is then equal for all revisions that build it from the same files.
    """
    given = context.env.get("SOURCE_DATE_EPOCH", "0")
    if not (given.isascii() and given.isdigit()):
        raise InputError(
            f"SOURCE_DATE_EPOCH is '{given[:40]}', which is no time in whole seconds",
            next_step="correct it, or leave it out: 1970-01-01 is taken then",
        )
    return int(given)


def _explained(ran: Ran, parsed: Containerfile, recipe: ImageRecipe, platform: str) -> str:
    """What failed, with the line of the Containerfile when buildah says which instruction it was."""
    named = _STEP.search(ran.output)
    steps = [named[1].replace('\\"', '"')] if named else _STAGE.findall(ran.output)[-1:]
    at = parsed.find_step(steps[0]) if steps else None
    where = f"{parsed.place}:{at.line}: " if at else ""
    reason = named[2] if named else ran.reason
    text = f"{where}{at.word + ' ' + at.rest if at else 'the build'} failed: {reason}"[:600]
    if recipe.hermetic and _OFFLINE.search(ran.output):
        text += "; RUN has no network because of 'hermetic': put what it fetches into the base image or the context"
    if "/etc/subuid" in ran.output or "subuid ranges" in ran.output:
        text += "; this user has no ranges in /etc/subuid and /etc/subgid, so no file can belong to another user"
    if "exec format error" in ran.output.lower():
        text += f"; programs for {platform} cannot run here: apt-get install qemu-user-static"
    return text
