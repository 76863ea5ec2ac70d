"""Masking between a logger or a process and what it writes to."""

from __future__ import annotations

import io
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from maestro.errors import MaestroError
from maestro.secrets import MaskedPipe, Masker, MaskingLogFilter

MASKER = Masker(["hunter2-hunter2"])


def logged(masker: Masker, write: Callable[[logging.Logger], object]) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(step)s", defaults={"step": "-"}))
    handler.addFilter(MaskingLogFilter(masker))
    logger = logging.Logger("example")
    logger.addHandler(handler)
    write(logger)
    return stream.getvalue()


def test_messages_and_arguments_are_masked() -> None:
    text = logged(MASKER, lambda log: log.info("a %s b %d", "hunter2-hunter2", 3))
    assert text == "INFO a *** b 3 -\n"


def test_a_secret_cut_between_message_and_argument_is_masked() -> None:
    assert logged(MASKER, lambda log: log.info("hunter2-%s", "hunter2")) == "INFO *** -\n"


def test_extra_fields_are_masked() -> None:
    text = logged(MASKER, lambda log: log.info("x", extra={"step": {"key": "hunter2-hunter2"}}))
    assert text == "INFO x {'key': '***'}\n"


def test_tracebacks_are_masked() -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError("hunter2-hunter2 is wrong")
        except ValueError:
            log.exception("failed")

    text = logged(MASKER, fail)
    assert "ValueError: *** is wrong" in text
    assert "hunter2" not in text


def test_a_record_that_cannot_be_formatted_shows_no_argument(capfd: pytest.CaptureFixture[str]) -> None:
    text = logged(MASKER, lambda log: log.info("%d", "hunter2-hunter2"))
    assert text == "INFO %d (its arguments cannot be formatted: TypeError) -\n"
    assert "hunter2" not in capfd.readouterr().err


def test_without_secrets_records_pass_untouched() -> None:
    assert logged(Masker([]), lambda log: log.info("a %s", "b")) == "INFO a b -\n"


def test_what_a_process_writes_into_the_pipe_arrives_masked_and_complete(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    script = "printf hunter2-; printf 'hunter2\\n'; seq 1 50000; echo end hunter2-hunt"
    with MaskedPipe(MASKER, log) as pipe:
        subprocess.run(["sh", "-c", script], stdout=pipe.fileno(), check=True)
    lines = log.read_text().splitlines()
    assert lines == ["before", "***", *map(str, range(1, 50001)), "end hunter2-hunt"]


def test_without_secrets_the_descriptor_is_the_file_itself(tmp_path: Path) -> None:
    with MaskedPipe(Masker([]), tmp_path / "log") as pipe:
        assert Path(f"/proc/self/fd/{pipe.fileno()}").readlink() == tmp_path / "log"
        os.write(pipe.fileno(), b"text")
    assert (tmp_path / "log").read_text() == "text"


@pytest.mark.parametrize("masker", [MASKER, Masker([])])
def test_a_given_descriptor_stays_open_and_none_is_left_over(tmp_path: Path, masker: Masker) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with (tmp_path / "log").open("wb", buffering=0) as file:
        pipe = MaskedPipe(masker, file.fileno())
        os.write(pipe.fileno(), b"one ")
        pipe.close()
        pipe.close()
        file.write(b"two")
    assert (tmp_path / "log").read_text() == "one two"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_writer_that_never_closes_does_not_hold_close_up_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maestro.secrets.pipe.CLOSE_SECONDS", 0.05)
    pipe = MaskedPipe(MASKER, tmp_path / "log")
    kept = os.dup(pipe.fileno())
    os.write(kept, b"written hunter2-hunter2")
    pipe.close()
    os.close(kept)
    assert (tmp_path / "log").read_text() == "written ***"


def test_a_destination_that_cannot_be_written_is_reported_and_the_process_is_not_blocked() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        pipe = MaskedPipe(MASKER, full.fileno())
        subprocess.run(["seq", "1", "100000"], stdout=pipe.fileno(), check=True)
        with pytest.raises(MaestroError, match=r"output cannot be written to \d+: No space left on device"):
            pipe.close()
