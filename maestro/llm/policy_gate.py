"""Asks the policy package ``models`` about candidates and overrides, and remembers what it said."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

from maestro.ledger.model import NANO, Attribution
from maestro.llm.catalogue import Catalogue, Model
from maestro.llm.model import ModelRequest, PromptRef
from maestro.llm.state import Override, PolicyVerdict
from maestro.policy.deciding import decide
from maestro.policy.engine import PolicyEngine

POLICY = "models.release"
_REMEMBERED = 4096
_TWO_DIGITS = Context(prec=2, rounding=ROUND_CEILING)


class PolicyGate:
    """The policy's word about models. Safe to use from several threads; whatever goes wrong is a deny.

    Args:
        engine: or what opens it, when it is first asked.
        config: settings of the package (docs/policies.md).
    """

    def __init__(
        self, engine: PolicyEngine | Callable[[], PolicyEngine], config: Mapping[str, Any] | None = None
    ) -> None:
        self._engine = engine
        self._config = dict(config or {})
        self._known: OrderedDict[str, PolicyVerdict] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(
        self,
        model: Model,
        request: ModelRequest,
        attribution: Attribution,
        worst_nano: int | None,
        *,
        override: Override | None = None,
    ) -> tuple[str, Callable[[], PolicyVerdict]]:
        """What is asked, as a text that is equal for equal questions, and what asks it.

        Costs are rounded up to two digits, so that requests of nearly one size are one question.
        """
        document = json.dumps(
            self.document(
                model,
                attribution,
                worst_nano,
                personal=bool(request.personal),
                prompt=request.prompt,
                override=override,
            ),
            sort_keys=True,
        )
        return document, lambda: self._ask(document)

    def verdict(
        self, model: Model, request: ModelRequest, attribution: Attribution, worst_nano: int | None
    ) -> PolicyVerdict:
        """What the policy says of this model for this request; asked once, then remembered."""
        return self._ask(self(model, request, attribution, worst_nano)[0])

    def override_verdict(self, override: Override, catalogue: Catalogue, attribution: Attribution) -> PolicyVerdict:
        """What the policy says of an override, before it is put; of its use nothing is known yet."""
        model = catalogue.models[override.model]
        return self._ask(
            json.dumps(self.document(model, attribution, None, personal=False, override=override), sort_keys=True)
        )

    def document(
        self,
        model: Model,
        attribution: Attribution,
        worst_nano: int | None,
        *,
        personal: bool,
        prompt: PromptRef | None = None,
        override: Override | None = None,
    ) -> dict[str, Any]:
        """The input document of ``models.release``."""
        return {
            "model": model.name,
            "provider": model.provider,
            "region": model.region,
            "tenant": attribution.tenant,
            "project": attribution.project,
            "actor": attribution.actor,
            "personal_data": personal,
            "prompt": None if prompt is None else asdict(prompt),
            "override": None if override is None else {"actor": override.actor, "reason": override.reason},
            "est_usd": None if worst_nano is None else _rounded(worst_nano),
            "config": self._config,
        }

    def _opened(self) -> PolicyEngine:
        with self._lock:
            if callable(self._engine):
                self._engine = self._engine()
            return self._engine

    def _ask(self, document: str) -> PolicyVerdict:
        with self._lock:
            known = self._known.get(document)
            if known is not None:
                self._known.move_to_end(document)
                return known
        decision = decide(self._opened, POLICY, json.loads(document))
        verdict = PolicyVerdict(
            decision.allow,
            (f"the policy could not be asked: {decision.error}",)
            if decision.error
            else tuple(one.message for one in decision.reasons),
            decision.id,
        )
        if decision.error is None:
            # A trouble of the engine may be over the next time.
            with self._lock:
                self._known[document] = verdict
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return verdict


def gate_for(catalogue: Catalogue, engine: Callable[[], PolicyEngine] | None = None) -> PolicyGate | None:
    """The gate the catalogue asks for; None: it asks for none.

    Args:
        engine: opens what evaluates, when it is first asked; None: the policies Maestro ships, in process.
    """
    if catalogue.policy is None:
        return None

    def shipped() -> PolicyEngine:
        from maestro.policy.bundle import load_bundle
        from maestro.policy.engine import open_engine

        return open_engine(load_bundle())

    return PolicyGate(engine or shipped, catalogue.policy)


def _rounded(nano: int) -> float:
    return float(_TWO_DIGITS.divide(Decimal(nano), Decimal(NANO)))
