"""A week's report as one HTML page that needs nothing else: no scripts, nothing fetched, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from maestro.evals.report import WeekReport, words
from maestro.evals.statistics import Interval
from maestro.ledger.model import Unit, shown

if TYPE_CHECKING:
    from jinja2 import Template


def to_html(report: WeekReport) -> str:
    """The page; its Content-Security-Policy allows its own style and nothing else, as models wrote parts of it."""
    style = (files("maestro.evals") / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; script-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return _template().render(report=report, style=style, policy=policy)


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"words": words, "rate": _rate, "mean": _mean, "dollars": lambda nano: shown(Unit.USD, nano)}
    return environment.from_string((files("maestro.evals") / "report.html.j2").read_text("utf-8"))


def _rate(interval: Interval) -> str:
    return f"{interval.value:.0%} ({interval.low:.0%} to {interval.high:.0%})"


def _mean(interval: Interval | None, unit: str, places: int) -> str:
    if interval is None:
        return "none"
    value, low, high = (f"{unit}{number:.{places}f}" for number in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"
