from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from maestro.secrets import Masker, MaskingStream
from maestro.secrets.encodings import forms

SECRETS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*\0"), min_size=4, max_size=24).filter(
        lambda value: len(value.strip()) >= 4
    ),
    min_size=1,
    max_size=3,
)
# Few letters, so that secrets overlap each other, themselves and what is around them.
DENSE = st.lists(st.text("ab", min_size=4, max_size=9), min_size=1, max_size=4)


def through_stream(masker: Masker, data: bytes, cuts: list[int]) -> bytes:
    received: list[bytes] = []
    stream = MaskingStream(masker, received.append)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        stream.write(data[start:end])
    stream.flush()
    return b"".join(received)


@given(
    secrets=SECRETS, choice=st.data(), noise=st.lists(st.binary(max_size=30), min_size=1), cuts=st.lists(st.integers(0))
)
def test_no_form_of_a_secret_passes_in_any_chunking(
    secrets: list[str], choice: st.DataObject, noise: list[bytes], cuts: list[int]
) -> None:
    every = sorted({form for secret in secrets for form in forms(secret)})
    pieces = []
    for piece in noise:
        pieces += [piece.replace(b"*", b""), choice.draw(st.sampled_from(every))]
    data = b"".join(pieces)
    masked = through_stream(Masker(secrets), data, cuts)
    assert not any(form in masked for form in every)
    assert masked == Masker(secrets).data(data)


@given(secrets=DENSE, data=st.text("ab", max_size=80).map(str.encode), cuts=st.lists(st.integers(0)))
def test_overlapping_secrets_come_out_the_same_in_any_chunking(
    secrets: list[str], data: bytes, cuts: list[int]
) -> None:
    masker = Masker(secrets)
    masked = through_stream(masker, data, cuts)
    assert masked == masker.data(data)
    assert not any(secret.encode() in masked for secret in secrets)


@given(data=st.binary(max_size=300), secrets=SECRETS, cuts=st.lists(st.integers(0)))
def test_what_holds_no_secret_passes_unchanged_and_complete(data: bytes, secrets: list[str], cuts: list[int]) -> None:
    every = {form for secret in secrets for form in forms(secret)}
    if not any(form in data for form in every):
        assert through_stream(Masker(secrets), data, cuts) == data


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0)))
def test_without_secrets_everything_passes(data: bytes, cuts: list[int]) -> None:
    assert through_stream(Masker([]), data, cuts) == data


def test_only_what_could_begin_a_secret_is_held_back() -> None:
    received: list[bytes] = []
    stream = MaskingStream(Masker(["hunter2-hunter3"]), received.append)
    stream.write(b"progress 10%\r")
    assert received == [b"progress 10%\r"]
    stream.write(b"progress hunter2-hun")
    assert received[1:] == [b"progress "]
    stream.write(b"dred")
    assert received[2:] == [b"hunter2-hundred"]
    stream.write(b" hunter2-hunter3")
    assert b"".join(received[3:]) == b" ***"


def test_the_beginning_of_a_secret_at_the_end_is_passed_on_by_flush() -> None:
    received: list[bytes] = []
    stream = MaskingStream(Masker(["hunter2"]), received.append)
    stream.write(b"hunt")
    assert received == []
    stream.flush()
    stream.flush()
    assert received == [b"hunt"]


def test_a_long_output_with_many_secrets_in_single_bytes_is_masked() -> None:
    secrets = [f"secret-number-{number}" for number in range(50)]
    data = b"".join(f"{secret} and text\n".encode() for secret in secrets)
    assert through_stream(Masker(secrets), data, list(range(len(data)))) == b"*** and text\n" * 50
