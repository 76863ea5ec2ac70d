"""A bundle of policies: its files, version, digest and who signed it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import maestro
from maestro.errors import Location
from maestro.policy import source
from maestro.policy.errors import PolicyError

if TYPE_CHECKING:
    from maestro.signing import TrustRoot

PREDICATE_TYPE = "https://maestro.example/attestation/policy-bundle/v1"
SIGNATURE_SUFFIX = ".sigstore.json"
_LARGEST_SIGNATURE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """Policies that were loaded and checked.

    Args:
        version: as its author numbers it.
        digest: ``sha256:<hex>`` over names and contents of its policies and data; the same for a folder and for the
            archive built from it, however that was compressed.
        files: name -> content, sorted, the manifest not among them.
        data: its data documents, merged.
        source: where it comes from, for people.
        builtin: it is the one Maestro ships.
        signer: name of the trusted key that signed it; None: nobody asked.
    """

    version: str
    digest: str
    files: Mapping[str, bytes]
    data: Mapping[str, Any]
    source: str
    roots: tuple[str, ...] = ("maestro",)
    builtin: bool = False
    signer: str | None = None

    @property
    def revision(self) -> str:
        """What an OPA server with this bundle says it has: version and the beginning of the digest."""
        return f"{self.version}+{self.digest.removeprefix('sha256:')[:12]}"


def load_bundle(path: Path | None = None, *, trust: TrustRoot | None = None) -> Bundle:
    """The bundle in a folder or an archive; without a path the one Maestro ships.

    Args:
        trust: given: the archive must be signed by one of these keys (``<bundle>.sigstore.json`` beside it). What
            Maestro ships is part of the program and as trusted as that; it is not checked again by each process.

    Raises:
        PolicyError: it cannot be read, is over a limit, has a member that lies outside or is a link, is not signed as
            it must be, or its policies cannot be used; says file, line and column.
    """
    if path is None:
        return _builtin()
    if path.is_dir():
        if trust is not None:
            raise PolicyError(
                "a signed bundle is required, and a folder has no signature",
                where=Location(str(path)),
                next_step="build one: maestro policy bundle build --sign",
            )
        return _checked(source.read_folder(path), str(path))
    archive = source.read_archive(path)
    signer = None if trust is None else verify_archive(archive, path, trust)
    return _checked(source.unpack(archive, path), str(path), signer=signer)


def verify_archive(archive: bytes, path: Path, trust: TrustRoot) -> str:
    """Name of the trusted key that signed these bytes; they are not looked into before.

    Raises:
        PolicyError: there is no signature, or it does not hold.
    """
    from maestro.signing import VerificationError, check_predicate, check_subject, verify_bundle

    signature = path.with_name(path.name + SIGNATURE_SUFFIX)
    try:
        with signature.open("rb") as file:
            data = file.read(_LARGEST_SIGNATURE + 1)
    except OSError:
        raise PolicyError(
            "the bundle is not signed, and a signed one is required",
            where=Location(str(path)),
            next_step=f"put its signature beside it, as {signature.name}, or build it with --sign",
        ) from None
    try:
        verified = verify_bundle(data, trust)
        check_predicate(verified.statement, PREDICATE_TYPE)
        check_subject(verified.statement, {"sha256": hashlib.sha256(archive).hexdigest()})
    except VerificationError as error:
        raise PolicyError(
            f"the signature of the bundle does not hold: {error.what} ({error.code})",
            where=Location(str(signature)),
            next_step="get the bundle again from who signed it; do not use this one",
        ) from None
    return verified.signer.name


def content_digest(files: Mapping[str, bytes]) -> str:
    """``sha256:<hex>`` over the sorted names and the digests of their contents."""
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return "sha256:" + hashlib.sha256(json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@lru_cache(maxsize=1)
def _builtin() -> Bundle:
    # Beside this package, whatever else is called "policies" on the path: nothing else is trusted as the program is.
    folder = Path(maestro.__file__).parent.parent / "policies"
    return _checked(source.read_folder(folder), "the policies Maestro ships", builtin=True)


def _checked(files: Mapping[str, bytes], name: str, *, builtin: bool = False, signer: str | None = None) -> Bundle:
    kept = {one: data for one, data in files.items() if one != source.MANIFEST and not source.is_test(one)}
    strange = [one for one in kept if not source.is_bundled(one) or one.endswith("/" + source.MANIFEST)]
    if strange:
        raise PolicyError(
            f"{strange[0]!a} does not belong into a bundle",
            where=Location(name),
            next_step="a bundle holds .rego files, data.json and .manifest only",
        )
    if not any(one.endswith(".rego") for one in kept):
        raise PolicyError(
            "there is no policy in it", where=Location(name), next_step="name a folder with .rego files, or a bundle"
        )
    version, roots = _manifest(files.get(source.MANIFEST), name)
    # Checking takes longer than all decisions of a run together; that what is shipped passes, a test has seen.
    if not builtin:
        _check_modules(kept, roots)
    digest = content_digest(kept)
    if builtin or version.partition("+")[2] == digest.removeprefix("sha256:")[:12]:
        version = version.partition("+")[0]
    elif "+" in version:
        raise PolicyError(
            f"its revision is {version}, but its content has the digest {digest[:19]}…",
            where=Location(name),
            next_step="build the bundle again: maestro policy bundle build",
        )
    return Bundle(version, digest, kept, merged_data(kept), name, roots, builtin, signer)


def _check_modules(files: Mapping[str, bytes], roots: tuple[str, ...]) -> None:
    from maestro.policy.checks import check_policies

    for module in check_policies(files):
        path = module.package.removeprefix("data.").replace(".", "/")
        if not any(path == root or path.startswith(f"{root}/") or not root for root in roots):
            raise PolicyError(
                f"package '{path}' is outside of the bundle's roots: {', '.join(roots)}",
                where=Location(module.file),
                next_step="name the package below a root, or add its root to .manifest",
            )


def _manifest(data: bytes | None, name: str) -> tuple[str, tuple[str, ...]]:
    if data is None:
        return "0", ("maestro",)
    try:
        manifest = json.loads(data)
        version, roots = manifest["revision"], manifest.get("roots", [""])
        sound = isinstance(version, str) and 0 < len(version) <= 100 and version.isprintable() and bool(roots)
        sound = sound and all(isinstance(one, str) for one in roots) and manifest.get("rego_version", 1) == 1
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise PolicyError(
            "its .manifest cannot be used",
            where=Location(name),
            next_step='write {"revision": "1.0.0", "roots": ["maestro"], "rego_version": 1} into it',
        )
    return version, tuple(one.strip("/") for one in roots)


def merged_data(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The data documents, each under the folder it lies in, as OPA has it."""
    merged: dict[str, Any] = {}
    for name, content in files.items():
        if name.rsplit("/", 1)[-1] != "data.json":
            continue
        try:
            document = json.loads(content, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise PolicyError(
                f"it is no JSON: {str(error)[:200]}", where=Location(name), next_step="correct the document"
            ) from None
        for part in reversed(name.split("/")[:-1]):
            document = {part: document}
        if not isinstance(document, dict):
            raise PolicyError("it is no JSON object", where=Location(name), next_step="write an object into data.json")
        _merge(merged, document, name)
    return merged


def _merge(into: dict[str, Any], other: Mapping[str, Any], name: str) -> None:
    for key, value in other.items():
        if key not in into:
            into[key] = value
        elif isinstance(into[key], dict) and isinstance(value, dict):
            _merge(into[key], value, name)
        else:
            raise PolicyError(
                f"'{key}' is said in two data documents", where=Location(name), next_step="say it once only"
            )


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")
