"""Callers of several threads share a commit, and each gets what is its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from maestro.audit.errors import AuditError
from maestro.audit.group_commit import LARGEST, GroupCommit


class Paper:
    """Writes numbers down; the first write waits until it is let go."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def write(self, items: Sequence[int]) -> list[str]:
        self.writes.append(list(items))
        self.begun.set()
        self.go_on.wait(30)
        if -1 in items:
            raise ValueError("no ink")
        return [f"wrote {item}" for item in items]


def waiting(commits: GroupCommit[int, str], count: int) -> None:
    """Returns when so many callers have handed in what they want written."""
    ready = threading.Event()
    while len(commits._waiting) < count:
        ready.wait(0.001)


def test_a_lone_caller_is_written_at_once() -> None:
    paper = Paper()
    paper.go_on.set()
    assert GroupCommit(paper.write).submit([1, 2]) == ["wrote 1", "wrote 2"]


def test_callers_that_wait_are_written_together_and_each_gets_its_own_results() -> None:
    paper = Paper()
    commits: GroupCommit[int, str] = GroupCommit(paper.write)
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(commits.submit, [0])
        paper.begun.wait(30)
        others = [pool.submit(commits.submit, [10 * number, 10 * number + 1]) for number in range(1, 16)]
        waiting(commits, 15)
        paper.go_on.set()
        assert first.result() == ["wrote 0"]
        for number, other in enumerate(others, start=1):
            assert other.result() == [f"wrote {10 * number}", f"wrote {10 * number + 1}"]
    assert len(paper.writes) == 2


def test_a_failed_write_fails_for_all_that_were_in_it_and_for_nobody_else() -> None:
    paper = Paper()
    commits: GroupCommit[int, str] = GroupCommit(paper.write)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(commits.submit, [0])
        paper.begun.wait(30)
        others = [pool.submit(commits.submit, [number]) for number in (-1, 5)]
        waiting(commits, 2)
        paper.go_on.set()
        assert first.result() == ["wrote 0"]
        for other in others:
            with pytest.raises(ValueError, match="no ink"):
                other.result()
    assert commits.submit([7]) == ["wrote 7"]


def test_one_transaction_does_not_grow_without_end() -> None:
    paper = Paper()
    commits: GroupCommit[int, str] = GroupCommit(paper.write)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commits.submit, [0])
        paper.begun.wait(30)
        others = [pool.submit(commits.submit, list(range(LARGEST - 1))) for _ in range(2)]
        waiting(commits, 2)
        paper.go_on.set()
        assert [len(one.result()) for one in [first, *others]] == [1, LARGEST - 1, LARGEST - 1]
    assert [len(one) for one in paper.writes] == [1, LARGEST - 1, LARGEST - 1]


def test_an_interrupted_write_tells_the_others_that_nobody_knows_and_stops_nobody_else() -> None:
    paper = Paper()

    def write(items: Sequence[int]) -> list[str]:
        results = paper.write(items)
        if 1 in items:
            raise KeyboardInterrupt
        return results

    commits: GroupCommit[int, str] = GroupCommit(write)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commits.submit, [0])
        paper.begun.wait(30)
        interrupted = pool.submit(commits.submit, [1])
        waiting(commits, 1)
        same = pool.submit(commits.submit, [2])
        waiting(commits, 2)
        paper.go_on.set()
        assert first.result() == ["wrote 0"]
        with pytest.raises(KeyboardInterrupt):
            interrupted.result()
        with pytest.raises(AuditError, match="the entries may be in it or not"):
            same.result()
    assert commits.submit([3]) == ["wrote 3"]


def test_a_caller_interrupted_while_it_waits_is_not_waited_for() -> None:
    paper = Paper()
    commits: GroupCommit[int, str] = GroupCommit(paper.write)

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commits.submit, [0])
        paper.begun.wait(30)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("maestro.audit.group_commit.threading.Event", Impatient)
            commits.submit([1])
        last = pool.submit(commits.submit, [2])
        waiting(commits, 1)
        paper.go_on.set()
        assert (first.result(), last.result()) == (["wrote 0"], ["wrote 2"])
    assert paper.writes == [[0], [2]]
