"""Bundles: what loads, what is refused with which words, and that building one gives the same bytes."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maestro.policy import PolicyError, load_bundle
from maestro.policy.bundle_building import bundle_bytes, sign_bundle, write_bundle
from maestro.signing import TrustedKey, TrustRoot
from maestro.signing.key_file import KeyFileSigner, new_key

RULE = """package maestro.small

release := {"allow": allow, "deny": deny, "warn": []}

default allow := false

allow if count(deny) == 0

deny contains {"rule": "r", "message": "m", "object": "o", "actual": "a", "allowed": "b", "fix": "f"} if not input.ok
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "policies"
    made.mkdir()
    (made / "small.rego").write_text(RULE)
    (made / ".manifest").write_text('{"revision": "1.2.0", "roots": ["maestro"], "rego_version": 1}')
    return made


@pytest.fixture
def signer() -> KeyFileSigner:
    return new_key()[0]


def trusting(signer: KeyFileSigner) -> TrustRoot:
    return TrustRoot((TrustedKey.of(signer.public_key, name="policy", valid_from=datetime(2020, 1, 1, tzinfo=UTC)),))


def archive_of(*members: tuple[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda _member: None) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            change(member)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def loading(tmp_path: Path, data: bytes) -> PolicyError:
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(data)
    with pytest.raises(PolicyError) as caught:
        load_bundle(path)
    assert caught.value.next_step
    return caught.value


def rego(tmp_path: Path, text: str) -> str:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "bad.rego").write_text(text)
    with pytest.raises(PolicyError) as caught:
        load_bundle(folder)
    return str(caught.value)


def test_what_maestro_ships_can_be_loaded() -> None:
    bundle = load_bundle()
    assert bundle.builtin
    assert bundle.version == "1.0.0"
    assert not [name for name in bundle.files if "test" in name or "samples" in name]


def test_a_folder_and_the_bundle_built_from_it_have_the_same_digest(folder: Path, tmp_path: Path) -> None:
    source = load_bundle(folder)
    write_bundle(tmp_path / "b.tar.gz", bundle_bytes(source), None)
    built = load_bundle(tmp_path / "b.tar.gz")
    assert (built.version, built.digest, built.revision) == (source.version, source.digest, source.revision)
    assert built.revision.startswith("1.2.0+")


def test_the_same_content_gives_the_same_bytes_wherever_and_whenever_it_lies(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    for path in sorted(folder.iterdir(), reverse=True):
        (copy / path.name).write_bytes(path.read_bytes())
    assert bundle_bytes(load_bundle(folder)) == bundle_bytes(load_bundle(copy))


def test_another_content_has_another_digest(folder: Path) -> None:
    before = load_bundle(folder).digest
    (folder / "small.rego").write_text(RULE + "\n# changed\n")
    assert load_bundle(folder).digest != before


def test_tests_and_samples_belong_to_no_bundle(folder: Path) -> None:
    before = load_bundle(folder).digest
    (folder / "small_test.rego").write_text("package maestro.small_test\ntest_it if true\n")
    (folder / "samples").mkdir()
    (folder / "samples" / "data.json").write_text("{}")
    assert load_bundle(folder).digest == before


def test_data_documents_lie_under_their_folder(folder: Path) -> None:
    (folder / "maestro" / "limits").mkdir(parents=True)
    (folder / "maestro" / "limits" / "data.json").write_text('{"most": 3}')
    assert load_bundle(folder).data == {"maestro": {"limits": {"most": 3}}}


def test_a_bundle_signed_by_a_trusted_key_is_loaded(folder: Path, tmp_path: Path, signer: KeyFileSigner) -> None:
    bundle = load_bundle(folder)
    data = bundle_bytes(bundle)
    write_bundle(tmp_path / "b.tar.gz", data, sign_bundle(bundle, data, signer))
    assert load_bundle(tmp_path / "b.tar.gz", trust=trusting(signer)).signer == "policy"


def test_an_unsigned_bundle_is_refused_where_a_signature_is_required(
    folder: Path, tmp_path: Path, signer: KeyFileSigner
) -> None:
    write_bundle(tmp_path / "b.tar.gz", bundle_bytes(load_bundle(folder)), None)
    with pytest.raises(PolicyError, match="the bundle is not signed, and a signed one is required"):
        load_bundle(tmp_path / "b.tar.gz", trust=trusting(signer))
    with pytest.raises(PolicyError, match="a folder has no signature"):
        load_bundle(folder, trust=trusting(signer))


def test_a_bundle_changed_after_it_was_signed_is_refused(folder: Path, tmp_path: Path, signer: KeyFileSigner) -> None:
    bundle = load_bundle(folder)
    signature = sign_bundle(bundle, bundle_bytes(bundle), signer)
    (folder / "small.rego").write_text(RULE.replace("not input.ok", "false"))
    write_bundle(tmp_path / "b.tar.gz", bundle_bytes(load_bundle(folder)), signature)
    with pytest.raises(PolicyError, match="subject_mismatch"):
        load_bundle(tmp_path / "b.tar.gz", trust=trusting(signer))


def test_a_bundle_signed_by_a_stranger_is_refused(folder: Path, tmp_path: Path, signer: KeyFileSigner) -> None:
    bundle = load_bundle(folder)
    data = bundle_bytes(bundle)
    write_bundle(tmp_path / "b.tar.gz", data, sign_bundle(bundle, data, new_key()[0]))
    with pytest.raises(PolicyError, match="unknown_key"):
        load_bundle(tmp_path / "b.tar.gz", trust=trusting(signer))


def test_building_without_a_signature_leaves_no_old_one(folder: Path, tmp_path: Path, signer: KeyFileSigner) -> None:
    bundle = load_bundle(folder)
    data = bundle_bytes(bundle)
    write_bundle(tmp_path / "b.tar.gz", data, sign_bundle(bundle, data, signer))
    write_bundle(tmp_path / "b.tar.gz", data, None)
    assert [path.name for path in tmp_path.glob("b.*")] == ["b.tar.gz"]


@pytest.mark.parametrize(
    "name", ["../evil.rego", "a/../../evil.rego", "a/./../../x.rego", "..", "a\\..\\x.rego", "C:/x.rego"]
)
def test_a_member_that_would_lie_outside_is_refused(name: str, tmp_path: Path) -> None:
    assert "would lie outside" in loading(tmp_path, archive_of((name, RULE.encode()))).what
    assert not (tmp_path.parent / "evil.rego").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_a_bundle_is_refused(kind: bytes, tmp_path: Path) -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, "/etc/passwd", 0

    assert "is a link or a device" in loading(tmp_path, archive_of(("small.rego", b""), change=change)).what


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    assert "is there twice" in loading(tmp_path, archive_of(("a.rego", RULE.encode()), ("./a.rego", b""))).what


def test_a_file_that_belongs_to_no_bundle_is_refused(tmp_path: Path) -> None:
    told = loading(tmp_path, archive_of(("a.rego", RULE.encode()), ("run.sh", b"true")))
    assert "'run.sh' does not belong into a bundle" in told.what


def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    assert "unpacks to more than" in loading(tmp_path, gzip.compress(bytes(64 * 1024 * 1024))).what


def test_a_large_file_in_a_bundle_is_refused(tmp_path: Path) -> None:
    assert "has more than 1,048,576 bytes" in loading(tmp_path, archive_of(("a.rego", b"#" * (1 << 20) + b"#"))).what


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    many = archive_of(*((f"{number}.rego", b"") for number in range(2500)))
    assert "more than" in loading(tmp_path, many).what


@pytest.mark.parametrize(
    "data",
    [b"", b"not a bundle", gzip.compress(b"no tar"), gzip.compress(bytes(2048))[:-9]],
    ids=["empty", "text", "no tar", "cut off"],
)
def test_what_is_no_bundle_is_refused(data: bytes, tmp_path: Path) -> None:
    told = loading(tmp_path, data)
    assert told.where is not None
    assert "bundle" in told.what or "there is no policy in it" in told.what


def test_a_link_in_a_folder_is_refused(folder: Path) -> None:
    (folder / "link.rego").symlink_to("/etc/passwd")
    with pytest.raises(PolicyError, match="symbolic link"):
        load_bundle(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_bundle(tmp_path / "nowhere")


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="there is no policy in it"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("manifest", ["{", "[]", "{}", '{"revision": 1}', '{"revision": "1", "rego_version": 0}'])
def test_a_manifest_that_cannot_be_used_is_refused(manifest: str, folder: Path) -> None:
    (folder / ".manifest").write_text(manifest)
    with pytest.raises(PolicyError, match=r"\.manifest cannot be used"):
        load_bundle(folder)


def test_a_revision_that_does_not_fit_the_content_is_refused(folder: Path) -> None:
    (folder / ".manifest").write_text(json.dumps({"revision": "1.2.0+000000000000", "roots": ["maestro"]}))
    with pytest.raises(PolicyError, match="but its content has the digest"):
        load_bundle(folder)


def test_a_package_outside_of_the_roots_is_refused(folder: Path) -> None:
    (folder / "other.rego").write_text("package other\nx := 1\n")
    with pytest.raises(PolicyError, match="package 'other' is outside of the bundle's roots: maestro"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("package maestro.a\nx { true }", "bad.rego:2:3: `if` keyword is required"),
        ("package maestro.a\nx if http.send({})", "bad.rego:2:6: 'http.send' is not a function policies may call"),
        ("package maestro.a\nx := time.now_ns()", "bad.rego:2:6: 'time.now_ns' is not a function"),
        ("package maestro.a\nx := [opa.runtime() | true]", "'opa.runtime' is not a function"),
        ("package maestro.a\nx if { y := 1; frob(y) }", "bad.rego:2:16: 'frob' is not a function"),
        ("package maestro.a\nx := data.maestro.b.f(1)", "there is no function 'data.maestro.b.f' in this bundle"),
        ("package maestro.a\nimport data.maestro.b\nx := 1", "bad.rego:2:8: 'data.maestro.b' is imported"),
        ("package maestro.a\nf(x) := f(x - 1) if x > 0", "functions call each other in a circle"),
        ("package maestro.a\nf(x) := g(x)\ng(x) := f(x)", "bad.rego:"),
        ("package maestro.a\nx := y if { z }", "bad.rego:2:13: use of undefined variable `z` is unsafe"),
        ("package maestro.a\nx := " + "(" * 200 + "1" + ")" * 200, "brackets are nested more than 100 deep"),
    ],
)
def test_a_policy_that_cannot_be_used_is_told_with_file_line_and_column(text: str, told: str, tmp_path: Path) -> None:
    assert told in rego(tmp_path, text)


def test_a_policy_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "small.rego").write_bytes(b"package maestro.a\n\xff")
    with pytest.raises(PolicyError, match=r"small\.rego:2:1: it is not UTF-8"):
        load_bundle(folder)


def test_data_said_twice_is_refused(folder: Path) -> None:
    (folder / "data.json").write_text('{"maestro": {"limits": 1}}')
    (folder / "maestro").mkdir()
    (folder / "maestro" / "data.json").write_text('{"limits": 2}')
    with pytest.raises(PolicyError, match="'limits' is said in two data documents"):
        load_bundle(folder)
