from __future__ import annotations

import base64
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.errors import InputError
from maestro.secrets import MASK, Masker

# Of the mask's own character a secret could be put together from what masking leaves.
SECRETS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*\0"), min_size=4, max_size=80).filter(
    lambda value: len(value.strip()) >= 4
)
AROUND = st.binary(max_size=12)

ENCODINGS = {
    "plain": lambda value: value,
    "url": lambda value: quote(value, safe=""),
    "url path": quote,
    "url form": quote_plus,
    "json": lambda value: json.dumps(value)[1:-1],
    "json text": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "python": lambda value: repr(value)[1:-1],
    "shell": shlex.quote,
    "shell '\\''": lambda value: value.replace("'", "'\\''"),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 unpadded": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "base64 url": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 url unpadded": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(secret=SECRETS)
def test_every_encoding_of_any_secret_is_replaced_as_a_whole(encoding: str, secret: str) -> None:
    encoded = ENCODINGS[encoding](secret)
    assert Masker([secret]).text(encoded) == MASK


@given(secret=SECRETS)
def test_lower_case_hexadecimal_is_masked_too(secret: str) -> None:
    encoded = quote(secret, safe="")
    lowered = "".join(
        character.lower() if "%" in encoded[max(0, index - 2) : index] else character
        for index, character in enumerate(encoded)
    )
    assert Masker([secret]).text(lowered) == MASK


@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_within_longer_base64_all_that_the_secret_determines_is_masked(
    secret: str, before: bytes, after: bytes
) -> None:
    data = secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + data + after)
        first = -(-len(before) * 8 // 6)
        last = (len(before) + len(data)) * 8 // 6
        assert encoded[first:last] not in Masker([secret]).data(encoded)


def test_basic_authentication_is_masked() -> None:
    header = "Authorization: Basic " + base64.b64encode(b"user:correct-horse").decode()
    # The last character left holds the colon's last bits and the secret's first two.
    assert Masker(["correct-horse"]).text(header) == "Authorization: Basic dXNlcjp***"


@pytest.mark.parametrize("width", [64, 76])
def test_wrapped_base64_is_masked_line_by_line(width: int) -> None:
    secret = "".join(chr(33 + number % 90) for number in range(300))
    encoded = base64.b64encode(secret.encode()).decode()
    wrapped = "\n".join(encoded[start : start + width] for start in range(0, len(encoded), width))
    assert set(Masker([secret]).text(wrapped).split("\n")) == {MASK}


def test_each_line_of_a_secret_is_masked_alone_and_trivial_lines_are_left() -> None:
    masker = Masker(["-----BEGIN KEY-----\nMIIEvQ\n  abcdefg  \n}\n----\nno\n"])
    assert masker.text("log: MIIEvQ, abcdefg.") == "log: ***, ***."
    assert masker.text("} ---- no") == "} ---- no"
    assert masker.text(base64.b64encode(b"MIIEvQ").decode()) == MASK


def test_a_secret_with_lines_is_masked_with_either_line_end() -> None:
    masker = Masker(["one-line\ntwo-line"])
    assert masker.text("one-line\r\ntwo-line") == MASK
    assert masker.text("one-line\ntwo-line") == MASK


def test_white_space_around_a_secret_need_not_be_there() -> None:
    assert Masker(["  hunter2 \n"]).text("(hunter2)") == "(***)"


def test_forms_that_overlap_are_masked_together() -> None:
    assert Masker(["abcdef", "defghi"]).text("xabcdefghiy") == "x***y"
    assert Masker(["abcd", "abcdef"]).text("abcdefabcd") == "******"
    assert Masker(["aaaa"]).text("aaaaaaaaab") == "***b"


def test_an_inactive_masker_changes_nothing() -> None:
    masker = Masker([])
    assert not masker.active
    assert masker.text("text") == "text"
    assert masker.data(b"data") == b"data"
    assert masker.value({"a": [1]}) == {"a": [1]}


def test_values_are_masked_deeply_keys_and_numbers_too() -> None:
    masker = Masker(["hunter2", "123456"])
    value = {"hunter2": [{"x": "a hunter2 b"}, 123456, 1.5, True, None], "t": ("hunter2",), "b": b"hunter2"}
    assert masker.value(value) == {"***": [{"x": "a *** b"}, "***", 1.5, True, None], "t": ("***",), "b": b"***"}


def test_entries_whose_keys_become_equal_are_all_kept() -> None:
    assert Masker(["hunter2", "swordfish"]).value({"hunter2": 1, "swordfish": 2}) == {"***": 1, "*** (2)": 2}


@pytest.mark.parametrize("text", ["\udcff hunter2 \udcfe", "\ud800 hunter2"])
def test_text_that_is_not_unicode_is_masked_and_kept(text: str) -> None:
    assert Masker(["hunter2"]).text(text) == text.replace("hunter2", MASK)


def test_printing_a_masker_shows_no_value() -> None:
    assert repr(Masker(["hunter2"])) == "Masker(active=True)"


@pytest.mark.parametrize("value", ["", "abc", "  a  "])
def test_a_value_too_short_to_mask_is_refused(value: str) -> None:
    with pytest.raises(InputError) as raised:
        Masker(["long enough", value])
    assert raised.value.what == "a secret has fewer than 4 characters, which cannot be masked safely"
    assert raised.value.next_step == "use a longer value for it"
