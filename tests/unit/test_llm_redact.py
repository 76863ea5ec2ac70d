"""What is taken out of a request before it leaves, and put back into the answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.llm.keyring import Keyring
from maestro.llm.model import Chunk, Message
from maestro.llm.redact import Redaction, Redactor
from maestro.secrets import Masker

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789"
# Put together, so that no scanner of secrets takes this file for a leak.
TOKENS = {
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + LETTERS[:36],
    "github fine-grained": "github_pat_" + LETTERS + LETTERS[:20],
    "gitlab": "glpat-" + LETTERS[:20],
    "openai": "sk-" + "proj-" + LETTERS[:40],
    "anthropic": "sk-" + "ant-api03-" + LETTERS[:40],
    "google": "AIza" + LETTERS[:35],
    "slack": "xoxb-" + "1234567890-" + LETTERS[:12],
    "stripe": "sk_live_" + LETTERS[:24],
    "npm": "npm_" + LETTERS[:36],
    "pypi": "pypi-" + LETTERS + LETTERS,
    "hugging face": "hf_" + LETTERS[:34],
    "json web token": "eyJ" + LETTERS[:20] + ".eyJ" + LETTERS[:20] + "." + LETTERS[:20],
}
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + LETTERS + "\n-----END RSA " + "PRIVATE KEY-----"


def redacted(text: str, *personal: str, masker: Masker | None = None) -> Redaction:
    return Redactor(masker).request([Message("user", text)], {}, personal)


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_is_known_by_what_it_looks_like(name: str) -> None:
    found = redacted(f"it is `{TOKENS[name]}`, use it")
    assert found.messages[0].content == "it is `***`, use it"
    assert found.secrets == 1


def test_a_private_key_goes_as_a_whole_and_an_unfinished_one_to_the_end() -> None:
    assert Redactor().text(f"before\n{PEM}\nafter") == "before\n***\nafter"
    assert Redactor().text("before\n" + PEM[:60]) == "before\n***"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://app:" + "hunter2hunter2@db/app", "postgresql://app:***@db/app"),
        ("Authorization: Bearer " + LETTERS, "Authorization: Bearer ***"),
        ('{"authorization": "Basic ' + LETTERS + '"}', '{"authorization": "Basic ***"}'),
    ],
)
def test_credentials_are_known_by_where_they_stand(text: str, left: str) -> None:
    assert Redactor().text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "def task(sk: int) -> None: ...",
        "https://example.com:8080/path?x=1",
        "the bearer of bad news",
        "d1ab2c3f4e5d6c7b8a9f0e1d2c3b4a5968778695",
        "risk-management is a word, and so is ask-me-anything-about-this-one",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor().text(text) == text


def test_secrets_are_masked_in_every_form_the_masker_knows() -> None:
    masker = Masker(["value/of/a/secret"])
    found = Redactor(masker).request(
        [Message("assistant", "", {"tool_calls": [{"function": {"arguments": '{"k": "value/of/a/secret"}'}}]})],
        {"tools": [{"description": "value%2Fof%2Fa%2Fsecret or dmFsdWUvb2YvYS9zZWNyZXQ="}]},
    )
    assert "secret" not in json.dumps([dict(one.extra) for one in found.messages])
    assert found.options == {"tools": [{"description": "*** or ***"}]}


def test_keys_of_providers_are_masked_wherever_they_appear() -> None:
    keyring = Keyring(["env:THE_KEY"], {"THE_KEY": "an-odd-key-without-a-pattern"})
    assert Redactor(None, keyring).text("it said an-odd-key-without-a-pattern") == "it said ***"
    assert "odd" not in repr(keyring)


def test_a_person_is_the_same_placeholder_each_time_and_comes_back() -> None:
    found = redacted(
        "Ada Lovelace wrote it, Grace Hopper read it, Ada Lovelace merged it.", "Ada Lovelace", "Grace Hopper"
    )
    text = found.messages[0].content
    assert text == "«PERSON-1» wrote it, «PERSON-2» read it, «PERSON-1» merged it."
    assert found.restore("Thank «PERSON-2» and «PERSON-1».") == "Thank Grace Hopper and Ada Lovelace."
    assert "Ada" not in repr(found)


def test_a_person_is_found_in_any_case_and_normal_form_and_within_json() -> None:
    text = "JOSÉ ÁLVAREZ, Jose\u0301 A\u0301lvarez, jos\\u00e9 \\u00e1lvarez"
    left = redacted(text, "José Álvarez").messages[0].content
    assert "lvarez" not in left.lower()
    assert redacted(text, "José Álvarez").restore(left) == text


def test_the_longest_name_goes_first_and_a_short_one_only_as_a_word() -> None:
    assert redacted("Ann Lee and Ann", "Ann", "Ann Lee").messages[0].content == "«PERSON-1» and «PERSON-2»"
    assert redacted("Al also called Al", "Al").messages[0].content == "«PERSON-1» also called «PERSON-1»"


def test_the_longest_name_goes_first_in_any_case() -> None:
    found = redacted(
        "annabel lee met ANNA and Annabel, Jo and Joachim", "Anna", "annabel lee", "ANNABEL", "Jo", "Joachim"
    )
    assert found.messages[0].content == "«PERSON-1» met «PERSON-2» and «PERSON-3», «PERSON-4» and «PERSON-5»"


def test_names_that_begin_with_one_another_a_hundred_deep_are_found() -> None:
    names = ["ab" * length for length in range(2, 200)]
    assert redacted("x " + "ab" * 150 + " y", *names).messages[0].content == "x «PERSON-1» y"


# A try at every place of these took minutes; what is bounded is finished long before anybody notices.
@pytest.mark.parametrize("text", ["eyJ-" * 2_000_000, "eyJ-" * 1_000_000 + ".eyJ-" + "eyJ_" * 1_000_000])
def test_no_text_makes_the_search_for_tokens_slow(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_web_token_behind_other_letters_is_taken_out() -> None:
    token = ".".join(("eyJ" + "a" * 20, "eyJ" + "b" * 30, "c" * 20))
    assert Redactor().text(f"jwt_{token} x-{token},{token} abc.{token}") == "jwt_*** x-***,*** abc.***"


def test_thousands_of_names_are_found_in_a_long_text() -> None:
    names = [f"Person Number {number}" for number in range(5_000)]
    text = "the quick brown fox jumps over Person " * 5_000
    assert redacted(text + "person number 4999", *names).messages[0].content == text + "«PERSON-1»"


def test_a_placeholder_of_the_input_is_nobodys() -> None:
    found = redacted("«PERSON-1» and Ada Lovelace", "Ada Lovelace")
    assert found.messages[0].content == "«PERSON-1» and «PERSON-2»"
    assert found.restore("«PERSON-1», «PERSON-2», «PERSON-3»") == "«PERSON-1», Ada Lovelace, «PERSON-3»"


def test_a_name_within_the_arguments_of_a_tool_comes_back_as_json() -> None:
    found = redacted('call the man "Bobby" Tables', '"Bobby" Tables')
    raw = {"tool_calls": [{"function": {"name": "f", "arguments": '{"who": "«PERSON-1»"}'}}]}
    back = found.restore_value(raw)
    assert json.loads(back["tool_calls"][0]["function"]["arguments"]) == {"who": '"Bobby" Tables'}


@given(st.lists(st.integers(1, 6), max_size=30))
def test_a_streamed_answer_comes_back_however_it_is_cut(cuts: list[int]) -> None:
    found = redacted("Ada Lovelace and Grace Hopper", "Ada Lovelace", "Grace Hopper")
    answer = "«PERSON-1» knows «PERSON-2»; « is a quote », «PERSON-9» nobody, «PERSON-"
    restorer = found.restorer()
    assert restorer is not None
    pieces, position = [], 0
    for size in [*cuts, len(answer)]:
        pieces.append(restorer.chunk(Chunk({"content": answer[position : position + size]})).text)
        position += size
    rest = restorer.rest()
    whole = "".join(pieces) + (rest.text if rest else "")
    assert whole == found.restore(answer)


def test_what_is_held_back_is_never_more_than_a_placeholder() -> None:
    restorer = redacted("Ada Lovelace", "Ada Lovelace").restorer()
    assert restorer is not None
    assert restorer.chunk(Chunk({"content": "see «PER"})).text == "see "
    assert restorer.chunk(Chunk({"content": "SONS» and more"})).text == "«PERSONS» and more"


def test_pieces_of_two_tool_calls_are_kept_apart() -> None:
    found = redacted("Ada Lovelace", "Ada Lovelace")
    restorer = found.restorer()
    assert restorer is not None
    texts = {0: "", 1: ""}
    for index, text in ((0, "«PERS"), (1, "no «"), (0, "ON-1»"), (1, "quote")):
        piece = restorer.chunk(Chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]}))
        for call in piece.delta["tool_calls"]:
            texts[call["index"]] += call["function"]["arguments"]
    assert texts == {0: "Ada Lovelace", 1: "no «quote"}


def test_the_last_piece_brings_what_was_held_back() -> None:
    restorer = redacted("Ada Lovelace", "Ada Lovelace").restorer()
    assert restorer is not None
    restorer.chunk(Chunk({"content": "end «PERSON"}))
    assert restorer.chunk(Chunk({}, "stop")).text == "«PERSON"
    assert restorer.rest() is None
