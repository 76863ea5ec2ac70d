"""The evidence of a release in another person's empty folder: verified by another process, and by openssl alone."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from tests.e2e.example import Example


@dataclass(frozen=True)
class Stranger:
    """Somebody with a pack and a public key, and nothing else.

    Args:
        folder: theirs; it holds ``pack.tar.zst`` and ``key.pem``.
    """

    folder: Path
    environment: Mapping[str, str]

    def verify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``maestro evidence verify``, without a project."""
        program = [str(Path(sys.executable).with_name("maestro")), "evidence", "verify", "pack.tar.zst", *arguments]
        return subprocess.run(
            program, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def stranger(repaired_example: Example, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    folder, home = tmp_path_factory.mktemp("stranger"), tmp_path_factory.mktemp("home")
    for arguments in (
        ("evidence", "export", repaired_example.revision, "-o", str(folder / "pack.tar.zst")),
        ("keys", "export", "development", "-o", str(folder / "key.pem")),
    ):
        ended = repaired_example.maestro(*arguments)
        assert ended.code == 0, ended.text
    return Stranger(folder, {**repaired_example.programs_environment, "HOME": str(home)})


def test_a_stranger_verifies_the_pack_with_nothing_but_the_key(stranger: Stranger, repaired_example: Example) -> None:
    ended = stranger.verify("--key", "key.pem")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"pack.tar.zst: app, revision {repaired_example.revision}" in ended.stdout
    assert "everything holds" in ended.stdout
    for type_ in ("sbom", "vulnerabilities", "provenance", "test-report", "decision"):
        assert re.search(rf"^{type_} ", ended.stdout, re.MULTILINE), ended.stdout
    assert sorted(one.name for one in stranger.folder.iterdir()) == ["key.pem", "pack.tar.zst"]


def test_the_key_of_somebody_else_verifies_nothing(stranger: Stranger, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for arguments in (
        ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(other)),
        ("pkey", "-in", str(other), "-pubout", "-out", f"{other}.pem"),
    ):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    ended = stranger.verify("--key", f"{other}.pem")
    assert ended.returncode == 1
    assert "refused" in ended.stdout
    assert "0 statements verified" in ended.stdout


def test_a_trust_file_is_no_key(stranger: Stranger, repaired_example: Example) -> None:
    trust = repaired_example.project.home / "keys" / "trust.yaml"
    ended = stranger.verify("--key", str(trust))
    assert ended.returncode == 2
    assert "trust.yaml is no public key in PEM" in ended.stderr
    assert "a trust file goes with --trust" in ended.stderr
    assert stranger.verify("--trust", str(trust)).returncode == 0


def test_openssl_alone_verifies_the_pack_by_the_commands_of_its_readme(stranger: Stranger, tmp_path: Path) -> None:
    unpack(stranger.folder / "pack.tar.zst", tmp_path)
    told = by_readme(tmp_path)
    statements = [file.stem for file in (tmp_path / "statements").glob("*.pae")]
    assert sorted(told) == sorted(
        f"signed: {one}" for one in (*[f"statements/{one}" for one in statements], "index.json")
    )
    keys = {file.read_text() for file in (tmp_path / "keys").glob("*.pem")}
    assert keys == {(stranger.folder / "key.pem").read_text()}


def test_openssl_alone_refuses_a_pack_in_which_a_report_was_changed(stranger: Stranger, tmp_path: Path) -> None:
    unpack(stranger.folder / "pack.tar.zst", tmp_path)
    report = next(file for file in (tmp_path / "reports").iterdir() if "vulnerabilities" in file.name)
    report.write_bytes(report.read_bytes().replace(b'"clean"', b'"CLEAN"'))
    assert [line for line in by_readme(tmp_path) if line.startswith("REFUSED")] == [f"REFUSED: reports/{report.name}"]


def unpack(pack: Path, folder: Path) -> None:
    data = zstandard.ZstdDecompressor().stream_reader(pack.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as files:
        # Python 3.11.2 has no filters yet.
        files.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        files.extractall(folder)


def by_readme(folder: Path) -> list[str]:
    """What the shell commands in the README write, line by line."""
    readme = (folder / "README.md").read_text()
    commands = re.search(r"## With openssl alone.*?```sh\n(.*?)```", readme, re.DOTALL)
    assert commands is not None
    done = subprocess.run(["sh", "-c", commands[1]], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
