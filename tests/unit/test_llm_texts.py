"""Texts that are not UTF-8 are found, and codes for terminals are taken out."""

from __future__ import annotations

import pytest

from maestro.errors import InputError
from maestro.llm.model import Message
from maestro.llm.options import check_messages, checked_options
from maestro.llm.texts import harmless, not_utf8


def test_what_is_not_utf8_is_found_by_its_byte_wherever_it_is() -> None:
    undecodable = b"\xc3\xa9a\xff".decode("utf-8", "surrogateescape")
    assert not_utf8(undecodable) == 3
    assert not_utf8([{"a": ["fine", {"b": "\ud800"}]}]) == 0
    assert not_utf8({"\udfff": 1}) == 0
    assert not_utf8({"é": ["ü", 1, None, "\U0001f600"]}) is None


def test_a_message_that_is_not_utf8_is_refused_by_number_and_byte() -> None:
    with pytest.raises(InputError, match="message 2 is not UTF-8 at byte 1") as caught:
        check_messages([Message("system", "fine"), Message("user", "a\udcff")])
    assert "encoded as UTF-8" in (caught.value.next_step or "")
    with pytest.raises(InputError, match="message 1 is not UTF-8 at byte 0"):
        check_messages([Message("assistant", "", {"tool_calls": [{"function": {"arguments": "\ud800"}}]})])
    with pytest.raises(InputError, match="the option 'stop' is not UTF-8 at byte 2"):
        checked_options({"stop": ["no\ud800"]})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two lines\n\tand a tab — é", "two lines\n\tand a tab — é"),
        ("\x1b[31mred\x1b[0m and \x9b1mbold", "red and bold"),
        ("\x1b]0;a title\x07text \x1b]8;;http://x\x1b\\link", "text link"),
        ("nul\0 bell\x07 back\b\r over", "nul  bell  back   over"),
        ("windows\r\nline", "windows\nline"),
        ("cut off \x1b]0;never ended\nnext", "cut off  ]0;never ended\nnext"),
        ("turned \u202egnp", "turned  gnp"),
    ],
)
def test_codes_for_terminals_are_taken_out_and_the_text_stays(text: str, shown: str) -> None:
    assert harmless(text) == shown
