"""Counts of tokens: a bound that holds for every tokenizer, and a likely number near the truth."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maestro.llm import tokens
from maestro.llm.model import Message
from maestro.llm.tokens import TokenCount, at_most, count

TEXT = Path(tokens.__file__).read_text(encoding="utf-8")[:4_000]
needs_litellm = pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="litellm ships the tokenizer")


def said(text: str, **extra: Any) -> TokenCount:
    return count(None, [Message("user", text, extra)])


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=200))
@example("\ufdfa" * 20)  # NFKC makes eighteen characters of each
@example("\U0001d160" * 20)  # NFC makes three of each
@example("\ud800")
@example("<|endoftext|><|im_start|>")
@example("a" * 200)
def test_the_bound_is_never_below_the_bytes_of_any_normal_form(text: str) -> None:
    import unicodedata

    forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFKC"))]
    assert at_most(text) >= max(len(one.encode("utf-8", "surrogatepass")) for one in forms)
    found = said(text)
    assert 0 < found.likely <= found.at_most


@needs_litellm
@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_the_bound_holds_for_a_real_byte_level_tokenizer(text: str) -> None:
    encoding = tokens._encoding()
    assert len(encoding.encode_ordinary(text)) <= at_most(text)


@needs_litellm
def test_the_likely_number_is_near_the_truth_for_long_texts_too() -> None:
    long = TEXT * 20
    truth = len(tokens._encoding().encode_ordinary(long))
    assert abs(said(long).likely - truth) < 0.1 * truth


def test_without_the_tokenizer_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens._encoding.cache_clear()
    monkeypatch.setattr(tokens, "litellm_folder", lambda: None)
    try:
        assert tokens._encoding() is None
        assert abs(said(TEXT).likely - len(TEXT) / 4) < 50
        assert said("語" * 1_000).likely > 1_000
    finally:
        tokens._encoding.cache_clear()


def test_a_damaged_tokenizer_is_not_used_and_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "litellm_core_utils" / "tokenizers"
    folder.mkdir(parents=True)
    (folder / tokens._CL100K).write_bytes(b"YQ== 0\n")

    def refused(*_given: Any) -> None:
        raise AssertionError("somebody asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(tokens, "litellm_folder", lambda: tmp_path)
    tokens._encoding.cache_clear()
    try:
        assert tokens._encoding() is None
    finally:
        tokens._encoding.cache_clear()


def test_every_message_adds_what_templates_put_around_it() -> None:
    one, two = count(None, [Message("user", "")]), count(None, [Message("user", "")] * 2)
    assert one.likely < two.likely and one.at_most < two.at_most


def test_tools_and_schemas_of_answers_count_and_other_options_do_not() -> None:
    messages = [Message("user", "hello")]
    plain = count(None, messages, {"temperature": 1, "user": "x" * 1_000, "tools": []})
    assert plain == count(None, messages)
    tools = count(None, messages, {"tools": [{"type": "function", "function": {"name": "ü" * 100}}]})
    assert tools.likely > plain.likely
    assert tools.at_most > plain.at_most + 4 * 600


def test_calls_of_tools_within_messages_count() -> None:
    assert said("", tool_calls=[{"id": "1", "arguments": "x" * 1_000}]).at_most > said("").at_most + 1_000
