"""``maestro keys``: what a person sees, and that no command ever writes a private key."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from maestro.cli.main import group
from maestro.cli.options import GlobalOptions
from maestro.errors import InputError
from maestro.signing import TrustRoot
from maestro.signing.key_file import new_key

Run = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAESTRO_HOME", raising=False)
    monkeypatch.delenv("MAESTRO_PROFILE", raising=False)
    return tmp_path


@pytest.fixture
def maestro(project: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> str:
        group().main(args=["keys", *arguments], prog_name="maestro", obj=GlobalOptions(), standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_without_keys_the_list_says_how_to_get_one(maestro: Run, project: Path) -> None:
    assert "maestro keys rotate" in maestro("list")
    assert not (project / ".maestro" / "keys").exists()


def test_a_rotation_leaves_the_old_key_retired_and_the_new_one_active(maestro: Run) -> None:
    maestro("rotate")
    assert "what the old key signed still verifies" in maestro("rotate")
    lines = maestro("list").splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["development", "retired"], ["development-2", "active"]]
    assert "good for trying out, not for releases" in lines[-1]


def test_the_state_folder_stays_out_of_git(maestro: Run, project: Path) -> None:
    maestro("rotate")
    status = subprocess.run(["git", "status", "--short"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_one_key_is_shown_with_all_that_is_known_of_it(maestro: Run) -> None:
    maestro("rotate")
    keyid = json.loads(maestro("list", "--json"))["keys"][0]["keyid"]
    maestro("revoke", "development", "--reason", "it was in a backup")
    said = maestro("show", keyid[:12])
    assert keyid in said
    assert "revoked" in said
    assert "it was in a backup" in said
    assert "-----BEGIN PUBLIC KEY-----" in said


def test_a_retired_key_is_listed_as_retired(maestro: Run) -> None:
    maestro("rotate")
    assert "'development' is retired" in maestro("retire", "development")
    assert json.loads(maestro("show", "development", "--json"))["state"] == "retired"


def test_an_exported_key_can_be_imported_elsewhere(maestro: Run, project: Path) -> None:
    signer, _ = new_key()
    (project / "release.pem").write_text(signer.public_key.pem)
    assert "is trusted now" in maestro("import", "release.pem", "--name", "release", "--valid-until", "2099-01-01")
    assert maestro("export", "release") == signer.public_key.pem
    shown = json.loads(maestro("show", "release", "--json"))
    assert (shown["valid_until"], shown["development"]) == ("2099-01-01T00:00:00Z", False)
    maestro("export", "-o", "all.yaml")
    assert TrustRoot.load(project / "all.yaml").find("release").keyid == signer.keyid
    assert "nothing to do" in maestro("import", "all.yaml")


def test_the_key_of_a_signer_can_be_imported(maestro: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maestro.signing import open_signer

    monkeypatch.setenv("WORDS", "correct horse")
    uri = f"file:{project}/k/release.pem?passphrase-env=WORDS"
    signer = open_signer(uri, environ={"WORDS": "correct horse"}, create=True)
    maestro("import", "--signer", uri, "--name", "release")
    assert json.loads(maestro("show", "release", "--json"))["keyid"] == signer.keyid


def test_a_key_can_be_replaced_by_that_of_another_signer(maestro: Run, project: Path) -> None:
    from maestro.signing import open_signer

    uri = f"file:{project}/k/release.pem"
    open_signer(uri, environ={}, create=True)
    maestro("rotate")
    said = maestro("rotate", "development", "--to", uri, "--name", "release")
    assert "'release'" in said
    assert "settings.yaml" in said
    states = {one["name"]: one["state"] for one in json.loads(maestro("list", "--json"))["keys"]}
    assert states == {"development": "retired", "release": "active"}


def test_no_command_writes_a_private_key(maestro: Run) -> None:
    said = maestro("rotate", "--json") + maestro("list", "--json") + maestro("show", "development") + maestro("export")
    assert "PRIVATE" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nothing"], "there is no trusted key 'nothing'"),
        (["retire", "nothing"], "there is no trusted key 'nothing'"),
        (["revoke", "development", "--reason", " "], "a key is revoked for a reason"),
        (["rotate", "development"], "a new key needs a signer and a name"),
        (["rotate", "--name", "x"], "this does not say which key is replaced"),
        (["rotate", "development", "--to", "vault:x", "--name", "x"], "there is no signer 'vault:'"),
        (["import", "nothing.pem", "--name", "x"], "the file cannot be read: No such file"),
        (["import", ".", "--name", "x"], "the file cannot be read: Is a directory"),
        (["import", "text", "--name", "x"], "there is no public key in PEM in this file"),
        (["import", "text"], "this is no trust file"),
        (["import", ".maestro/keys/development.pem", "--name", "x"], "this is a private key"),
        (["import", ".maestro/keys/development.pem"], "the key has no name"),
        (["import", "key.pub", "--name", "x", "--valid-until", "soon"], "--valid-until 'soon' is no date"),
        (["import", "key.pub", "--name", "x", "--valid-until", "2020-01-01"], "valid_until is not after valid_from"),
        (["import", "key.pub", "--name", "x", "--scheme", "ed25519"], "the scheme 'ed25519' cannot be used"),
        (["import", "key.pub", "--name", "development"], "another key is named 'development'"),
        (["export", "-o", "nothing/x"], "the file cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_next_step(
    maestro: Run, project: Path, arguments: list[str], says: str
) -> None:
    maestro("rotate")
    (project / "text").write_text("hello\n")
    (project / "key.pub").write_text(new_key()[0].public_key.pem)
    before = (project / ".maestro" / "keys" / "trust.yaml").read_bytes()
    with pytest.raises(InputError) as caught:
        maestro(*arguments)
    assert says in str(caught.value)
    assert caught.value.next_step
    assert (project / ".maestro" / "keys" / "trust.yaml").read_bytes() == before


@pytest.mark.parametrize("arguments", [["import"], ["import", "a", "--signer", "file:b"], ["revoke", "x"]])
def test_a_command_line_that_does_not_say_what_to_do_is_refused(maestro: Run, arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        maestro(*arguments)


def test_exporting_nothing_is_refused(maestro: Run) -> None:
    with pytest.raises(InputError, match="no key is trusted"):
        maestro("export")
