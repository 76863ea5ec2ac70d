"""What a step did, kept as JSON with its own digest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.artifacts import Artifact, RecordError, StepRecord
from maestro.artifacts.records import UnknownSchemaError, decode, encode
from tests.unit import step_records

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)
texts = st.text(st.characters(), max_size=30)
artifacts = st.builds(
    Artifact,
    name=texts,
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.integers(0, 2**60),
    media_type=st.just("text/plain"),
    path=st.none() | st.just("dist/x"),
    executable=st.booleans(),
)
records = st.builds(
    StepRecord,
    project=texts,
    workflow=texts,
    revision=texts,
    step=texts,
    kind=texts,
    kind_version=texts,
    cache_key=st.none() | texts,
    passed=st.booleans(),
    summary=texts,
    outputs=st.lists(artifacts, max_size=3).map(tuple),
    values=st.dictionaries(texts, json_values, max_size=3),
    metadata=st.dictionaries(texts, json_values, max_size=3),
    log=st.none() | artifacts,
    exit_code=st.none() | st.integers(0, 255),
    cost_usd=st.floats(0, 1e6),
    run_id=texts,
    made_by_run=texts,
    started=st.floats(0, 4e9),
    seconds=st.floats(0, 1e6),
    cache=st.sampled_from(["hit", "miss", "off"]),
)


def a_record(**changes: Any) -> StepRecord:
    outputs = (Artifact("wheel", "0" * 64, 3, "application/zip", "dist/a.whl"),)
    return step_records.a_record(**{"outputs": outputs, **changes})


@given(records)
def test_a_record_survives_being_written_and_read(record: StepRecord) -> None:
    assert decode(encode(record)) == record


@given(st.data())
def test_a_record_cut_short_anywhere_is_damaged(data: st.DataObject) -> None:
    whole = encode(a_record()).rstrip()
    with pytest.raises(RecordError, match="damaged"):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.data())
def test_a_record_with_one_flipped_bit_is_never_another_record(data: st.DataObject) -> None:
    record = a_record()
    whole = bytearray(encode(record))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert decode(bytes(whole)) == record
    except RecordError as error:
        assert "damaged" in error.what or "format" in error.what


def test_a_record_of_another_format_is_told_apart_from_a_damaged_one() -> None:
    with pytest.raises(UnknownSchemaError, match="has format 3, and this version of Maestro knows format 2"):
        decode(json.dumps({"schema": 3, "anything": []}).encode())


@pytest.mark.parametrize("document", ["null", "[]", "1", "{}", '{"schema":2}', "[" * 100_000])
def test_json_that_is_no_record_is_damaged(document: str) -> None:
    with pytest.raises(RecordError, match="damaged"):
        decode(document.encode())


@pytest.mark.parametrize(
    "change",
    [
        {"cache": "maybe"},
        {"passed": 1},
        {"outputs": None},
        {"outputs": [{}]},
        {"log": {"name": "x", "sha256": "../..", "size": 1, "media_type": "a/b", "path": None}},
        {"log": {"name": "x", "sha256": "0" * 64, "size": -1, "media_type": "a/b", "path": None}},
        {"log": {"name": "x", "sha256": "0" * 64, "size": 1, "media_type": "a/b", "path": "../x"}},
    ],
)
def test_members_with_values_they_cannot_have_make_no_record(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="this is no step record"):
        StepRecord.from_json({**a_record().to_json(), **change})


def test_a_missing_member_makes_no_record_and_an_unknown_one_is_left_aside() -> None:
    document = a_record().to_json()
    assert StepRecord.from_json({**document, "later": 1}) == a_record()
    del document["revision"]
    with pytest.raises(RecordError, match="revision"):
        StepRecord.from_json(document)


def endless() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    return loop


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object(), endless()])
def test_a_value_that_is_no_json_is_told_with_the_step_and_its_kind(value: object) -> None:
    with pytest.raises(RecordError, match="what step 'test/unit' returned cannot be recorded") as raised:
        encode(a_record(values={"x": value}))
    assert raised.value.next_step is not None
    assert "step kind 'shell'" in raised.value.next_step


def test_a_record_names_its_outputs_and_its_log() -> None:
    log = Artifact("log", "1" * 64, 3, "text/plain", None)
    assert [artifact.name for artifact in a_record(log=log).artifacts()] == ["wheel", "log"]
