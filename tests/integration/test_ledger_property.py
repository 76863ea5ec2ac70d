"""The ledger against a model of it in a few lines, for any sequence of operations, on both databases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.errors import MaestroError
from maestro.ledger.model import Attribution, BudgetExceededError, Scope, Unit
from maestro.ledger.store import Ledger

USD = Unit.USD
CALLS = st.integers(0, 7)
AMOUNTS = st.integers(0, 40)
WHERE = st.integers(0, 3)
OPERATIONS = st.one_of(
    st.tuples(st.just("reserve"), CALLS, AMOUNTS, WHERE, st.booleans()),
    st.tuples(st.just("sent"), CALLS),
    st.tuples(st.just("settle"), CALLS, AMOUNTS),
    st.tuples(st.just("release"), CALLS),
    st.tuples(st.just("adjust"), CALLS, AMOUNTS),
    st.tuples(st.just("lapse")),
    st.tuples(st.just("limit"), WHERE, st.one_of(st.none(), st.integers(0, 120))),
)
EXAMPLES = itertools.count()


@dataclass
class Call:
    where: int
    amount: int
    state: str
    actual: int = 0


@dataclass
class Model:
    """What should be true. Projects 0 to 2 lie in the tenant, which is number 3."""

    calls: dict[int, Call] = field(default_factory=dict)
    limits: dict[int, int | None] = field(default_factory=dict)

    def spent(self, where: int) -> int:
        return sum(call.actual for call in self._in(where))

    def reserved(self, where: int) -> int:
        return sum(call.amount for call in self._in(where) if call.state in ("reserved", "sent"))

    def _in(self, where: int) -> list[Call]:
        return [call for call in self.calls.values() if where in (call.where, 3)]

    def do(self, what: str, *given: Any) -> bool:
        """Does it, or says that it cannot be done."""
        if what == "limit":
            self.limits[given[0]] = given[1]
            return True
        if what == "lapse":
            for call in self.calls.values():
                if call.state in ("reserved", "sent"):
                    call.actual = call.amount if call.state == "sent" else 0
                    call.state = "assumed" if call.state == "sent" else "released"
            return True
        call = self.calls.get(given[0])
        return self._reserve(call, *given) if what == "reserve" else call is not None and self._with(what, call, given)

    def _reserve(self, call: Call | None, number: int, amount: int, where: int, sent: bool) -> bool:
        where %= 3
        if call is not None:
            return (call.where, call.amount) == (where, amount) and call.state in ("reserved", "sent")
        for scope in (where, 3):
            limit = self.limits.get(scope)
            if amount and limit is not None and self.spent(scope) + self.reserved(scope) + amount > limit:
                return False
        self.calls[number] = Call(where, amount, "sent" if sent else "reserved")
        return True

    def _with(self, what: str, call: Call, given: tuple[Any, ...]) -> bool:
        possible = {
            "sent": call.state in ("reserved", "sent"),
            "settle": call.state != "settled" or call.actual == given[-1],
            "release": call.state != "settled",
            "adjust": call.state == "assumed",
        }[what]
        if possible:
            call.state = {"sent": "sent", "settle": "settled", "release": "released", "adjust": call.state}[what]
            call.actual = {"sent": 0, "release": 0}.get(what, given[-1])
        return possible


def do(ledger: Ledger, tenant: str, what: str, *given: Any) -> bool:
    id = f"{tenant}-{given[0]}" if given else ""
    try:
        if what == "limit":
            ledger.set_limit(scope(tenant, given[0]), USD, given[1], actor="ada", reason="r")
        elif what == "lapse":
            ledger.expire(datetime.now(UTC) + timedelta(days=1))
        elif what == "reserve":
            whom = Attribution(tenant, f"app{given[2] % 3}")
            # The workflow's limit is no limit here, since it never raises one.
            ledger.reserve(id, whom, {USD: given[1]}, sent=given[3], limits={scope(tenant, 3): {USD: 10**6}})
        elif what == "sent":
            ledger.sent(id)
        elif what == "settle":
            ledger.settle(id, {USD: given[1]})
        elif what == "release":
            ledger.release(id)
        else:
            ledger.adjust(id, given[1], reason="r", actor="ada")
    except BudgetExceededError as refused:
        assert refused.balance.used + refused.asked > (refused.balance.limit or 0)
        return False
    except MaestroError:
        return False
    return True


def scope(tenant: str, where: int) -> Scope:
    return Scope("tenant", tenant) if where == 3 else Scope("project", f"{tenant}/app{where}")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    from tests.integration.postgres_server import postgres_database

    if request.param == "sqlite":
        with Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}") as ledger:
            yield ledger
        return
    with postgres_database(request.getfixturevalue("postgres_url")) as url, Ledger.open(url) as ledger:
        yield ledger


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(OPERATIONS, max_size=25))
def test_whatever_is_done_the_sums_are_those_of_the_model_and_everything_adds_up(
    ledger: Ledger, operations: list[tuple[Any, ...]]
) -> None:
    tenant, model = f"t{next(EXAMPLES)}", Model()
    for what, *given_ in [*operations, ("lapse",)]:
        assert do(ledger, tenant, what, *given_) == model.do(what, *given_), (what, given_)
        found = ledger.balances([scope(tenant, where) for where in range(4)])
        got = {balance.scope: (balance.spent, balance.reserved) for balance in found}
        for where in range(4):
            assert got.get(scope(tenant, where), (0, 0)) == (model.spent(where), model.reserved(where))
    assert ledger.check() == []
