"""Names of images, and the credentials for their registries."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.oci.auth import Credentials, find_auth_file, parse_auth, read_auth_file
from maestro.oci.reference import Reference, is_loopback

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("debian", Reference("docker.io", "library/debian")),
        ("team/app:1.0", Reference("docker.io", "team/app", "1.0")),
        ("localhost/app", Reference("localhost", "app")),
        ("localhost:5000/a/b_c:v1", Reference("localhost:5000", "a/b_c", "v1")),
        (f"registry.example.com/app@{DIGEST}", Reference("registry.example.com", "app", None, DIGEST)),
        (f"docker://r.example.com:1/app:2@{DIGEST}", Reference("r.example.com:1", "app", "2", DIGEST)),
    ],
)
def test_a_name_is_read_as_container_tools_read_it(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected
    assert Reference.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a repository has lower-case letters"),
        ("App", "a repository has lower-case letters"),
        ("a//b", "a repository has lower-case letters"),
        ("../etc", "is no host name"),
        ("host.example.com/../x", "a repository has lower-case letters"),
        ("app:", "'' is no tag"),
        ("app:a b", "is no tag"),
        ("app@sha256:123", "its digest is not 'sha256:' and 64"),
        ("ho st.com/app", "is no host name"),
        ("http://a.example.com/app", "is no host name"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason_and_an_example(text: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        Reference.parse(text)
    assert why in caught.value.what
    assert "localhost:5000/app@sha256:" in str(caught.value.next_step)


def test_a_place_that_is_written_to_must_name_its_registry() -> None:
    with pytest.raises(InputError, match="'app' is no image reference: it names no registry"):
        Reference.parse("app", registry_needed=True)


@pytest.mark.parametrize("registry", ["localhost", "localhost:5000", "127.0.0.1:80", "127.3.2.1"])
def test_only_addresses_of_this_machine_do_without_tls(registry: str) -> None:
    assert is_loopback(registry)


@pytest.mark.parametrize("registry", ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1:5000", "docker.io"])
def test_others_do_not(registry: str) -> None:
    assert not is_loopback(registry)


def auth(**entries: str) -> bytes:
    encoded = {name: {"auth": base64.b64encode(pair.encode()).decode()} for name, pair in entries.items()}
    return json.dumps({"auths": encoded}).encode()


def test_the_most_specific_credentials_are_used() -> None:
    found = parse_auth(auth(**{"r.io": "all:1", "r.io/team": "team:a:b", "docker.io": "hub:x"}), "f")
    assert found.for_repository("r.io", "team/app") == Credentials("team", "a:b")
    assert found.for_repository("r.io", "teams/app") == Credentials("all", "1")
    assert found.for_repository("other.io", "app") is None
    hub = parse_auth(auth(**{"https://index.docker.io/v1/": "hub:x"}), "f")
    assert hub.for_repository("docker.io", "library/debian") == Credentials("hub", "x")


def test_a_password_is_never_shown() -> None:
    assert "swordfish" not in repr(parse_auth(auth(**{"r.io": "me:swordfish"}), "f"))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b'{"auths": 1}', b'{"auths": {"r": {"auth": "%%"}}}', b'{"auths": {"r": {"auth": "YQ=="}}}'],
)
def test_a_file_that_holds_no_credentials_is_refused_without_its_content(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "auth.json").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_auth_file(tmp_path / "auth.json")
    assert "auth.json' cannot be used: it is no JSON of the form" in caught.value.what
    assert "skopeo login --authfile FILE REGISTRY" in str(caught.value.next_step)
    assert caught.value.__cause__ is None


def test_a_file_that_is_named_but_missing_is_an_error_and_none_at_all_is_not(tmp_path: Path) -> None:
    assert find_auth_file({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}) is None
    named = find_auth_file({"HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / "none")})
    assert named == tmp_path / "none"
    with pytest.raises(InputError, match="cannot be used: No such file or directory"):
        read_auth_file(named)
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_bytes(auth(**{"r.io": "a:b"}))
    assert find_auth_file({"HOME": str(tmp_path)}) == tmp_path / ".docker/config.json"
