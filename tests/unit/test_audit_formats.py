"""Entries as JSON lines, CEF and syslog messages."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from maestro.audit.errors import AuditInputError
from maestro.audit.event import AuditEvent, Entry, Row, make_row, read_entry
from maestro.audit.formats import cef, jsonl, severity
from maestro.audit.receiver import open_receiver
from maestro.audit.syslog_receiver import message

ORIGIN = "maestro.example/audit/shop"


def entry(**changes: Any) -> Entry:
    parts: dict[str, Any] = {
        "kind": "policy.decision",
        "actor": "ann",
        "object": "sha256:1",
        "data": {"allow": True},
        "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    }
    return read_entry(5, make_row(AuditEvent(**{**parts, **changes})))


def extension(line: str) -> dict[str, str]:
    """Reads a CEF extension as its definition says: pairs begin at a space, a key and an equals sign not escaped."""
    text = re.split(r"(?<!\\)\|", line, maxsplit=7)[7]
    found = re.findall(r"(?:^| )([A-Za-z0-9]+)=((?:\\.|[^\\=])*?)(?= [A-Za-z0-9]+=|$)", text, re.DOTALL)
    escapes = {"\\\\": "\\", "\\=": "=", "\\n": "\n"}
    return {key: re.sub(r"\\[\\=n]", lambda one: escapes[one[0]], value) for key, value in found}


def test_a_line_of_json_is_enough_to_compute_the_leaf_again() -> None:
    made = json.loads(jsonl(entry(data={"text": "ü\n"}), ORIGIN))
    row = Row(made["at"], made["actor"], made["kind"], made["object"], '{"text":"ü\\n"}')
    assert base64.b64decode(made["leaf"]) == row.leaf(made["index"])
    assert made["origin"] == ORIGIN


def test_an_entry_is_always_one_line() -> None:
    awkward = entry(data={"text": "one\ntwo\r\nthree\u2028four"})
    assert "\n" not in jsonl(awkward, ORIGIN)
    assert "\n" not in cef(awkward, ORIGIN)
    assert "\r" not in cef(awkward, ORIGIN)


def test_cef_says_who_did_what_when_and_to_what() -> None:
    line = cef(entry(), ORIGIN)
    assert re.match(r"CEF:0\|Maestro\|maestro\|[^|]+\|policy\.decision\|policy decision\|3\|", line)
    found = extension(line)
    assert found["rt"] == str(int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000))
    assert (found["suser"], found["externalId"], found["cs1"]) == ("ann", "5", "sha256:1")
    assert json.loads(found["cs2"]) == {"allow": True}
    assert found["cs4"] == ORIGIN


@pytest.mark.parametrize("text", ["a=b", "a\\b", "a|b", "a\\=b", "x cs2=forged", "\\", "=|\\|=", "suser=root"])
def test_no_text_can_forge_another_field_of_cef(text: str) -> None:
    plain, awkward = extension(cef(entry(), ORIGIN)), extension(cef(entry(actor=text, object=text), ORIGIN))
    assert awkward["suser"] == awkward["cs1"] == text
    assert awkward.keys() == plain.keys()


def test_cef_escapes_are_those_of_its_definition() -> None:
    line = cef(entry(actor="a=b\\c|d"), ORIGIN)
    assert "suser=a\\=b\\\\c|d" in line


def test_long_data_are_cut_in_cef_and_whole_in_json() -> None:
    long = entry(data={"text": "x" * 10_000})
    assert len(extension(cef(long, ORIGIN))["cs2"]) == 4000
    assert len(json.loads(jsonl(long, ORIGIN))["data"]["text"]) == 10_000


def test_what_was_refused_weighs_more_than_what_was_allowed() -> None:
    assert severity(entry(data={"allow": False})) > severity(entry(kind="waiver.added")) > severity(entry())


def test_a_syslog_message_has_the_parts_of_rfc_5424() -> None:
    text = message(entry(data={"allow": False}), 'a"b]c\\d', "jsonl", "build host").decode()
    head, _, content = text.partition("\ufeff")
    assert head == (
        "<108>1 2026-03-01T12:00:00.000000Z build_host maestro - policy.decision "
        '[audit@32473 index="5" origin="a\\"b\\]c\\\\d"] '
    )
    assert json.loads(content)["index"] == 5


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "syslog://x:514", "syslog+tcp://", "https://x:99999999/"])
def test_an_address_nothing_can_be_forwarded_to_is_refused(url: str) -> None:
    with pytest.raises(AuditInputError, match="cannot be forwarded to this address\n  next: give https://host/path"):
        open_receiver(url)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(AuditInputError, match="holds a password\n  next: give a token in a variable") as raised:
        open_receiver("https://ann:hunter2@siem.example/x")
    assert "hunter2" not in str(raised.value)
