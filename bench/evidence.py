"""Evidence and policy in one table: signatures, decisions, scans, comparisons and the audit log.

Each part has a table of its own with more in it: ``python -m bench signing|policy|vulnerabilities|sbom|audit``.
"""

from __future__ import annotations

from bench import audit, policy, sbom, signing, vulnerabilities
from bench.report import Figure

KEYS = (
    "sign_ms",
    "verify_ms",
    "decision_p50_ms",
    "decision_p99_ms",
    "scan_500_ms",
    "diff_10k_s",
    "audit_rows_per_s",
    "proof_ms",
)


def measure(*, quick: bool) -> list[Figure]:
    """The figures named in ``KEYS``, and beside them an OPA server's when there is one."""
    found = [
        *signing.measure(quick=quick),
        *policy.in_process(quick=quick),
        *vulnerabilities.measure(quick=quick),
        *sbom.differences(quick=quick),
        *audit.measure(quick=quick),
    ]
    by_key = {figure.key: figure for figure in found}
    return [*(by_key[key] for key in KEYS), *policy.by_opa(quick=quick)]
