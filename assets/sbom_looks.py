"""Looks into one target and says what it is and what it is made of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.sbom_targets import Target
from maestro.errors import InputError
from maestro.oci.archive import unpack_layout
from maestro.oci.layout import Layout
from maestro.oci.manifest import MANIFESTS, Descriptor
from maestro.sbom import npm_packages, syft, wheels
from maestro.sbom.archives import is_archive, unpack
from maestro.sbom.errors import SbomError
from maestro.sbom.normalise import Found, Root, Tool
from maestro.steps import StepContext

# syft reads these itself, packages within packages included.
_READ_WHOLE = (".jar", ".war", ".ear")


@dataclass(frozen=True, slots=True)
class Look:
    """What one target is made of.

    Args:
        root: the target itself.
        found: what each look found.
        tools: what looked.
        prefixes: folders of this machine that may stand in the texts.
        missing: requirements that are installed nowhere.
    """

    root: Root
    found: Sequence[Found]
    tools: Sequence[Tool] = ()
    prefixes: Sequence[str] = ()
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Looker:
    """How to look.

    Args:
        context: of the step.
        program: syft.
        catalogers: instead of those for each kind of target.
        environment: a virtual environment in which a wheel's requirements are resolved.
        extras: of the wheel, when they are.
    """

    context: StepContext
    program: str
    catalogers: Sequence[str] = ()
    environment: Path | None = None
    extras: Sequence[str] = ()

    def look(self, target: Target, scratch: Path) -> Look:
        """Look into ``target``; ``scratch`` is an empty folder.

        Raises:
            InputError: it cannot be read, is hostile, or syft failed.
        """
        scratch.mkdir(parents=True)
        if target.is_image:
            return self._image(target, scratch)
        if target.place.is_dir():
            return self._folder(target, scratch)
        if target.place.name.endswith(".whl"):
            return self._wheel(target, scratch)
        return self._file(target, scratch)

    def _image(self, target: Target, scratch: Path) -> Look:
        assert target.subject is not None
        digest = f"sha256:{target.subject.digest['sha256']}"
        layout = unpack_layout(target.place, scratch / "layout")
        looks = [self._syft("image", one, scratch) for one in _single_images(layout, digest, scratch)]
        root = Root(target.name, "container", digest, _image_purl(target.name, digest), target.subject.digest["sha256"])
        return self._made(root, looks, scratch)

    def _folder(self, target: Target, scratch: Path) -> Look:
        kind: syft.TargetKind = "folder"
        if wheels.is_environment(target.place):
            kind = "python-environment"
        elif target.place.name == "node_modules":
            kind = "node-modules"
        # The workspace's own folder is called otherwise in each checkout.
        name = "source" if target.name in (".", "./") else target.name.rstrip("/")
        return self._made(Root(name, "application"), [self._syft(kind, target.place, scratch)], scratch, target.place)

    def _wheel(self, target: Target, scratch: Path) -> Look:
        wheel = wheels.read_wheel(target.place)
        root = wheel.root(_sha256(target))
        missing: tuple[str, ...] = ()
        if self.environment is None:
            needed = wheels.unresolved(wheel)
        else:
            needed, missing = wheels.resolved(wheel, self.environment, self.extras)
        bundled, tool = self._unpacked(target, scratch, root)
        return Look(root, [needed, bundled], [tool], _prefixes(self.context, scratch), missing)

    def _file(self, target: Target, scratch: Path) -> Look:
        sha256 = _sha256(target)
        plain = Root(target.place.name, "file", sha256=sha256)
        if target.place.name.endswith(_READ_WHOLE) or not is_archive(target.place):
            alone = scratch / "file"
            alone.mkdir()
            # Its own folder, so that its neighbours are not looked at; syft follows no link out of it.
            shutil.copyfile(target.place, alone / target.place.name)
            return self._made(plain, [self._syft("package", alone, scratch)], scratch)
        unpack(target.place, scratch / "unpacked")
        about = npm_packages.read_package(scratch / "unpacked")
        sdist = None if about else wheels.read_sdist(scratch / "unpacked")
        if about:
            root, needed = npm_packages.root_of(about, sha256), npm_packages.unresolved(about)
        elif sdist:
            root, needed = sdist.root(sha256), wheels.unresolved(sdist)
        else:
            root, needed = plain, Found()
        found, tool = self._syft("package", scratch / "unpacked", scratch)
        return self._made(root, [(needed, tool), (_without(found, root), tool)], scratch)

    def _unpacked(self, target: Target, scratch: Path, root: Root) -> tuple[Found, Tool]:
        """What lies in a package beside itself: copies of other packages, programs."""
        unpack(target.place, scratch / "unpacked")
        found, tool = self._syft("package", scratch / "unpacked", scratch)
        return _without(found, root), tool

    def _syft(self, kind: syft.TargetKind, place: Path, scratch: Path) -> tuple[Found, Tool]:
        number = len(list(scratch.glob("found-*")))
        output, configuration = scratch / f"found-{number}.json", scratch / "syft.yaml"
        configuration.touch()
        argv = syft.command(self.program, syft.Scan(kind, place, self.catalogers), output, configuration)
        code = self.context.run_process(argv, cwd=scratch, env=syft.environment(scratch)).exit_code
        if code != 0 or not output.is_file():
            raise SbomError(
                f"syft failed (exit code {code}); its messages are in the step's log",
                next_step="correct what they say, or try another syft with SYFT_BIN",
            )
        return syft.read(output)

    def _made(self, root: Root, looks: Sequence[tuple[Found, Tool]], scratch: Path, place: Path | None = None) -> Look:
        tools = list(dict.fromkeys(tool for _, tool in looks))
        prefixes = _prefixes(self.context, scratch, *([place] if place else []))
        return Look(root, [found for found, _ in looks], tools, prefixes)


def _single_images(layout: Layout, digest: str, scratch: Path) -> list[Path]:
    """A layout of its own for each platform of an image: syft reads layouts with one image only."""
    root = next((one for one in layout.roots if one.digest == digest), None)
    if root is None:
        raise InputError(
            f"the image's archive does not hold {digest}", next_step="build the image again, and its archive with it"
        )
    # What builders put beside the images (signatures, provenance) is for no platform.
    images = {
        one.digest: one
        for one in layout.walk(root)
        if one.media_type in MANIFESTS and one.platform != "unknown/unknown"
    }
    return [_alone(layout, one, scratch / f"image-{number}") for number, one in enumerate(images.values())]


def _alone(layout: Layout, image: Descriptor, folder: Path) -> Path:
    folder.mkdir()
    folder.joinpath("blobs").symlink_to(layout.folder / "blobs")
    folder.joinpath("oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    # Without its platform: syft leaves out an image that is for another one than this machine's.
    plain = {"mediaType": image.media_type, "digest": image.digest, "size": image.size}
    folder.joinpath("index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [plain]}))
    return folder


def _without(found: Found, root: Root) -> Found:
    """What was found but the package itself, which is the subject and not a part of it."""
    itself = {
        one.get("bom-ref")
        for one in found.components
        if root.purl and str(one.get("purl", "")).split("?")[0] == root.purl
    }
    return Found(
        [one for one in found.components if one.get("bom-ref") not in itself],
        [one for one in found.dependencies if one.get("ref") not in itself],
    )


def _image_purl(name: str, digest: str) -> str:
    from packageurl import PackageURL

    repository = name.partition("@")[0]
    last = repository.rpartition("/")[2].partition(":")[0].lower()
    located = {"repository_url": repository} if "/" in repository else None
    return str(PackageURL("oci", name=last, version=digest, qualifiers=located).to_string())


def _sha256(target: Target) -> str:
    assert target.subject is not None
    return target.subject.digest["sha256"]


def _prefixes(context: StepContext, *places: Path) -> list[str]:
    folders = [context.workspace, context.scratch, *places]
    inner = [place / name for place in places for name in ("unpacked", "file")]
    return [str(one) for folder in (*folders, *inner) for one in (folder, folder.resolve())]
