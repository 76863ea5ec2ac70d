"""OLLAMA_HOST, in every form people write it."""

from __future__ import annotations

import pytest

from maestro.errors import InputError
from maestro.llm.ollama.host import is_local, ollama_url


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (None, "http://127.0.0.1:11434"),
        ("", "http://127.0.0.1:11434"),
        ("  ", "http://127.0.0.1:11434"),
        ("gpu-box", "http://gpu-box:11434"),
        ("gpu-box:8080", "http://gpu-box:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("http://gpu-box", "http://gpu-box:80"),
        ("https://gpu-box", "https://gpu-box:443"),
        ("https://gpu-box:8443/ollama/", "https://gpu-box:8443/ollama"),
        ("gpu-box/ollama", "http://gpu-box:11434/ollama"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:11434"),
        ("[::]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        ("[fd00::7]:8080", "http://[fd00::7]:8080"),
        ("fd00::7", "http://[fd00::7]:11434"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        (' "127.0.0.1:8080" ', "http://127.0.0.1:8080"),
    ],
)
def test_a_value_is_read_as_ollama_reads_it(value: str | None, url: str) -> None:
    assert ollama_url(value) == url


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("gpu-box:many", "Port could not be cast"),
        ("gpu-box:99999", "Port out of range"),
        ("ftp://gpu-box", "'ftp' is neither http nor https"),
        ("http://gpu-box?x=1", "more than a host, a port and a path"),
        ("gpu box", "more than a host, a port and a path"),
    ],
)
def test_what_is_no_address_is_refused_with_the_forms_there_are(value: str, why: str) -> None:
    with pytest.raises(InputError) as refused:
        ollama_url(value)
    assert why in str(refused.value)
    assert "host, host:port or a URL" in str(refused.value)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as refused:
        ollama_url("http://me:tops3cret@gpu-box")
    assert "tops3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("http://10.0.0.7:1", False),
    ],
)
def test_only_a_loopback_address_is_this_machine(url: str, local: bool) -> None:
    assert is_local(url) is local
