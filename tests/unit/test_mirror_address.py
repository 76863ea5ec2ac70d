"""Addresses of origins: what is one, what it may lead to, and that none holds a secret."""

from __future__ import annotations

import pytest

from maestro.errors import InputError
from maestro.mirror.address import Address


@pytest.mark.parametrize(
    ("url", "scheme", "authority"),
    [
        ("https://github.com/o/r.git", "https", "github.com"),
        ("https://Git.Example.com:8443/o/r", "https", "git.example.com:8443"),
        ("ssh://git@github.com/o/r.git", "ssh", "github.com"),
        ("git@github.com:o/r.git", "ssh", "github.com"),
        ("/srv/git/r.git", "file", ""),
        ("file:///srv/git/r.git", "file", ""),
        ("http://[::1]:8080/r.git", "http", "[::1]:8080"),
    ],
)
def test_an_address_is_a_url_a_host_with_a_path_or_an_absolute_path(url: str, scheme: str, authority: str) -> None:
    address = Address.parse(url)

    assert (address.url, address.scheme, address.authority) == (url, scheme, authority)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "r.git",
        "../r.git",
        "--upload-pack=x",
        "-oProxyCommand=x:y",
        "ext::sh -c x",
        "git://github.com/o/r",
        "https://",
        "https://github.com",
        "https://-oProxyCommand=x/y",
        "ssh://-oProxyCommand=x/y",
        "host:-x",
        "https://h:port/x",
        "https://h/x\n[core]",
        "file://elsewhere/x",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is not the address of a repository"):
        Address.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cretword@github.com/o/r.git",
        "https://s3cretword@github.com/o/r.git",
        "ssh://git:s3cretword@github.com/o/r.git",
        "https://github.com/o/r.git?private_token=s3cretword",
    ],
)
def test_an_address_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InputError, match="holds a user, a password or a token") as caught:
        Address.parse(url)

    assert "s3cretword" not in str(caught.value)


@pytest.mark.parametrize(
    ("origin", "url", "expected"),
    [
        ("https://github.com/o/r.git", "../lib.git", "https://github.com/o/lib.git"),
        ("https://github.com/o/r.git/", "../../p/lib", "https://github.com/p/lib"),
        ("https://github.com/o/r.git", "./sub", "https://github.com/o/r.git/sub"),
        ("git@github.com:o/r.git", "../lib.git", "git@github.com:o/lib.git"),
        ("/srv/git/r.git", "../lib.git", "/srv/git/lib.git"),
        ("file:///srv/git/r.git", "../lib.git", "file:///srv/git/lib.git"),
        ("https://github.com/o/r.git", "https://gitlab.com/a/b.git", "https://gitlab.com/a/b.git"),
        ("/srv/git/r.git", "https://gitlab.com/a/b.git", "https://gitlab.com/a/b.git"),
    ],
)
def test_a_submodules_address_is_its_own_or_relative(origin: str, url: str, expected: str) -> None:
    assert Address.parse(origin).beside(url).url == expected


@pytest.mark.parametrize(
    ("origin", "url", "message"),
    [
        ("https://github.com/o/r.git", "../../../x", "leads above"),
        ("https://github.com/o/r.git", "/etc", "is a path on the server"),
        ("git@github.com:o/r.git", "file:///etc", "is a path on the server"),
        ("https://github.com/o/r.git", "http://github.com/o/lib", "unprotected"),
    ],
)
def test_a_submodule_cannot_leave_what_its_repository_may_reach(origin: str, url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Address.parse(origin).beside(url)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://github.com/o/r", "https://GITHUB.com/p/q", True),
        ("https://github.com/o/r", "https://github.com:8443/o/r", False),
        ("https://github.com/o/r", "https://github.com.evil.example/o/r", False),
        ("https://github.com/o/r", "git@github.com:o/r", False),
        ("/srv/r", "/srv/q", False),
    ],
)
def test_credentials_go_to_the_same_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert Address.parse(one).same_host(Address.parse(other)) is same


@pytest.mark.parametrize(
    ("url", "protocols"),
    [
        ("https://github.com/o/r", "https:ssh"),
        ("git@github.com:o/r", "https:ssh"),
        ("http://localhost/o/r", "https:ssh:http"),
        ("/srv/r", "https:ssh:file"),
    ],
)
def test_paths_and_plain_http_are_spoken_only_for_such_projects(url: str, protocols: str) -> None:
    assert Address.parse(url).protocols == protocols
