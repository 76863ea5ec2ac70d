"""What becomes of many deliveries while programs are killed and PostgreSQL is restarted at random moments."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.report import Figure, at_most
from tests.e2e.chaos import FAULTS, Chaos

_SEED = 20260


def measure(*, quick: bool) -> list[Figure]:
    """200 deliveries and 40 faults; quick: 24 and one of each kind."""
    runs, faults = (24, len(FAULTS)) if quick else (200, 40)
    with tempfile.TemporaryDirectory(prefix="bench-chaos-") as folder:
        survived = Chaos(Path(folder), runs, faults, _SEED).run()
    return [
        Figure("deliveries", len(survived.sent), "", "webhooks sent, and again until they were taken", f">= {runs}"),
        Figure("faults", len(survived.faults), "", "programs and workers killed, PostgreSQL restarted"),
        Figure("refused", survived.retries, "", "attempts to send that were not taken"),
        at_most("lost", len(survived.lost), 0, "", "deliveries without a finished run"),
        at_most("doubled", len(survived.doubled), 0, "", "deliveries with more runs than one"),
        at_most("failed", len(survived.failed), 0, "", "deliveries whose run did not succeed"),
        at_most("untold", len(survived.untold), 0, "", "deliveries without exactly one successful check at GitHub"),
        Figure("seconds", round(survived.seconds, 1), "s", "until everything had settled"),
    ]
