"""The data set that ships is what its header says, every label is in its diff, and a wrong file is told line by line."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.evals.cases import Case, Defect, lines_of, load_dataset, read_dataset, write_dataset

DIFF = """diff --git a/app.py b/app.py
--- a/app.py
+++ b/app.py
@@ -4,2 +4,3 @@
 def first(rows):
-    return rows[0]
+    rows = list(rows)
+    return rows[1]
"""


def _case(**changes: object) -> Case:
    defect = Defect(file="app.py", line=6, kind="off_by_one", severity="medium", why="It is the second row.")
    return Case(**{"id": "one", "language": "python", "diff": DIFF, "defects": (defect,), **changes})


def test_the_shipped_cases_are_many_and_of_several_languages() -> None:
    dataset = load_dataset("code_review")
    assert len(dataset.cases) - dataset.clean >= 60
    assert dataset.clean >= 15
    assert set(dataset.languages) == {"python", "typescript", "shell", "yaml", "containerfile"}
    assert len({defect.kind for case in dataset.cases for defect in case.defects}) >= 25


def test_every_shipped_defect_is_in_a_line_the_change_touches() -> None:
    for case in load_dataset("code_review").cases:
        for defect in case.defects:
            line = _new_line(case.diff, defect.line)
            assert line.startswith("+"), f"{case.id}: {line}"


def test_no_shipped_diff_gives_its_defect_away() -> None:
    for case in load_dataset("code_review").cases:
        assert "§" not in case.diff
        assert not re.search(r"\b(bug|defect|fixme|vulnerable|unsafe|wrong)\b", case.diff, re.IGNORECASE), case.id
        assert all(defect.why not in case.diff for defect in case.defects)


def test_the_hunks_of_every_shipped_diff_are_as_long_as_they_say() -> None:
    for case in load_dataset("code_review").cases:
        body = case.diff.split("@@\n", 1)[1].splitlines()
        shown = lines_of(case.diff)
        assert sum(len(numbers) for numbers in shown.values()) == sum(not line.startswith("-") for line in body)


def test_the_schema_that_ships_is_the_one_cases_are_read_by() -> None:
    shipped = json.loads((files("maestro.evals") / "datasets" / "case.schema.json").read_text("utf-8"))
    assert shipped == {"$schema": "https://json-schema.org/draft/2020-12/schema", **Case.model_json_schema()}


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_bytes(write_dataset("own", "2.1", [_case(), _case(id="two", defects=())]))
    dataset = load_dataset("own.jsonl", tmp_path)
    assert (dataset.name, dataset.version, len(dataset.cases), dataset.clean) == ("own", "2.1", 2, 1)


def test_the_digest_of_a_case_does_not_depend_on_the_set_it_is_in() -> None:
    one = read_dataset(write_dataset("own", "1", [_case()]), "a").cases[0]
    two = read_dataset(write_dataset("own", "2", [_case(id="zero", defects=()), _case()]), "b").cases[1]
    assert one.digest == two.digest


def test_a_changed_case_is_told_by_the_digest() -> None:
    data = write_dataset("own", "1", [_case()]).replace(b"medium", b"high")
    with pytest.raises(InputError, match=r"own\.jsonl:1:1: the cases have the digest sha256:") as caught:
        read_dataset(data, "own.jsonl")
    assert "another version" in str(caught.value)


def test_all_wrong_lines_are_named_at_once() -> None:
    lines = write_dataset("own", "1", [_case(), _case(id="two"), _case(id="three")]).splitlines()
    lines[1] = lines[1].replace(b'"line": 6', b'"line": 40')
    lines[2] = b"{not json"
    lines[3] = lines[3].replace(b'"medium"', b'"awful"')
    with pytest.raises(InputError) as caught:
        read_dataset(b"\n".join(lines), "own.jsonl")
    said = caught.value.what
    assert "line 2: the defect at app.py:40 is at no line of the diff" in said
    assert "line 3:" in said
    assert "line 4: defects.0.severity" in said


def test_a_file_that_was_cut_off_is_told() -> None:
    lines = write_dataset("own", "1", [_case(), _case(id="two")]).splitlines()
    with pytest.raises(InputError, match="the header says 2 cases, the file has 1: it may be cut off"):
        read_dataset(b"\n".join(lines[:2]), "own.jsonl")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\n", "the header is wrong"),
        (b"[]\n", "the header is wrong"),
        (json.dumps({"dataset": "own", "version": "1", "schema": 2, "cases": 1, "digest": "x"}).encode(), "schema"),
    ],
)
def test_a_file_without_a_header_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_dataset(data, "own.jsonl")


def test_a_case_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match="the case 'one' is there already, on line 2"):
        read_dataset(write_dataset("own", "1", [_case(), _case()]), "own.jsonl")


def test_a_missing_data_set_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no data set 'evals/mine\.jsonl'") as caught:
        load_dataset("evals/mine.jsonl", tmp_path)
    assert "code_review" in str(caught.value)


@pytest.mark.parametrize("name", ["../secret.jsonl", "/etc/passwd"])
def test_a_data_set_outside_of_the_project_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="lies outside of the project"):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize("diff", ["no diff at all", "@@ nonsense @@\n+x\n", "+++ b/x\n@@ -1,99999999999 +1 @@\n+x\n"])
def test_what_is_no_diff_shows_no_lines(diff: str) -> None:
    assert not any(lines_of(diff).values())


def _new_line(diff: str, number: int) -> str:
    head, _, body = diff.partition("@@\n")
    line = int(head.rpartition("+")[2].split(",")[0])
    for text in body.splitlines():
        if text.startswith("-"):
            continue
        if line == number:
            return text
        line += 1
    raise AssertionError(number)
