"""Long texts are searched for secrets in pieces: nothing is found otherwise than in the whole."""

from __future__ import annotations

import random
import unicodedata

import pytest

from maestro.llm.redact import Redactor
from maestro.llm.scanning import PIECE, pieces
from maestro.llm.tokens import at_most
from maestro.secrets import Masker

KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA 7\n" * 6 + "-----END RSA PRIVATE KEY-----"
SECRETS = (
    "ghp_" + "a1B2" * 9,
    "AKIA" + "ABCD1234" * 2,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc_def-123",
    "authorization: bearer abcdefghijklmnop",
    'Authorization":  "Basic   QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
    "bearer\n\n abcdefghijklmnop",
    "https://ann:hunter2secret@host/path",
    KEY,
    "-----BEGIN PRIVATE KEY----- without an end",
)
OTHERS = (
    "a",
    "word",
    "é",
    "«PERSON-1»",
    "x" * 40,
    "uthor",
    "-----BEGIN ",
    "://",
    "-----END PRIVATE KEY-----",
    "bearer",
)
SPACES = (" ", "\n", '"', "'", "<", ">", "  \n", "", ":", "@", "/")


def made(chance: random.Random) -> str:
    """A text of secrets, words and what stands between them."""
    parts = [chance.choice(SECRETS if chance.random() < 0.15 else OTHERS) for _ in range(60)]
    return "".join(part + chance.choice(SPACES) for part in parts)[:PIECE]


@pytest.mark.parametrize("seed", range(150))
def test_in_pieces_the_same_is_taken_out_as_in_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    text, redactor = made(chance), Redactor()
    for size in (1, 7, chance.randrange(2, 200)):
        cut = list(pieces(text, size))
        assert "".join(cut) == text
        assert "".join(map(redactor.text, cut)) == redactor.text(text), (size, text)


@pytest.mark.parametrize("secret", SECRETS[:-1])
def test_a_secret_is_found_wherever_a_long_text_would_be_cut(secret: str) -> None:
    redactor = Redactor()
    for before in range(PIECE - len(secret) - 3, PIECE + 3):
        text = f"{'w ' * (before // 2)} {secret} {'tail ' * 2000}"
        assert secret not in redactor.text(text), before


def test_a_text_is_cut_into_many_pieces_where_it_can_be() -> None:
    assert [len(one) for one in pieces("word " * 10_000)][:2] == [PIECE + 2, PIECE + 3]
    assert list(pieces("x" * 50_000)) == ["x" * 50_000]
    assert list(pieces("")) == [""]


def test_known_secrets_are_masked_wherever_a_long_text_would_be_cut() -> None:
    masker = Masker(["first-secret-value", "first-secret-value-that-goes-on"])
    for before in [*range(32 * 1024 - 40, 32 * 1024 + 5), 5]:
        text = f"{'x' * before}first-secret-value-that-goes-on{'y' * 40_000}first-secret-value"
        assert masker.text(text) == f"{'x' * before}***{'y' * 40_000}***"


def test_the_bound_of_tokens_holds_for_long_texts_taken_in_parts() -> None:
    text = "ﷺ" * 70_000 + "e\u0301" * 70_000
    assert at_most(text) >= len(unicodedata.normalize("NFKC", text).encode())
