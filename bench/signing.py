"""What a signature costs: making one, and verifying one against a trust root of some size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bench.report import Figure, at_most
from maestro.artifacts.subject import Subject
from maestro.signing import Origin, TrustRoot, make_statement, sign_statement, verify_bundle
from maestro.signing.key_file import new_key
from maestro.signing.project_keys import trusted

KEYS = 10
"""Keys in the trust root: a few years of rotations."""


def measure(*, quick: bool) -> list[Figure]:
    """A statement of 2 KB, as provenance has, signed with ECDSA P-256 and verified."""
    now = datetime.now(UTC)
    signers = [new_key()[0] for _ in range(KEYS)]
    trust = TrustRoot(tuple(trusted(one.public_key, name=f"key-{n}", at=now) for n, one in enumerate(signers)))
    payload = make_statement(
        [Subject("app.whl", {"sha256": "ab" * 32})],
        "https://slsa.dev/provenance/v1",
        {"materials": [{"uri": f"git+https://example.org/{n}", "digest": {"sha1": "0" * 40}} for n in range(20)]},
        origin=Origin("bench", "0" * 40, "run", "step", now),
    )
    bundle = sign_statement(payload, signers[-1])
    times = 50 if quick else 1000
    sign = _median_ms(lambda: sign_statement(payload, signers[-1]), times)
    verify = _median_ms(lambda: verify_bundle(bundle, trust), times)
    about = f"a statement of {len(payload) / 1000:.1f} kB"
    return [
        at_most("sign_ms", sign, 0.1, "ms", f"{about}, ECDSA P-256, to a Sigstore bundle"),
        at_most("verify_ms", verify, 0.2, "ms", f"{about}, from the bundle's JSON to the checked statement"),
    ]


def _median_ms(work: Callable[[], object], times: int) -> float:
    work()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return 1000 * statistics.median(spent)
