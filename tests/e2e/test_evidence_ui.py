"""The evidence of the vulnerable example in the Dagster UI, in a real browser: findings, who signed them, why the gate is closed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browsing import browser_page, dev_server
from tests.e2e.example import FINDING, Example


@pytest.fixture(scope="module")
def address(delivered_example: Example, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of ``maestro dev`` on the example its gate has stopped."""
    with dev_server(delivered_example.copy(tmp_path_factory.mktemp("ui") / "app")) as made:
        yield made


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser_page() as made:
        yield made


def row(page: Page, name: str) -> Locator:
    """The row of a metadata table whose first cell is ``name``."""
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))


def test_the_scan_shows_what_was_found_by_severity_and_who_signed_that(
    page: Page, address: str, delivered_example: Example
) -> None:
    page.goto(f"{address}/assets/app/package/scan?view=partitions&partition={delivered_example.revision}")
    expect(page.get_by_role("row", name="high 1", exact=True)).to_be_visible()
    findings = row(page, "table")
    for text in ("severity", "high", FINDING, "jinja2", "2.10.1", "medium", "GHSA-h5c8-rqwp-cp95"):
        expect(findings).to_contain_text(text)
    signed = row(page, "evidence")
    for text in ("verified signer", "development (development key)", "vulnerabilities", "not immutable"):
        expect(signed).to_contain_text(text)
    expect(signed).to_contain_text(re.compile(r"row \d+"))


def test_the_gate_shows_its_failed_blocking_check_with_the_reasons(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/app/package/gate?view=checks&checkDetail=allowed")
    expect(page.get_by_text("This is a blocking asset check.")).to_be_visible()
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    expect(row(page, "summary")).to_contain_text(
        f"denied by supply_chain.release: app has {FINDING} (high) in jinja2 2.10"
    )
    why = row(page, "why")
    for text in ("vulnerability", f"app: {FINDING} in jinja2 2.10", "medium, or high for 7 days"):
        expect(why).to_contain_text(text)
    expect(row(page, "to be allowed")).to_contain_text(f"update jinja2 to 2.10.1; or waive {FINDING}")
