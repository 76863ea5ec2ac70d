"""How money is shown: one way everywhere."""

from __future__ import annotations

from decimal import Decimal

import pytest

from maestro.ledger.model import NANO, Unit, money, shown


@pytest.mark.parametrize(
    ("nano", "told"),
    [
        (0, "$0.00"),
        (10 * NANO, "$10.00"),
        (1_234_567 * NANO, "$1,234,567.00"),
        (2_500_000_000, "$2.50"),
        (1_234_560_000, "$1.2346"),
        (123_000_000, "$0.123"),
        (5_000_000, "$0.005"),
        (1_600_000, "$0.0016"),
        (1_626_450, "$0.00163"),
        (636_450, "$0.000636"),
        (800_000, "$0.0008"),
        (999_999, "$0.001"),
        (1, "$0.000000001"),
        (-1_600_000, "$-0.0016"),
    ],
)
def test_an_amount_has_two_decimals_and_more_only_where_they_say_something(nano: int, told: str) -> None:
    assert shown(Unit.USD, nano) == told


def test_what_is_likely_is_shown_as_what_is_booked() -> None:
    assert money(0.00063645) == money(Decimal("0.00063645")) == shown(Unit.USD, 636_450)
