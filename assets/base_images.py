"""Finds the images a Containerfile builds on, by digest, and brings them into buildah's storage."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from assets import places
from assets.buildah import Buildah
from assets.containerfile import Containerfile, ImageUse
from assets.registry_access import RegistryAccess
from maestro.artifacts import Material
from maestro.errors import InputError, Location, MaestroError
from maestro.oci.archive import unpack_layout
from maestro.oci.layout import Layout
from maestro.oci.manifest import Descriptor, entries, parse_manifest
from maestro.oci.normalise import BaseImage
from maestro.oci.reference import Reference
from maestro.steps import StepContext


@dataclass(frozen=True, slots=True)
class Fetched:
    """A base image in buildah's storage.

    Args:
        image: what buildah knows it by.
        base: for the annotations of what is built on it.
        material: for provenance.
    """

    image: str
    base: BaseImage
    material: Material


class BaseImages:
    """Fetches base images, each once.

    Args:
        context: of the step.
        buildah: whose storage they are put into.
        access: to registries.
    """

    def __init__(self, context: StepContext, buildah: Buildah, access: RegistryAccess) -> None:
        self._context = context
        self._buildah = buildah
        self._access = access
        self._known: dict[tuple[str, str], Fetched] = {}

    def fetch(self, file: Containerfile, use: ImageUse, platform: str) -> Fetched:
        """The image ``use`` names, for ``platform`` (or the one its ``FROM --platform`` names).

        Raises:
            MaestroError: it cannot be had; with the line of the Containerfile.
        """
        platform = use.platform or platform
        if (use.name, platform) not in self._known:
            try:
                fetched = self._fetch(use.name, platform)
            except MaestroError as error:
                place = Location(file.place, use.instruction.line, 1)
                raise type(error)(error.what, where=place, next_step=error.next_step) from error
            self._context.log.info("base image %s is %s for %s", use.name, fetched.base.digest, platform)
            self._known[use.name, platform] = fetched
        return self._known[use.name, platform]

    @property
    def materials(self) -> tuple[Material, ...]:
        """Everything fetched, in the order of the Containerfile."""
        found = {one.material.uri: one.material for one in self._known.values()}
        return tuple(found.values())

    def _fetch(self, name: str, platform: str) -> Fetched:
        if name.startswith(("oci:", "oci-archive:")):
            return self._from_layout(name, platform)
        reference = Reference.parse(name)
        with self._access.registry(reference.registry) as registry:
            found = registry.manifest(reference.repository, reference.version)
            chosen = found.descriptor
            if chosen.is_index:
                what = f"the index {reference}"
                chosen = chosen_platform(entries(parse_manifest(found.data, what), "manifests", what), platform, name)
        digest = found.descriptor.digest
        exact = f"docker://{reference.at(chosen.digest)}"
        pulled = self._pull(exact, name, self._access.flags(reference.registry))
        plain = f"{reference.name}:{reference.version}" if reference.digest is None else reference.name
        return Fetched(pulled, BaseImage(plain, digest), registry_material(reference, digest))

    def _from_layout(self, name: str, platform: str) -> Fetched:
        transport, _, path = name.partition(":")
        place = places.inside(self._context.workspace, path, "FROM")
        layout = Layout.open(place) if transport == "oci" else unpack_layout(place, self._fresh())
        layout.verify()
        root = chosen = layout.root
        if chosen.is_index:
            chosen = chosen_platform(layout.children(chosen), platform, name)
        elif not serves(layout.platform(chosen), platform):
            raise _no_platform(name, platform, [layout.platform(chosen)])
        alone = _alone(layout, chosen, self._context.scratch)
        material = layout_material(path, root)
        return Fetched(self._pull(f"oci:{alone}", name, []), BaseImage(None, root.digest), material)

    def _fresh(self) -> Path:
        """A folder that does not exist yet, in one that does."""
        return Path(tempfile.mkdtemp(dir=self._context.scratch)) / "layout"

    def _pull(self, source: str, name: str, flags: list[str]) -> str:
        ran = self._buildah.run("pull", "--quiet", *flags, source)
        lines = ran.output.split()
        if ran.exit_code != 0 or not lines:
            raise InputError(
                f"the base image '{name}' cannot be fetched: {ran.reason}",
                next_step="see the step's log; check the registry and the credentials",
            )
        return lines[-1]


def chosen_platform(found: tuple[Descriptor, ...], platform: str, name: str) -> Descriptor:
    """The manifest of an index for ``platform``.

    Raises:
        InputError: there is none.
    """
    for one in found:
        if one.platform and serves(one.platform, platform):
            return one
    raise _no_platform(name, platform, [one.platform or "unknown" for one in found])


def serves(has: str, wanted: str) -> bool:
    """Whether an image for ``has`` runs on ``wanted``; a variant counts only when both name one."""
    mine, theirs = has.split("/"), wanted.split("/")
    return mine[:2] == theirs[:2] and (len(theirs) < 3 or len(mine) < 3 or mine[2] == theirs[2])


def _alone(layout: Layout, chosen: Descriptor, scratch: Path) -> str:
    """The name of a folder in ``scratch``, a layout with this one image: buildah pulls what ``index.json`` names.

    Buildah makes a name of the path it is given, so it must be one an image could have, and the same everywhere.
    """
    folder = scratch / f"base-{chosen.hex[:20]}"
    if not folder.exists():
        single = Layout.create(folder)
        for one in {one.digest: one for one in layout.walk(chosen)}.values():
            _link(layout.blob(one), folder / "blobs/sha256" / one.hex)
        single.finish(chosen)
    return folder.name


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def layout_material(path: str, root: Descriptor) -> Material:
    """The image of a layout in the workspace, as package URL of type ``oci``."""
    return Material(f"pkg:oci/{quote(Path(path).name)}@sha256%3A{root.hex}", {"sha256": root.hex}, name=path)


def registry_material(reference: Reference, digest: str) -> Material:
    """The image of a registry, as package URL of type ``oci``."""
    name = reference.repository.rpartition("/")[2]
    tag = f"&tag={quote(reference.tag)}" if reference.tag else ""
    uri = f"pkg:oci/{name}@{quote(digest, safe='')}?repository_url={quote(reference.name, safe='/')}{tag}"
    return Material(uri, {"sha256": digest.partition(":")[2]}, name=str(reference))


def _no_platform(name: str, platform: str, known: list[str]) -> InputError:
    return InputError(
        f"the base image '{name}' is not made for {platform} (it is for {', '.join(known) or 'none'})",
        next_step="correct `platforms`, or name another base image",
    )
