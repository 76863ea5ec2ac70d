"""Step kinds that ask a language model: ``llm.generate``, ``litellm.generate``, ``ollama.generate``.

They differ in how the model is named, no more: all go through the one gateway (``maestro.llm``), which chooses, says
why, and reserves the worst case before anything leaves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field, model_validator

from assets.llm_forecast import forecast_of
from assets.llm_materials import materials_of
from assets.llm_variables import filled
from maestro.errors import InputError
from maestro.steps import BaseParams, Forecast, History, Models, PlanContext, StepContext, StepKind, StepResult

if TYPE_CHECKING:
    from maestro.llm.model import Answer, Decision, ModelRequest, Role
    from maestro.prompts import Rendered

STANDING_PROMPT = "code_review"
"""What a model is asked when a step says neither prompt nor text: to review the change."""
_SHOWN = 4000
_REUSED = "reused, $0.00 this time; when it was asked: "


class GenerateParams(BaseParams):
    """What every kind of model step takes."""

    prompt: str | None = Field(
        None,
        min_length=1,
        description="Name of a prompt: of the project or of Maestro. `code_review` when there is no `text` either.",
    )
    text: str | None = Field(None, min_length=1, description="What is asked, when there is no prompt for it.")
    variables: dict[str, Any] = Field(
        default_factory=dict,
        description="Variables of the prompt; `diff`, `files`, `log`, `base`, `revision` are filled from git.",
    )
    fallback: list[str] = Field(default_factory=list, description="Models or routes to be tried after that, in order.")
    needs: list[str] = Field(default_factory=list, description="Capabilities the model must have.")
    regions: list[str] = Field(default_factory=list, description="Where the text may go; as the route says if empty.")
    min_quality: float | None = Field(None, ge=0, le=1, description="Lowest quality score of the catalogue.")
    max_usd: float | None = Field(None, ge=0, le=100_000, description="Most this answer may cost, in dollars.")
    max_output_tokens: int | None = Field(None, ge=1, le=1_000_000, description="Longest answer.")
    temperature: float | None = Field(None, ge=0, le=2, description="0 is repeatable, and may come from a cache.")
    offline: bool = Field(
        True, description="Where no model is set up at all, have the offline provider answer, labelled as such."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> GenerateParams:
        if self.named_prompt is not None and self.text is not None:
            raise ValueError("give a prompt or 'text', not both")
        if self.text is not None and self.variables:
            raise ValueError("'variables' belong to a prompt; 'text' has none")
        return self

    @property
    def named_prompt(self) -> str | None:
        """The prompt the workflow names, however the kind calls it."""
        return self.prompt

    @property
    def asked_prompt(self) -> str | None:
        """The prompt that is asked; None where a text is."""
        return self.named_prompt or (None if self.text is not None else STANDING_PROMPT)

    @property
    def target(self) -> str:
        """The model, route or capability; empty: the default route."""
        return ""


class RouteParams(GenerateParams):
    """Parameters of ``llm.generate``."""

    model: str | None = Field(None, min_length=1, description="A model of the catalogue.")
    route: str | None = Field(None, min_length=1, description="A route of models.yaml.")
    capability: str | None = Field(None, min_length=1, description="What the model must be able to do.")

    @model_validator(mode="after")
    def _one_target(self) -> RouteParams:
        if sum(one is not None for one in (self.model, self.route, self.capability)) > 1:
            raise ValueError("give one of 'model', 'route' and 'capability'")
        return self

    @property
    def target(self) -> str:
        """What was given of the three."""
        return self.model or self.route or self.capability or ""


class LitellmParams(GenerateParams):
    """Parameters of ``litellm.generate``."""

    model: str | None = Field(None, min_length=1, description="A model, a route, or a capability.")
    prompt_template: str | None = Field(None, min_length=1, description="Name of a prompt; the same as `prompt`.")

    @model_validator(mode="after")
    def _one_prompt(self) -> LitellmParams:
        if self.prompt is not None and self.prompt_template is not None:
            raise ValueError("'prompt' and 'prompt_template' are the same; give one")
        return self

    @property
    def named_prompt(self) -> str | None:
        """Either of the two names."""
        return self.prompt or self.prompt_template

    @property
    def target(self) -> str:
        """The model."""
        return self.model or ""


class OllamaParams(GenerateParams):
    """Parameters of ``ollama.generate``."""

    model: str = Field(min_length=1, description="A model as Ollama names it, like `qwen3:8b`.")
    pull: bool = Field(
        False, description="Have Ollama fetch the model when it lacks it; that may be gigabytes. Not on a server."
    )

    @property
    def target(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step would ask.

    Args:
        facts: what the answer depends on, for the cache key.
    """

    request: ModelRequest
    rendered: Rendered | None
    facts: Mapping[str, str]


def _asked(params: GenerateParams, models: Models, history: History, revision: str, key: str = "") -> Asked:
    from maestro.ledger.model import nanodollars
    from maestro.llm.model import Message, ModelRequest, PromptRef
    from maestro.prompts import load_prompt, render

    name = params.asked_prompt
    rendered = None
    if name is not None:
        prompt = load_prompt(name, models.prompt_folders)
        rendered = render(prompt, filled(prompt.variable_names, params.variables, history, revision))
        messages = [Message(cast("Role", one["role"]), one["content"]) for one in rendered.messages]
        reference = PromptRef(name, rendered.version, rendered.digest, rendered.policy)
    else:
        messages, reference = [Message("user", params.text or "")], None
    longest = params.max_output_tokens or (rendered.max_output_tokens if rendered else None) or 1024
    warmth = params.temperature if params.temperature is not None else (rendered.temperature if rendered else None)
    request = ModelRequest(
        messages=messages,
        target=params.target,
        fallback=tuple(params.fallback),
        max_output_tokens=longest,
        temperature=warmth or 0.0,
        needs=frozenset(params.needs) | (rendered.needs if rendered else frozenset()),
        regions=frozenset(params.regions),
        min_quality=params.min_quality,
        max_nano=None if params.max_usd is None else nanodollars(params.max_usd, up=False),
        personal=rendered.personal if rendered else (),
        prompt=reference,
        idempotency=key,
    )
    asked = json.dumps([[one.role, one.content] for one in messages]).encode("utf-8", "surrogatepass")
    facts = {"asked": sha256(asked).hexdigest(), "models": models.catalogue.digest}
    if reference is not None:
        facts["prompt"] = f"{reference.name} {reference.version} {reference.digest}"
    return Asked(request, rendered, facts)


def _decided(params: GenerateParams, models: Models, request: ModelRequest) -> Decision:
    """What would be chosen.

    Raises:
        NoModelError: only the offline provider is left, and the step does not want it.
    """
    from maestro.llm.model import NoModelError

    decision = models.decide(request)
    if not params.offline and _is_offline(models, decision):
        raise NoModelError(
            "no model is set up for this step, and it is not to be answered offline",
            decision=decision,
            next_step="set the key of a model (`maestro llm models` shows which), or start Ollama",
        )
    return decision


def _is_offline(models: Models, decision: Decision) -> bool:
    return decision.chosen is not None and models.catalogue.models[decision.chosen].offline


def _depends(context: PlanContext, params: GenerateParams) -> dict[str, str]:
    models = context.find_models()
    if models is None:
        return {}  # It will not run here, and says so then.
    asked = _asked(params, models, context.history, "")
    offline = _is_offline(models, models.decide(asked.request))
    # What nobody's model has answered must not stand in for an answer once there is one.
    return {**asked.facts, "answered by": "the offline provider" if offline else "a model"}


def _forecast(context: PlanContext, params: GenerateParams) -> Forecast | None:
    models = context.find_models()
    if models is None:
        return None
    decision = _decided(params, models, _asked(params, models, context.history, "").request)
    return forecast_of(decision, models)


def _run(context: StepContext, params: GenerateParams) -> StepResult:
    from maestro.llm.texts import harmless

    models = context.models
    if models is None:
        raise InputError("a model step needs a project", next_step="run it with `maestro run`")
    asked = _asked(params, models, context.history, context.revision, context.idempotency_key)
    _decided(params, models, asked.request)
    context.log.info("asks %s", params.target or "the default route")
    answer = models.ask(asked.request)
    context.log.info("%s", _line(answer))
    context.log.info("why this model: maestro llm why %s", answer.decision)
    context.log.info("%s", harmless(answer.text))
    return _result(context, asked, answer, models.decision(answer.decision))


def _stays_wrong(error: InputError) -> bool:
    """Models, routes and prompts are the revision's; no step before this one makes them."""
    from maestro.llm.catalogue_problems import CatalogueErrors
    from maestro.llm.model import NoModelError
    from maestro.prompts.load import NoPromptError, PromptErrors
    from maestro.prompts.rendering import RenderError

    return isinstance(error, CatalogueErrors | NoModelError | NoPromptError | PromptErrors | RenderError)


def _result(context: StepContext, asked: Asked, answer: Answer, decision: Decision | None) -> StepResult:
    from maestro.ledger.model import dollars
    from maestro.llm.decisions import outcome_of
    from maestro.llm.explain import COLUMNS, headline, why_table

    media = "text/markdown"
    kept = [context.artifacts.put_bytes(answer.text.encode() + b"\n", name="answer.md", media_type=media)]
    metadata: dict[str, Any] = {
        "model": answer.model,
        "provider": answer.provider,
        "offline": answer.offline,
        "input tokens": answer.usage.input_tokens,
        "output tokens": answer.usage.output_tokens,
        "dollars": float(dollars(answer.cost_nano)),
        "latency (s)": round(answer.seconds, 3),
        "first token (s)": round(answer.first_token, 3),
        "from the answer cache": answer.cached,
        "reused": False,
        "decision": answer.decision,
        "why": f"maestro llm why {answer.decision}",
        "finish": answer.finish,
    }
    if decision is not None:
        outcome = outcome_of(decision, answer)
        metadata["why"] = headline(decision, answer.model, answer.attempts)
        metadata["candidates"] = [dict(zip(COLUMNS, row.cells, strict=True)) for row in why_table(decision, outcome)]
    if asked.request.prompt is not None:
        prompt = asked.request.prompt
        metadata["prompt"] = f"{prompt.name} {prompt.version}"
        metadata["prompt digest"] = prompt.digest
    if answer.attempts:
        metadata["attempts"] = [
            {"model": one.model, "outcome": one.outcome, "seconds": round(one.seconds, 3), "reason": one.reason}
            for one in answer.attempts
        ]
    return StepResult(
        passed=True,
        summary=_line(answer),
        artifacts=kept,
        values={
            "answer": answer.text[:_SHOWN],
            "model": answer.model,
            "offline": answer.offline,
            "decision": answer.decision,
        },
        metadata=metadata,
        cost_usd=float(dollars(answer.cost_nano)),
        materials=materials_of(asked.request.prompt, answer, decision),
    )


def _line(answer: Answer) -> str:
    from maestro.ledger.model import Unit, shown

    tokens = answer.usage.input_tokens + answer.usage.output_tokens
    source = "offline, no model was asked" if answer.offline else answer.model
    cached = ", from the cache of answers" if answer.cached else ""
    return f"{source}: {tokens:,} tokens, {shown(Unit.USD, answer.cost_nano)}, {answer.seconds:.1f} s{cached}"


def _reused(summary: str, metadata: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Of an answer from the step cache: nothing was asked, so nothing was paid; its decision is the one of then."""
    if metadata.get("reused") is True:
        return f"{_REUSED}{summary}", metadata
    told = {**metadata, "dollars": 0.0, "reused": True}
    if "dollars" in metadata:
        told["dollars when asked"] = metadata["dollars"]
    return f"{_REUSED}{summary}", told


def _describe(params: GenerateParams) -> str:
    what = f"prompt {params.asked_prompt}" if params.asked_prompt else "a text"
    return f"Asks {params.target or 'the default route'} with {what}."


def _repeatable(params: GenerateParams) -> bool:
    return not params.temperature


def _kind(name: str, params: type[GenerateParams], summary: str, labels: Sequence[str]) -> StepKind[Any]:
    return StepKind(
        name=name,
        version="1",
        params=params,
        run=_run,
        summary=summary,
        describe=_describe,
        dagster_kinds=tuple(labels),
        cached=_repeatable,
        depends=_depends,
        forecast=_forecast,
        final_word=_stays_wrong,
        reused=_reused,
    )


LLM_GENERATE = _kind(
    "llm.generate", RouteParams, "Asks a language model: of a route, a capability, or by name.", ("llm",)
)
LITELLM_GENERATE = _kind(
    "litellm.generate", LitellmParams, "Asks a language model by name, route or capability.", ("llm",)
)
OLLAMA_GENERATE = _kind(
    "ollama.generate", OllamaParams, "Asks a model of Ollama on this machine, else those under `fallback`.", ("ollama",)
)
