"""The offline provider: what it makes of diffs, commits and logs, always labelled, bounded, the same for the same."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.llm.model import Message, ProviderCall, ProviderError
from maestro.llm.offline import ruff
from maestro.llm.offline.diffs import found_diff
from maestro.llm.offline.text import Deadline
from maestro.llm.providers.offline import OfflineProvider
from maestro.prompts import load_prompt, render

FOREVER = float("inf")


def call(*texts: str, most: int = 4000, seconds: float = 60.0, system: str = "") -> ProviderCall:
    messages = [Message("system", system)] * bool(system) + [Message("user", text) for text in texts]
    return ProviderCall("offline", messages, most, 0.0, {}, None, None, timeout=seconds)


def answer(*texts: str, most: int = 4000, system: str = "") -> str:
    return asyncio.run(OfflineProvider().complete(call(*texts, most=most, system=system))).text


def asked(name: str, **variables: object) -> str:
    rendered = render(load_prompt(name), variables)
    messages = [Message(cast(Any, one["role"]), one["content"]) for one in rendered.messages]
    request = ProviderCall("offline", messages, 4000, 0.0, {}, None, None)
    return asyncio.run(OfflineProvider().complete(request)).text


class Repository:
    """A git repository whose changes are real ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> bytes:
        identity = ["-c", "user.name=Ada", "-c", "user.email=a@example.com", "-c", "core.autocrlf=false"]
        command = ["git", "-C", str(self.root), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def write(self, **files: bytes | str) -> None:
        for name, content in files.items():
            self.file(name, content)

    def file(self, name: str, content: bytes | str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, message: str = "x") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def diff(self, *options: str) -> str:
        self.git("add", "--all")
        return self.git("diff", "--cached", "-M", *options).decode("utf-8", "replace")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_review_says_of_each_file_what_happened_to_it(repository: Repository) -> None:
    repository.file("lib/old name.py", "def a():\n    return 1\n")
    repository.file("gone.txt", "x\n")
    repository.file("picture.bin", b"\0\1\2")
    repository.file("größe.txt", "1\n")
    repository.file("run.sh", "true\n")
    repository.commit()
    repository.git("mv", "lib/old name.py", "lib/new name.py")
    (repository.root / "gone.txt").unlink()
    (repository.root / "run.sh").chmod(0o755)
    repository.file("picture.bin", b"\0\1\3")
    repository.file("größe.txt", "2\n")
    repository.file("empty.txt", "")
    text = asked("code_review", diff=repository.diff())
    assert text.startswith("[offline] 6 files changed, 1 line added, 2 lines removed.")
    for line in (
        "- `empty.txt`: added",
        "- `gone.txt`: removed, +0 -1",
        "- `größe.txt`: changed, +1 -1",
        "- `lib/new name.py`: renamed from `lib/old name.py`",
        "- `picture.bin`: changed, binary",
        "- `run.sh`: changed, mode 100755",
    ):
        assert f"\n{line}\n" in text


def test_a_whole_binary_patch_is_no_text(repository: Repository) -> None:
    repository.file("a.bin", bytes(range(256)) * 20)
    repository.file("b.txt", "hello\n")
    text = answer(repository.diff("--binary"))
    assert "- `a.bin`: added, binary" in text
    assert "- `b.txt`: added, +1 -0" in text


def test_a_review_names_the_functions_a_change_is_in(repository: Repository) -> None:
    body = "".join(f"    value = {number}\n" for number in range(20))
    repository.file("m.py", f"def first():\n{body}\n\ndef second():\n{body}")
    repository.commit()
    repository.file("m.py", f"def first():\n{body}\n\ndef second():\n{body}    return value\n")
    assert "in `def second():`" in answer(repository.diff())


def test_ruff_speaks_of_added_lines_only_and_with_their_numbers(repository: Repository) -> None:
    old = "import os\n\n\ndef run(command):\n    x = eval(command)\n    return x\n"
    repository.file("m.py", old)
    repository.commit()
    repository.file(
        "m.py", old.replace("    return x\n", "    if x == None:\n        return exec(command)\n    return x\n")
    )
    text = answer(repository.diff())
    assert "- `m.py:6` E711: " in text
    assert "- `m.py:7` S102: " in text
    assert "m.py:5" not in text
    assert "F401" not in text


def test_a_new_file_is_checked_as_a_whole(repository: Repository) -> None:
    repository.file("new.py", "import os\n\nprint(nothing_like_it)\n")
    repository.file("broken.py", "def f(:\n")
    text = answer(repository.diff())
    assert "- `new.py:1` F401: `os` imported but unused" in text
    assert "- `new.py:3` F821: " in text
    assert "- `broken.py:1` syntax: " in text


def test_no_configuration_of_the_project_quietens_ruff(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.file("ruff.toml", 'exclude = ["*"]\n[lint]\nselect = []\n')
    repository.file("new.py", "import os\n")
    monkeypatch.chdir(repository.root)
    monkeypatch.setenv("RUFF_CONFIG", str(repository.root / "ruff.toml"))
    assert "`new.py:1` F401" in answer(repository.diff())


def test_python_without_findings_is_said_to_have_been_checked(repository: Repository) -> None:
    repository.file("fine.py", "def double(x: int) -> int:\n    return x * 2\n")
    assert "ruff has no findings on the added lines of 1 Python file." in answer(repository.diff())


def test_a_change_without_python_is_not_said_to_be_fine(repository: Repository) -> None:
    repository.file("a.go", "package main\n")
    text = answer(repository.diff())
    assert "The change adds no Python; other languages are not checked without a model." in text
    assert "no findings" not in text.lower()


def test_without_ruff_it_is_said_that_ruff_is_not_there(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ruff, "_program", lambda: None)
    repository.file("a.py", "import os\n")
    text = answer(repository.diff())
    assert "Not complete: ruff is not there" in text
    assert "no findings" not in text


def test_a_ruff_that_does_not_answer_is_no_ruff_without_findings(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.file("a.py", "import os\n")
    diff = repository.diff()
    program = tmp_path / "ruff"
    for body, words in (("exit 3", "ruff ended with 3 and no report"), ("sleep 60", "ruff was not done in time")):
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setattr(ruff, "_program", lambda: str(program))
        monkeypatch.setattr(ruff, "MOST_SECONDS", 0.2)
        text = answer(diff)
        assert words in text
        assert "no findings" not in text


def test_line_ends_and_encodings_of_a_diff_do_not_matter(repository: Repository) -> None:
    repository.file("dos.txt", "a\r\nb\r\n")
    repository.file("latin.txt", "caf\xe9\n".encode("latin-1"))
    repository.commit()
    repository.file("dos.txt", "a\r\nc\rd\r\n")
    repository.file("latin.txt", "th\xe9 vert\n".encode("latin-1"))
    text = answer(repository.diff())
    assert "- `dos.txt`: changed, +1 -1" in text
    assert "- `latin.txt`: changed, +1 -1" in text
    surrogates = repository.git("diff", "--cached").decode("utf-8", "surrogateescape")
    assert "- `latin.txt`: changed, +1 -1" in answer(surrogates)


def test_a_plain_diff_is_found_between_words() -> None:
    diff = "--- a/x.txt\n+++ b/x.txt\n@@ -1 +1,2 @@\n one\n+--- two\n"
    text = answer(f"Please look at this:\n```diff\n{diff}```\n- [ ] done\n+ not a line of it")
    assert text.startswith("[offline] 1 file changed, 1 line added, 0 lines removed.")
    assert "    2 | --- two" in text


@pytest.mark.parametrize(
    "diff",
    [
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,99 +1,99 @@\n+a\n",
        "--- a/x\n+++ b/x\n@@ -1,2 +1,999999999999999 @@\n+a\n",
    ],
)
def test_a_diff_that_was_cut_off_is_said_to_be_unread(diff: str) -> None:
    assert "- `x`: changed, not a diff that can be read" in answer(diff)


def test_a_huge_diff_is_read_to_a_limit_that_is_told() -> None:
    part = "diff --git a/f{0}.txt b/f{0}.txt\n--- a/f{0}.txt\n+++ b/f{0}.txt\n@@ -0,0 +1 @@\n+" + "word" * 50_000 + "\n"
    text = answer("".join(part.format(number) for number in range(30)))
    assert "Not complete: only the first 5 MB of the change were read." in text
    assert answer("diff --git a/x b/x\n" * 6000).count("Not complete: only the first 5,000 files") == 1


def test_a_file_name_or_a_line_cannot_break_out_of_its_quotes() -> None:
    diff = "--- a/x`y.md\n+++ b/x`y.md\n@@ -0,0 +1,2 @@\n+```\n+\x1b[31mred\x1b[0m text here ~~~ ```` <b>\n"
    text = answer(diff)
    assert "\x1b" not in text
    assert "- `` x`y.md ``: " in text
    assert "`````text" in text


def test_release_notes_are_grouped_with_what_breaks_first(repository: Repository) -> None:
    for number, message in enumerate(
        [
            "docs: how to upgrade",
            "Fix typo",
            "fix(parser): no crash on an empty list",
            "feat!: answers have a type",
            "perf: half the time",
            "refactor: names\n\nBREAKING CHANGE: `old` is gone,\nuse `new`.\nReviewed-by: Ada",
        ]
    ):
        repository.file("f", str(number))
        repository.commit(message)
    log = repository.git("log", "--format=%h %s%n%w(0,2,2)%b").decode()
    text = asked("release_notes", log=log, since="v1")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [f"## {one}" for one in ("Breaking changes", "Fixes", "Performance", "Documentation", "Other")]
    breaking = text.partition("## Fixes")[0]
    assert "- answers have a type (" in breaking
    assert "  `old` is gone, use `new`." in breaking
    assert "- **parser**: no crash on an empty list (" in text
    assert "- Fix typo (" in text.partition("## Other")[2]


def test_the_whole_form_of_git_log_is_read_too(repository: Repository) -> None:
    repository.file("f", "1")
    repository.commit("feat: one thing\n\nA body.")
    text = asked("release_notes", log=repository.git("log").decode())
    assert "## Features\n\n- one thing (" in text
    assert "1 commit, grouped" in text


def test_triage_shows_the_lines_that_failed_as_they_stand() -> None:
    log = "collected 2 items\n\x1b[31mE   ZeroDivisionError: division by zero\x1b[0m\n0 errors\nFAILED t.py::x - boom\n"
    text = asked("triage", log=log, exit_code=1, step="test/unit")
    assert text.startswith("[offline] 2 lines of the log say that something failed")
    assert "     2 | E   ZeroDivisionError: division by zero\n     4 | FAILED t.py::x - boom\n" in text
    assert "0 errors" not in text


def test_triage_of_a_log_that_does_not_show_the_cause_says_so() -> None:
    text = asked("triage", log="building\ndone\n")
    assert text.startswith("[offline] The log does not show the cause")
    assert "building\ndone" in text


def test_anything_else_is_summed_up_in_its_own_sentences() -> None:
    text = "Caches keep results. Results of steps are kept in caches. It rains. Steps take results from caches!"
    lines = answer(text).splitlines()
    assert lines[0].startswith("[offline] The most telling of 4 sentences")
    assert all(line[2:] in text for line in lines[2:])


def test_nothing_is_answered_with_nothing() -> None:
    assert answer("") == "[offline] There is nothing to answer.\n"


def test_an_answer_ends_where_it_may_not_be_longer() -> None:
    done = asyncio.run(OfflineProvider().complete(call("error: a\n" * 3 + "word " * 500, most=12)))
    assert done.finish == "length"
    assert done.text.startswith("[offline]")
    assert len(done.text.encode()) <= 48
    assert done.usage.output_tokens <= 12
    assert asyncio.run(OfflineProvider().complete(call("hello", most=1))).text == "[offline]"


def test_a_stream_is_the_answer_line_by_line_with_the_usage_at_its_end() -> None:
    request = call("One thing is here. Another thing is there.")

    async def pieces() -> list[str]:
        chunks = [chunk async for chunk in OfflineProvider().stream(request)]
        assert [chunk.finish for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
        assert chunks[-1].usage is not None and chunks[-1].usage.estimated
        return [chunk.text for chunk in chunks]

    found = asyncio.run(pieces())
    whole = asyncio.run(OfflineProvider().complete(request)).text
    assert "".join(found) == whole
    assert found[:-1] == whole.splitlines(keepends=True)


def test_too_much_is_refused_and_costs_nothing() -> None:
    with pytest.raises(ProviderError, match="the offline provider reads 16 MiB") as caught:
        answer("x" * (17 * 1024 * 1024))
    assert (caught.value.kind, caught.value.sent) == ("context", False)


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(ProviderError, match="was not there within 0 s") as caught:
        asyncio.run(OfflineProvider().complete(call("x. y", seconds=0)))
    assert (caught.value.kind, caught.value.sent) == ("timeout", False)


def test_what_there_is_no_time_for_is_said_to_be_left_out() -> None:
    found = found_diff("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", Deadline(0.0))
    assert found is not None
    assert found.left_out == ("there was no time for 1 of 1 files",)


def test_it_is_always_there() -> None:
    assert asyncio.run(OfflineProvider().healthy(call("x"))) is None


def _texts() -> Iterator[st.SearchStrategy[str]]:
    yield st.text(max_size=300)
    line = st.sampled_from(
        ["diff --git a/x b/x", "--- a/x", "+++ b/x", "@@ -1,2 +1,2 @@", "@@ -0,0 +1 @@ def f():", "+a", "-b", " c", "", "\\ No",
         "rename from a", "rename to b", "GIT binary patch", "literal 3", "new file mode 100644", "Binary files a and b differ",
         "1a2b3c4 fix: x", "  BREAKING CHANGE: y", "commit 1a2b3c4d", "E   Error: z", "<log>", "</log>", '+++ "b/\\303"']
    )  # fmt: skip
    yield st.lists(line, max_size=25).map("\n".join)


@given(st.one_of(*_texts()), st.integers(1, 60))
def test_whatever_is_asked_is_answered_with_the_label_the_same_each_time_and_in_bounds(text: str, most: int) -> None:
    first = asyncio.run(OfflineProvider().complete(call(text, most=most)))
    assert first.text.startswith("[offline]")
    assert len(first.text.encode()) <= max(4 * most, len("[offline]"))
    assert asyncio.run(OfflineProvider().complete(call(text, most=most))) == first
