"""Scans an SBOM in process, with the advisory database of the project or one made for this scan."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from assets.scan_boms import ScannedBom
from maestro.errors import MaestroError
from maestro.steps import StepContext
from maestro.vulnerabilities.database import FILE, AdvisoryDatabase
from maestro.vulnerabilities.location import default_folder, home_of, known_ecosystems
from maestro.vulnerabilities.report import Report
from maestro.vulnerabilities.scan import ScanOptions, not_scanned, scan
from maestro.vulnerabilities.update import is_url, update
from maestro.vulnerabilities.vex import Statement


def osv_report(
    context: StepContext,
    database: str | None,
    ecosystems: Sequence[str],
    one: ScannedBom,
    statements: Sequence[Statement],
    max_age: timedelta,
    skip: Sequence[str],
) -> Report:
    """What the database knows of the SBOM; a database that cannot be had makes it ``not_scanned``."""
    assert one.bom is not None
    options = ScanOptions(max_age=max_age, statements=statements, skip=skip, cancelled=context.cancelled.is_set)
    try:
        with AdvisoryDatabase(_place(context, database, ecosystems)) as opened:
            return scan(one.bom, opened, options, subjects=one.targets)
    except MaestroError as error:
        following = f" ({error.next_step})" if error.next_step else ""
        return not_scanned(f"{error.what}{following}", subjects=one.targets)


def _place(context: StepContext, database: str | None, ecosystems: Sequence[str]) -> Path:
    home = home_of(context.workspace, os.environ)
    if database is None:
        return default_folder(home, {**os.environ, **context.env})
    if is_url(database):
        # Beside the project's own: archives that have not changed are not fetched for every run.
        folder = home / f"advisories-{hashlib.sha256(database.encode()).hexdigest()[:16]}"
        asked = context.scratch / "advisories.asked"
        if not asked.exists():
            update(folder, database, ecosystems=known_ecosystems(ecosystems))
            # Several SBOMs of a step are looked up in one state of the database.
            asked.touch()
        return folder / FILE
    place = Path(database).expanduser()
    place = place if place.is_absolute() else context.workspace / place
    if (place / FILE).is_file() or place.name.endswith(".sqlite"):
        return place
    folder = context.scratch / "advisories"
    # OSV files as they are, made into a database once.
    return folder / FILE if (folder / FILE).is_file() else update(folder, str(place)).file
