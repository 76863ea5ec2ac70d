from __future__ import annotations

import os
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.secrets import SecretReader, SecretSource

VALUE = "correct horse battery"


def file_source(root: Path, data: bytes = VALUE.encode() + b"\n", mode: int = 0o600) -> SecretSource:
    path = root / "key"
    path.write_bytes(data)
    path.chmod(mode)
    return SecretSource(provider="file", path="key")


def refusal(root: Path, source: SecretSource, environ: dict[str, str] | None = None) -> InputError:
    reader = SecretReader(root, environ or {}, {"API": source})
    assert not reader.available("API")
    with pytest.raises(InputError) as raised:
        reader.read(["API"])
    return raised.value


def test_env_reads_the_variable_of_the_secret_s_own_name(tmp_path: Path) -> None:
    reader = SecretReader(tmp_path, {"API": VALUE}, {"API": SecretSource()})
    assert dict(reader.read(["API"])) == {"API": VALUE}
    assert reader.available("API")


def test_env_reads_another_variable_when_told(tmp_path: Path) -> None:
    reader = SecretReader(tmp_path, {"OTHER": VALUE}, {"API": SecretSource(variable="OTHER")})
    assert reader.read(["API"])["API"] == VALUE


def test_only_the_secrets_asked_for_are_read(tmp_path: Path) -> None:
    reader = SecretReader(tmp_path, {"A": VALUE, "B": VALUE}, {"A": SecretSource(), "B": SecretSource()})
    assert list(reader.read(["B"])) == ["B"]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"value", "value"),
        (b"value\n", "value"),
        (b"value\r\n", "value"),
        (b"value\n\n", "value\n"),
        (b" one\ntwo \n", " one\ntwo "),
        ("schlüssel\n".encode(), "schlüssel"),
    ],
)
def test_file_gives_the_text_without_its_last_line_end(tmp_path: Path, data: bytes, value: str) -> None:
    assert SecretReader(tmp_path, {}, {"API": file_source(tmp_path, data)}).read(["API"])["API"] == value


def test_an_absolute_path_and_mode_0400_will_do(tmp_path: Path) -> None:
    file_source(tmp_path, mode=0o400)
    source = SecretSource(provider="file", path=str(tmp_path / "key"))
    assert SecretReader(Path("/"), {}, {"API": source}).read(["API"])["API"] == VALUE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601, 0o777])
def test_a_file_open_to_others_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    error = refusal(tmp_path, file_source(tmp_path, mode=mode))
    path = tmp_path / "key"
    assert error.what == f"a secret cannot be read: API: file {path} is open to others (mode {mode:04o})"
    assert error.next_step == f"chmod 600 {path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    source = file_source(tmp_path)
    os.chown(tmp_path / "key", 65534, 65534)
    error = refusal(tmp_path, source)
    assert error.what.endswith(f"file {tmp_path / 'key'} belongs to another user (uid 65534)")
    assert error.next_step == f"make it yours: chown 0 {tmp_path / 'key'}"


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    file_source(tmp_path, mode=0o644)
    (tmp_path / "link").symlink_to("key")
    assert "is open to others" in refusal(tmp_path, SecretSource(provider="file", path="link")).what
    (tmp_path / "key").chmod(0o600)
    source = SecretSource(provider="file", path="link")
    assert SecretReader(tmp_path, {}, {"API": source}).read(["API"])["API"] == VALUE


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, SecretSource(provider="file", path="key"))
    assert error.what == f"a secret cannot be read: API: file {tmp_path / 'key'} does not exist"
    assert error.next_step == f"write API to {tmp_path / 'key'} and chmod 600 it"


def test_a_path_through_a_file_cannot_be_opened(tmp_path: Path) -> None:
    file_source(tmp_path)
    error = refusal(tmp_path, SecretSource(provider="file", path="key/inner"))
    assert error.what.endswith(f"file {tmp_path / 'key/inner'} cannot be opened (Not a directory)")


def test_a_folder_and_a_named_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "."):
        error = refusal(tmp_path, SecretSource(provider="file", path=name))
        assert error.what.endswith("is not a regular file")
        assert error.next_step == "write API to a regular file"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"text\0more", "holds a NUL character"),
        (b"\xff\xfe\xfd\xfc", "is not UTF-8 text"),
        (b"x" * 65537, "is larger than 64 KiB"),
        (b"abc\n", "has fewer than 4 characters, which cannot be masked safely"),
        (b"  a  \n", "has fewer than 4 characters, which cannot be masked safely"),
    ],
)
def test_a_file_that_holds_no_usable_text_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    assert refusal(tmp_path, file_source(tmp_path, data)).what.endswith(reason)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "environment variable API is not set"),
        ({"API": ""}, "environment variable API is empty"),
        (
            {"API": "abc"},
            "environment variable API is too short: it has fewer than 4 characters, which cannot be masked safely",
        ),
    ],
)
def test_a_variable_that_holds_no_usable_text_is_refused(tmp_path: Path, environ: dict[str, str], reason: str) -> None:
    assert refusal(tmp_path, SecretSource(), environ).what == f"a secret cannot be read: API: {reason}"


def test_a_file_without_a_path_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, SecretSource(provider="file")).what.endswith("API: its file is not named")


def test_a_secret_that_is_not_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        SecretReader(tmp_path, {"API": VALUE}, {}).read(["API"])
    assert raised.value.what == "a secret cannot be read: API: it is not declared"
    assert raised.value.next_step == "add API to `secrets` at the top of the workflow"


def test_all_that_is_missing_is_one_error_without_any_value(tmp_path: Path) -> None:
    sources = {
        "A": SecretSource(),
        "B": SecretSource(variable="OTHER"),
        "C": file_source(tmp_path, mode=0o644),
        "D": SecretSource(variable="GIVEN"),
        "E": SecretSource(variable="SHORT"),
    }
    reader = SecretReader(tmp_path, {"GIVEN": VALUE, "SHORT": "q7#"}, sources)
    with pytest.raises(InputError) as raised:
        reader.read(["E", "D", "C", "B", "A", "A"])
    text = str(raised.value)
    assert text.startswith(
        "4 secrets cannot be read: A: environment variable A is not set; B: environment variable OTHER is not set; "
        f"C: file {tmp_path / 'key'} is open to others (mode 0644); E: environment variable SHORT is too short: "
    )
    assert f"chmod 600 {tmp_path / 'key'}" in text
    assert VALUE not in text
    assert "q7#" not in text
