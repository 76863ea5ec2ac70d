"""Prometheus's text format (version 0.0.4), as far as lanes need it: samples by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from maestro.errors import MaestroError

LARGEST = 16 * 1024 * 1024
"""Bytes of an exposition; Ray's of a large cluster has some."""
MOST = 1e15
"""More requests, tokens or seconds than there are; sums of such values are whole numbers still."""


class ScrapeError(MaestroError):
    """A lane's metrics could not be read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line."""

    labels: Mapping[str, str]
    value: float


Samples = Mapping[str, Sequence[Sample]]
"""Name -> its lines."""


def read_exposition(text: str) -> Samples:
    """The samples; values no lane can have are left out: NaN, infinite, below zero.

    Raises:
        ScrapeError: it is not of this format, or too large.
    """
    if len(text) > LARGEST:
        raise ScrapeError(f"the metrics are larger than {LARGEST:,} characters")
    found: dict[str, list[Sample]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if 0 <= sample.value <= MOST:
                    found.setdefault(sample.name, []).append(Sample(sample.labels, float(sample.value)))
    # The parser fails in several ways on what is no exposition.
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ScrapeError(
            f"what came is no Prometheus exposition ({str(error)[:120] or type(error).__name__})",
            next_step="see that the lane's URL leads to the server's /metrics",
        ) from None
    return found
