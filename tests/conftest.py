"""What tests of all folders share: a real PostgreSQL server, and that a run without a single test is a failed run."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator

import pytest

from tests.integration import postgres_server

# What a test runs ends with it; tests of the warm process turn it on.
os.environ["MAESTRO_WARM"] = "off"
# A worker holds a million objects of what it has imported; looking through them again and again for garbage would take a
# sixth of the suite's time.
gc.set_threshold(50_000, 20, 50)
# Shells start what they put into the background with Ctrl-C ignored, and programs that tests interrupt inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
_SERVER_HOME = "MAESTRO_SERVER_HOME"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays to the end, so nobody looks through it for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _no_server_is_left_behind() -> Iterator[None]:
    """Whoever opens a server's instance names its home in the environment; the next test is on its own machine."""
    before = os.environ.get(_SERVER_HOME)
    yield
    if before is None:
        os.environ.pop(_SERVER_HOME, None)
    else:
        os.environ[_SERVER_HOME] = before


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a running server's database ``postgres``; under xdist each worker has a server of its own."""
    with postgres_server.postgres_server() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """URL of an empty database of this test's own."""
    with postgres_server.postgres_database(postgres_url) as url:
        yield url


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Makes a run in which every test was skipped fail like one that found no test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.config.option.collectonly or session.exitstatus != pytest.ExitCode.OK:
        return
    if not any(reporter.stats.get(outcome) for outcome in ("passed", "failed", "error", "xfailed", "xpassed")):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
