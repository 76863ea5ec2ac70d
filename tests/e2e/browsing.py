"""The Dagster UI of a project, served by ``maestro dev`` and looked at with a real browser."""

from __future__ import annotations

import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.product import Product

CHROMIUM = "/usr/bin/chromium"
# As root there is no sandbox; the rest keeps the browser from talking to anybody but the page under test.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_START_SECONDS = 90
_PATIENCE_MILLISECONDS = 30_000


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def dev_server(product: Product) -> Iterator[str]:
    """The address of ``maestro dev``, which Ctrl-C ends when the block does."""
    program = subprocess.Popen(
        [sys.executable, "-m", "maestro.cli", "dev", "--port", str(free_port())],
        cwd=product.root,
        env=product.programs_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield _address(program)
    finally:
        program.send_signal(signal.SIGINT)
        rest, _ = program.communicate(timeout=60)
        assert program.returncode == 0, rest


def _address(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    said = ""
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(program.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline and selector.select(deadline - time.monotonic()):
            line = program.stdout.readline()
            said += line
            found = re.search(r"http://\S+", line)
            if found:
                return found[0]
            if not line:
                break
    raise AssertionError(f"maestro dev did not say where it is:\n{said}")


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of a headless Chromium, 1440 x 900."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        try:
            context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
            context.set_default_timeout(_PATIENCE_MILLISECONDS)
            expect.set_options(timeout=_PATIENCE_MILLISECONDS)
            yield context.new_page()
        finally:
            browser.close()
