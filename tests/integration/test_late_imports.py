"""Workers begin at once because the process they are forked from has imported all that a run needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_run_imports_nothing_the_warm_server_has_not(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.integration.rehearsal", str(tmp_path)]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    late = json.loads(done.stdout.splitlines()[-1])
    assert late == [], "add them to OF_A_RUN in maestro_defs/late_imports.py"
