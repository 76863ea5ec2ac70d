"""``maestro llm``: the group; its commands are ``llm_models``, ``llm_ask`` …"""

from __future__ import annotations

from collections.abc import Mapping

import click

from maestro.cli.options import LazyGroup

COMMANDS: Mapping[str, str] = {
    "models": "List the models and routes of the catalogue, with their prices.",
    "health": "Show which models can be used right now, and why others cannot.",
    "pull": "Have Ollama fetch a model, or bring it up to date.",
    "ask": "Ask a model; the answer streams, and ends with what it cost and why this model.",
    "decisions": "List which models were chosen for what, and what came of it.",
    "why": "Answer for one call: why this model?",
    "verify": "Compare the kept decisions with what the audit log says of them.",
    "drift": "Show what has changed at the models: their mix, cost, time and refusals.",
    "fairness": "Show each tenant's share of calls that were slow or failed.",
    "override": "Send a target to one model for a while, for a reason.",
    "drill": "Show where every route would go if a provider or a model were down.",
    "export": "Write the decisions of a time as JSON lines or CSV.",
    "prune": "Remove what nobody needs any more of models' calls.",
    "serve": "Serve OpenAI's API on this machine, spending under the same budgets.",
    "tokens": "Add, list and revoke the tokens of the OpenAI-compatible endpoint.",
}


class _Llm(LazyGroup):
    def module_of(self, name: str) -> str:
        return f"llm_{name}"


command: click.Command = _Llm(
    name="llm",
    commands_of="maestro.cli",
    table=COMMANDS,
    help="Language models: which there are, what was asked of them, and why the one that answered.",
    example="maestro llm ask 'what is a Merkle tree?' && maestro llm why last",
)
