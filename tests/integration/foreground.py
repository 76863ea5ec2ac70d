"""``python -m tests.integration.foreground ROOT PROFILE PARAMS``: a run in a process of its own, for tests that end it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maestro.profile import load_profile
from tests.integration.delivery import Delivery
from tests.integration.web_server import CHECKOUT


@contextmanager
def foreground_run(delivery: Delivery, **params: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries a run out; killed when the block ends."""
    arguments = [str(delivery.root), str(delivery.profile.folder), json.dumps(params)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.foreground", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


if __name__ == "__main__":
    root, profile, params = sys.argv[1:]
    Delivery(Path(root), load_profile(profile)).run(**json.loads(params))
