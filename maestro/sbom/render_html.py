"""A comparison as one HTML page that needs nothing else: no scripts, nothing fetched, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from maestro.sbom.comparison import Comparison, headline, tables

if TYPE_CHECKING:
    from jinja2 import Template


def to_html(comparison: Comparison) -> str:
    """The page; its Content-Security-Policy allows its own style and nothing else."""
    subjects = [(one, headline(one), tables(one)) for one in comparison.subjects]
    style = (files("maestro.sbom") / "diff.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; script-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return _template().render(comparison=comparison, subjects=subjects, style=style, policy=policy)


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("maestro.sbom") / "diff.html.j2").read_text("utf-8"))
