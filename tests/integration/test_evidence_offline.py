"""An evidence pack in the hands of a stranger: verified in an empty folder, with openssl alone and with Maestro."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.integration.evidence_project import Delivered, copied, delivered


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    project = delivered(tmp_path_factory.mktemp("evidence") / "shop")
    project.evidence("export", "-o", "pack.tar.zst")
    project.run("keys", "export", "development", "-o", "key.pem")
    return project


@pytest.fixture
def stranger(shop: Delivered, tmp_path: Path) -> Delivered:
    """An empty folder with the pack and a key, and nothing of the project."""
    for name in ("pack.tar.zst", "key.pem"):
        (tmp_path / name).write_bytes((shop.root / name).read_bytes())
    return Delivered(tmp_path)


def unpacked(folder: Path) -> Path:
    target = folder / "pack"
    with (
        (folder / "pack.tar.zst").open("rb") as raw,
        tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(raw), mode="r|") as tar,
    ):
        # Python 3.11.2 has no filters yet.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        tar.extractall(target)
    return target


def by_the_readme(folder: Path) -> list[str]:
    """Runs what the README says, with openssl and the usual commands of a shell, and nothing else."""
    [script] = re.findall(r"```sh\n(for pae.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_readme_verifies_every_statement_with_openssl_alone(stranger: Delivered) -> None:
    pack = unpacked(stranger.root)
    said = by_the_readme(pack)
    assert len(said) == 7
    assert all(one.startswith("signed: ") for one in said)
    assert "It must say `signed` of 5 statements" in (pack / "README.md").read_text()


def test_the_key_id_in_the_readme_is_the_one_people_compare(stranger: Delivered, shop: Delivered) -> None:
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", "key.pem", "-outform", "DER"],
        cwd=stranger.root, capture_output=True, check=True,
    ).stdout  # fmt: skip
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout
    [key] = shop.json("keys", "list")["keys"]
    assert digest.decode().split()[0] == key["keyid"]
    assert (unpacked(stranger.root) / "keys" / f"{key['keyid']}.pem").is_file()


@pytest.mark.parametrize("name", ["000-{type}.pae", "000-{type}.sig"])
def test_openssl_refuses_a_statement_that_was_changed(stranger: Delivered, name: str) -> None:
    pack = unpacked(stranger.root)
    [file] = (pack / "statements").glob(name.format(type="*"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    said = by_the_readme(pack)
    assert f"REFUSED: statements/{file.stem}" in said
    assert f"REFUSED: statements/{file.name}" in said


def test_the_readme_finds_a_changed_index_report_and_readme(stranger: Delivered) -> None:
    pack = unpacked(stranger.root)
    [report] = (pack / "reports").glob("*secrets*")
    report.write_bytes(report.read_bytes() + b" ")
    assert f"REFUSED: reports/{report.name}" in by_the_readme(pack)
    index = pack / "index.json"
    index.write_text(index.read_text().replace('"schema": 1', '"schema": 1 '))
    assert "REFUSED: index.json" in by_the_readme(pack)
    (pack / "README.md").write_text((pack / "README.md").read_text() + "Trust me.\n")
    assert "REFUSED: README.md" in by_the_readme(pack)


def test_maestro_verifies_the_pack_where_there_is_no_project(stranger: Delivered, shop: Delivered) -> None:
    said = stranger.evidence("verify", "pack.tar.zst", "--key", "key.pem")
    assert said.endswith("5 statements verified, everything holds\n")
    assert "the keys are the pack's own" not in said
    audit_key = str(shop.home / "keys/audit.pem.pub")
    found = stranger.json("evidence", "verify", "pack.tar.zst", "--key", "key.pem", "--audit-key", audit_key)
    assert found["holds"]
    assert not found["own_keys"]
    assert sorted(one.name for one in stranger.root.iterdir()) == ["key.pem", "pack.tar.zst"]


def test_without_a_key_it_says_what_was_not_shown(stranger: Delivered) -> None:
    assert "who made it is not shown; give --key or --trust" in stranger.evidence("verify", "pack.tar.zst")


def test_another_key_verifies_nothing_of_it(stranger: Delivered) -> None:
    for words in (["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "other.key"],
                  ["pkey", "-in", "other.key", "-pubout", "-out", "other.pem"]):  # fmt: skip
        subprocess.run(["openssl", *words], cwd=stranger.root, capture_output=True, check=True)
    said = stranger.evidence("verify", "pack.tar.zst", "--key", "other.pem", code=1)
    assert said.count("is not trusted here") == 6
    assert said.endswith("0 statements verified, 6 problems\n")
    assert "this is a private key" in stranger.evidence("verify", "pack.tar.zst", "--key", "other.key", code=2)


def test_another_audit_key_shows_nothing_of_the_log(stranger: Delivered, tmp_path: Path) -> None:
    key = "maestro/shop+7317dc74+AVOllMYVrUC4CSXTVjMvlYNAzyf+uFFmWH3/dr9tf559"
    said = stranger.evidence("verify", "pack.tar.zst", "--key", "key.pem", "--audit-key", key, code=1)
    assert "refused audit/checkpoint.txt: it does not hold: no trusted key signed this checkpoint" in said


def test_a_hostile_pack_writes_nothing_and_colours_nothing(stranger: Delivered) -> None:
    evil = stranger.root / "evil.tar.zst"
    index = {
        "schema": 1, "project": "shop", "revision": "a" * 40, "made_at": "now", "quarantined": {},
        "statements": [{"file": "statements/\x1b[31mred", "type": "sbom", "subjects": [], "reports": {}}, 7],
        "files": {"/etc/passwd": "sha256:0"},
    }  # fmt: skip
    from tests.unit.test_evidence_pack import archive

    trust = unpacked(stranger.root) / "keys/trust.yaml"
    archive(
        evil,
        [
            (tarfile.TarInfo("index.json"), json.dumps(index).encode()),
            (tarfile.TarInfo("keys/trust.yaml"), trust.read_bytes()),
        ],
    )
    before = sorted(stranger.root.iterdir())
    said = stranger.evidence("verify", "evil.tar.zst", code=1)
    assert "\x1b" not in said
    assert "index.json: it is not signed, so anything may have been left out" in said
    assert sorted(stranger.root.iterdir()) == before


def test_what_is_in_quarantine_is_not_passed_on_unsaid(tmp_path: Path) -> None:
    shop = delivered(tmp_path / "shop")
    app = next(
        one for row in shop.json("evidence", "show")["evidence"] for one in row["subjects"] if one.startswith("sha256")
    )
    shop.evidence("quarantine", app, "--reason", "wrong compiler")
    shop.evidence("export", "-o", "p.tar.zst")
    assert f"refused {app} is in quarantine: wrong compiler" in shop.evidence("verify", "p.tar.zst", code=1)


def test_a_pack_in_the_checkout_makes_another_revision_and_the_error_says_so(tmp_path: Path, shop: Delivered) -> None:
    project = copied(shop, tmp_path / "shop")
    said = project.evidence("export", "-o", "again.tar.zst", code=2)
    assert "there is no evidence of revision worktree-" in said
    assert "name a revision" in said
    assert "is there already" in project.evidence("export", "HEAD", "-o", "pack.tar.zst", code=2)
