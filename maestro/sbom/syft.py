"""Calls syft: which cataloguers for what, with nothing taken from the machine's own configuration or the Internet."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from maestro.sbom.errors import SbomError
from maestro.sbom.limits import Limits
from maestro.sbom.normalise import Found, Tool
from maestro.sbom.stream import top_level

TargetKind: TypeAlias = Literal["image", "folder", "python-environment", "node-modules", "package"]

INSTALL = "install syft: pip install 'maestro-conductor[evidence]', or set SYFT_BIN to the program"
VARIABLE = "SYFT_BIN"

_INSTALLED = (
    "python-installed-package-cataloger",
    "javascript-package-cataloger",
    "java-archive-cataloger",
    "go-module-binary-cataloger",
    "cargo-auditable-binary-cataloger",
    "ruby-installed-gemspec-cataloger",
    "php-composer-installed-cataloger",
    "dotnet-deps-cataloger",
)
_SYSTEM = (
    "alpm-db-cataloger",
    "apk-db-cataloger",
    "dpkg-db-cataloger",
    "portage-cataloger",
    "rpm-db-cataloger",
)
# What is compiled from source by an image itself: interpreters, web servers.
_BINARIES = ("binary-classifier-cataloger", "java-jvm-cataloger", "r-package-cataloger", "lua-rock-cataloger")
_DECLARED = (
    "cocoapods-cataloger",
    "conan-cataloger",
    "dart-pubspec-lock-cataloger",
    "dotnet-deps-cataloger",
    "elixir-mix-lock-cataloger",
    "erlang-rebar-lock-cataloger",
    "go-module-file-cataloger",
    "haskell-cataloger",
    "java-gradle-lockfile-cataloger",
    "java-pom-cataloger",
    "javascript-lock-cataloger",
    "opam-cataloger",
    "php-composer-lock-cataloger",
    "python-package-cataloger",
    "ruby-gemfile-cataloger",
    "rust-cargo-lock-cataloger",
    "swift-package-manager-cataloger",
)
CATALOGERS: Mapping[TargetKind, Sequence[str]] = {
    "image": (*_SYSTEM, *_INSTALLED, *_BINARIES),
    "folder": _DECLARED,
    "python-environment": ("python-installed-package-cataloger",),
    "node-modules": ("javascript-package-cataloger",),
    "package": _INSTALLED,
}
"""What is looked for, by what is looked at. syft's own choice adds twice as many again that are not there."""

_NOT_SOURCE = ("./.git/**", "./.maestro/**", "**/node_modules/**", "**/.venv/**", "**/venv/**", "**/.tox/**")
_ENVIRONMENT = {
    "SYFT_CHECK_FOR_APP_UPDATE": "false",
    "SYFT_FILE_METADATA_SELECTION": "none",
    "SYFT_GOLANG_SEARCH_REMOTE_LICENSES": "false",
    "SYFT_JAVA_USE_NETWORK": "false",
    "SYFT_JAVASCRIPT_SEARCH_REMOTE_LICENSES": "false",
    "SYFT_PYTHON_GUESS_UNPINNED_REQUIREMENTS": "false",
    "SYFT_FORMAT_PRETTY": "false",
}
# syft's own text, with every guessed CPE, is several times what is kept of it.
_RAW_LIMITS = Limits(size=4_000_000_000)


@dataclass(frozen=True, slots=True)
class Scan:
    """One call of syft.

    Args:
        kind: what is looked at.
        place: a folder, or a folder with an OCI image layout.
        catalogers: instead of those for its kind.
    """

    kind: TargetKind
    place: Path
    catalogers: Sequence[str] = ()


def find(which: Callable[[str], str | None], environ: Mapping[str, str] | None = None) -> str:
    """The syft to use: ``SYFT_BIN``, else on PATH, else beside Maestro's interpreter; ``syft`` when nowhere."""
    chosen = (environ or {}).get(VARIABLE) or os.environ.get(VARIABLE)
    if chosen:
        return chosen
    # The program of the PyPI wheel lies beside the interpreter, whose folder need not be on PATH.
    beside = Path(sys.executable).parent / "syft"
    return "syft" if which("syft") or not beside.is_file() else str(beside)


def command(program: str, scan: Scan, output: Path, configuration: Path) -> list[str]:
    """The call that writes what syft finds to ``output``, as CycloneDX 1.6.

    ``configuration`` is an empty file: without it syft reads one of the folder looked at, or of the person.
    """
    source = f"oci-dir:{scan.place}" if scan.kind == "image" else f"dir:{scan.place}"
    catalogers = ",".join(scan.catalogers or CATALOGERS[scan.kind])
    argv = [program, "scan", source, "--config", str(configuration), "--override-default-catalogers", catalogers]
    if scan.kind == "folder":
        for pattern in _NOT_SOURCE:
            argv += ["--exclude", pattern]
    return [*argv, "--quiet", "--output", f"cyclonedx-json@1.6={output}"]


def environment(scratch: Path) -> dict[str, str]:
    """What its environment has besides: nothing is fetched, and layers are unpacked into the scratch folder."""
    return {**_ENVIRONMENT, "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(scratch / "cache"), "HOME": str(scratch)}


def read(output: Path) -> tuple[Found, Tool]:
    """What syft has written, and its version.

    Raises:
        SbomError: it is not what syft writes.
    """
    components: list[Mapping[str, Any]] = []
    dependencies: list[Mapping[str, Any]] = []
    version = ""
    for key, value in top_level(output, ("metadata",), ("components", "dependencies"), _RAW_LIMITS):
        if not isinstance(value, dict):
            raise SbomError("syft wrote what is no CycloneDX document", next_step=INSTALL)
        if key == "components":
            components.append(_lean(value))
        elif key == "dependencies":
            dependencies.append(value)
        else:
            version = _version(value)
    return Found(components, dependencies), Tool("syft", version)


def _lean(component: dict[str, Any]) -> dict[str, Any]:
    properties = component.get("properties")
    if properties:
        component["properties"] = [one for one in properties if one.get("name") != "syft:cpe23"]
    return component


def _version(metadata: Mapping[str, Any]) -> str:
    tools = metadata.get("tools")
    listed = tools.get("components") if isinstance(tools, dict) else None
    return next((str(one.get("version", "")) for one in listed or () if one.get("name") == "syft"), "")
