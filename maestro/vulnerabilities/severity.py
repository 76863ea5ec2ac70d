"""How bad: from CVSS vectors, else from the database's own word."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from maestro.vulnerabilities.report import SEVERITIES, Severity

_WORDS: dict[str, Severity] = {
    "moderate": "medium",
    "important": "high",  # Red Hat's scale
    "negligible": "low",  # grype's and Debian's
    "unimportant": "low",
    "untriaged": "unknown",
}


def of_word(word: object) -> Severity:
    """The severity a database's own word stands for (``MODERATE``); ``unknown`` when it stands for none."""
    plain = word.strip().lower() if isinstance(word, str) else ""
    known = next((one for one in SEVERITIES if one == plain), None)
    return known or _WORDS.get(plain, "unknown")


def of_score(score: float) -> Severity:
    """The qualitative rating of a CVSS 3 or 4 score, 0 to 10 (CVSS v3.1, section 5)."""
    if score <= 0:
        return "none"
    if score < 4:
        return "low"
    if score < 7:
        return "medium"
    return "high" if score < 9 else "critical"


@lru_cache(maxsize=50_000)
def of_vector(vector: str) -> tuple[Severity, float] | None:
    """Severity and base score of a CVSS 2, 3.0, 3.1 or 4.0 vector; None when it is none.

    CVSS 2 knows no critical: its high begins at 7.0 (NVD).
    """
    import cvss  # type: ignore[import-untyped]  # publishes no types

    try:
        if vector.startswith("CVSS:4"):
            score = float(cvss.CVSS4(vector).base_score)
        elif vector.startswith("CVSS:3"):
            score = float(cvss.CVSS3(vector).base_score)
        else:
            score = float(cvss.CVSS2(vector).base_score)
            return ("high" if score >= 7 else "medium" if score >= 4 else "low"), score
    except (cvss.CVSSError, ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return of_score(score), score


def worst(vectors: Iterable[str], word: object = None) -> tuple[Severity, float | None, str | None]:
    """Severity, score and vector of the worst of ``vectors``; without a usable one, what ``word`` says."""
    best: tuple[Severity, float, str] | None = None
    for vector in vectors:
        rated = of_vector(vector)
        if rated is not None and (best is None or rated[1] > best[1]):
            best = (*rated, vector)
    return best if best is not None else (of_word(word), None, None)
