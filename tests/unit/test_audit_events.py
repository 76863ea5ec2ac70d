"""What an event becomes: its row, the canonical bytes that are hashed, and back."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from maestro.audit.errors import AuditInputError
from maestro.audit.event import AuditEvent, Row, make_row, parse_canonical, read_entry
from maestro.audit.merkle import hash_leaf
from maestro.secrets import Masker

AT = datetime(2026, 3, 1, 12, 0, 0, 5, UTC)
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text.strip() != "")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)


def event(**changes: Any) -> AuditEvent:
    parts: dict[str, Any] = {"kind": "waiver.added", "actor": "ann", "object": "sha256:1", "data": {"n": 1}, "at": AT}
    return AuditEvent(**{**parts, **changes})


def test_the_leaf_is_the_hash_of_the_canonical_json_of_the_entry() -> None:
    row = make_row(event())
    expected = (
        b'{"actor":"ann","at":"2026-03-01T12:00:00.000005Z","data":{"n":1},"index":7,'
        b'"kind":"waiver.added","object":"sha256:1"}'
    )
    assert row.canonical(7) == expected
    assert row.leaf(7) == hash_leaf(expected)


@given(
    PLAIN,
    PLAIN,
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4),
    st.integers(0, 2**53 - 1),
)
def test_whatever_is_logged_is_hashed_as_rfc_8785_writes_it_and_read_back(
    actor: str, target: str, data: dict[str, Any], index: int
) -> None:
    row = make_row(event(actor=actor, object=target, data=data))
    entry = read_entry(index, row)
    assert row.canonical(index) == rfc8785.dumps(entry.to_json())
    assert (entry.actor, entry.object, entry.at) == (actor, target, AT)
    assert rfc8785.dumps(dict(entry.data)) == rfc8785.dumps(data)


def test_the_index_is_part_of_what_is_hashed() -> None:
    row = make_row(event())
    assert row.leaf(1) != row.leaf(2)


def test_times_are_kept_in_utc() -> None:
    row = make_row(event(at=AT.astimezone(timezone(timedelta(hours=9)))))
    assert row.at == "2026-03-01T12:00:00.000005Z"


def test_secrets_are_masked_in_every_field_before_anything_is_kept() -> None:
    masker = Masker(["hunter2-secret"])
    made = event(actor="bot hunter2-secret", object="key hunter2-secret", data={"hunter2-secret": ["x hunter2-secret"]})
    row = make_row(made, masker.value)
    assert "hunter2" not in repr(row)
    assert row.data == '{"***":["x ***"]}'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "Waiver"}, "'Waiver' is no kind of audit event\n  next: name it like 'policy.decision'"),
        ({"kind": "waiver"}, "is no kind of audit event"),
        ({"kind": "a." + "b" * 62}, "is no kind of audit event"),
        ({"actor": ""}, "the actor of a 'waiver.added' event is empty"),
        ({"actor": " "}, "the actor of a 'waiver.added' event is empty"),
        ({"actor": "a\nb"}, "the actor of a 'waiver.added' event has control characters"),
        ({"object": "a\x00b"}, "the object of a 'waiver.added' event has control characters"),
        ({"object": "\ud800"}, "has control characters"),
        ({"object": "x" * 2049}, "the object of a 'waiver.added' event has 2049 characters"),
        ({"at": datetime(2026, 3, 1)}, "has no time zone"),
        ({"data": {"x": 2**53}}, "the data of a 'waiver.added' event cannot be written as JSON"),
        ({"data": {"x": math.nan}}, "cannot be written as JSON"),
        ({"data": {"x": object()}}, "cannot be written as JSON"),
        ({"data": {"x": "\ud800"}}, "cannot be written as JSON"),
        ({"data": {1: "x"}}, "cannot be written as JSON"),
        ({"data": {"x": "y" * (1 << 20)}}, "store it as an artifact and log its digest"),
    ],
)
def test_an_event_that_cannot_be_kept_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AuditInputError) as raised:
        make_row(event(**changes))
    assert message in str(raised.value)


def test_data_nested_too_deeply_are_refused() -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"x": data}
    with pytest.raises(AuditInputError, match="nested too deeply"):
        make_row(event(data=data))


@pytest.mark.parametrize(
    "text", ['{"b":1,"a":2}', '{"a": 1}', "[]", "1", "", "{", '{"a":1.0}', '{"a":NaN}', '{"a":1,"a":1}', "[" * 100_000]
)
def test_data_in_another_spelling_than_the_canonical_one_are_no_row(text: str) -> None:
    with pytest.raises(ValueError):
        parse_canonical(text)


def test_a_row_with_a_time_in_another_form_is_no_row() -> None:
    with pytest.raises(ValueError, match="does not match format"):
        read_entry(0, Row("2026-03-01", "ann", "a.b", "x", "{}"))
