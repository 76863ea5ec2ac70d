"""One engine in process, used from several threads."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from maestro.policy import load_bundle, open_engine


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_other_threads_used_is_let_go_without_a_word() -> None:
    engine = open_engine(load_bundle())
    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(engine.evaluate, "access.release", "{}").result()
        assert engine.evaluate("access.release", "{}") == other
        engine.close()
        del engine
    gc.collect()
