"""``maestro llm ask``."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maestro.cli.money_source import SERVER_HOME_OPTION, MoneyPlace
from maestro.cli.options import JSON_OPTION, GlobalOptions, example_command, pass_options
from maestro.cli.terminal import Terminal, printable, seconds
from maestro.errors import InputError

if TYPE_CHECKING:
    from maestro.llm.errors import Unsettled
    from maestro.llm.model import Answer, Decision, ModelRequest

_LONGEST_INPUT = 1 << 20


@example_command(
    "ask",
    example="""maestro llm ask 'what is a Merkle tree?'
maestro llm ask --prompt code_review --var diff=@changes.diff
maestro llm ask 'and in French?' --model gpt-4o-mini --max-usd 0.01 --dry-run""",
)
@click.argument("text", required=False)
@click.option("--model", metavar="NAME", help="A model, a route or a capability; the default route if not given.")
@click.option("--route", metavar="NAME", help="A route.")
@click.option("--prompt", metavar="NAME", help="A prompt of the project in place of TEXT.")
@click.option(
    "--var", "assignments", multiple=True, metavar="NAME=VALUE", help="Its variable; @FILE for a file's text."
)
@click.option("--max-usd", metavar="USD", help="The most it may cost.")
@click.option("--max-tokens", type=click.IntRange(1, 1_000_000), metavar="N", help="The longest answer, in tokens.")
@click.option("--dry-run", is_flag=True, help="Only show which model would be asked, and why.")
@SERVER_HOME_OPTION
@JSON_OPTION
@pass_options
def command(
    options: GlobalOptions,
    text: str | None,
    model: str | None,
    route: str | None,
    prompt: str | None,
    assignments: tuple[str, ...],
    max_usd: str | None,
    max_tokens: int | None,
    dry_run: bool,
    server_home: Path | None,
    as_json: bool,
) -> int:
    """Ask a model; the answer streams, and ends with what it cost and why this model.

    Without TEXT and --prompt, standard input is asked. The last line, on standard error, names the model, tokens,
    dollars and the decision. The exit code is 1 where there is an answer but its cost could not be written down.
    """
    from maestro.cli.llm_source import catalogue_of, gateway_of
    from maestro.cli.money_source import place_of
    from maestro.llm.errors import UnsettledError

    for name, value in (("--model", model), ("--route", route), ("--prompt", prompt), ("--max-usd", max_usd)):
        if value is not None and not value.strip():
            raise click.UsageError(f"{name} is empty: give it a value, or leave it out")
    if model is not None and route is not None:
        raise click.UsageError("--model and --route exclude each other")
    if text is not None and prompt is not None:
        raise click.UsageError("TEXT and --prompt exclude each other")
    if assignments and prompt is None:
        raise click.UsageError("--var is for --prompt")
    place = place_of(options, server_home)
    request = _request(place, text, prompt, assignments)
    changes: dict[str, Any] = {"target": model or route or ""}
    if max_usd is not None:
        changes["max_nano"] = _nano(max_usd)
    if max_tokens is not None:
        changes["max_output_tokens"] = max_tokens
    request = replace(request, **changes)
    if route is not None and route not in (routes := catalogue_of(place).routes):
        raise _no_route(route, [*routes])
    unsettled: list[Unsettled] = []
    opened: list[datetime] = []
    try:
        with gateway_of(place, unsettled.append, lambda: opened.append(datetime.now(UTC))) as gateway:
            if dry_run:
                return _show_decision(options, gateway.decide(request, place.attribution()), as_json)
            code = _answer(options, gateway, request, place, as_json)
    except BaseException:
        # Also where there is no answer, or Ctrl-C ended it, something may have been spent.
        if unsettled:
            for line in str(UnsettledError(unsettled)).splitlines():
                Terminal(options, sys.stderr).line(printable(line))
        raise
    finally:
        if opened and not dry_run:
            _audit(options, place, opened[0])
    if unsettled:
        raise UnsettledError(unsettled)
    return code


def _answer(options: GlobalOptions, gateway: Any, request: ModelRequest, place: MoneyPlace, as_json: bool) -> int:
    from maestro.llm.explain import headline

    terminal = Terminal(options)
    ended = True
    try:
        with gateway.stream(request, place.attribution()) as stream:
            decision = stream.decision
            for chunk in stream:
                if not as_json and chunk.text:
                    terminal.stream.write(_shown(chunk.text, terminal))
                    terminal.stream.flush()
                    ended = chunk.text.endswith("\n")
            answer = stream.answer
    except BaseException:
        if not ended:
            # What is told of it begins a line.
            terminal.line()
            terminal.stream.flush()
        raise
    if as_json:
        terminal.json({**_answer_json(answer), "why": headline(decision, answer.model, answer.attempts)})
        return 0
    if not ended:
        terminal.line()
    terminal.stream.flush()
    said = Terminal(options, sys.stderr)
    said.line(said.paint(_last_line(answer, decision), "dim"))
    return 0


def _audit(options: GlobalOptions, place: MoneyPlace, began: datetime) -> None:
    from maestro.cli.decision_audit import audit_asked

    problem = audit_asked(options, place, began)
    if problem is not None:
        Terminal(options, sys.stderr).line(printable(problem))


def _shown(text: str, terminal: Terminal) -> str:
    """On a terminal without what moves the cursor; a file gets what the model said."""
    if not terminal.stream.isatty():
        return text
    from maestro.llm.texts import harmless

    return harmless(text)


def _last_line(answer: Answer, decision: Decision) -> str:
    from maestro.ledger.model import Unit, shown
    from maestro.llm.explain import headline

    tokens = f"{answer.usage.input_tokens:,} + {answer.usage.output_tokens:,} tokens"
    about = "~" if answer.usage.estimated else ""
    cost = "cached, $0.00" if answer.cached else shown(Unit.USD, answer.cost_nano)
    why = headline(decision, answer.model, answer.attempts)
    return printable(f"{answer.model}: {about}{tokens}, {cost}, {seconds(answer.seconds)}; {answer.decision}: {why}")


def _answer_json(answer: Answer) -> dict[str, Any]:
    from maestro.ledger.model import dollars

    return {
        "text": answer.text,
        "model": answer.model,
        "provider": answer.provider,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "usd": f"{dollars(answer.cost_nano):.9f}",
        "seconds": round(answer.seconds, 3),
        "decision": answer.decision,
        "finish": answer.finish,
        "cached": answer.cached,
        "offline": answer.offline,
    }


def _show_decision(options: GlobalOptions, decision: Decision, as_json: bool) -> int:
    from maestro.cli.llm_why_table import show_decision

    terminal = Terminal(options)
    if as_json:
        from maestro.llm.decisions import Kept
        from maestro.llm.decisions_export import kept_json

        told = kept_json(Kept(decision, None))
        # It is kept nowhere, so its id would lead to nothing.
        terminal.json({name: value for name, value in told.items() if name != "id"})
    else:
        show_decision(terminal, decision, None, dry=True)
    return 0 if decision.chosen is not None else 1


def _request(place: MoneyPlace, text: str | None, prompt: str | None, assignments: tuple[str, ...]) -> ModelRequest:
    from maestro.cli.llm_source import check_argument, text_of
    from maestro.llm.model import Message, ModelRequest

    if prompt is not None:
        return _from_prompt(place, prompt, assignments)
    if text is None:
        if sys.stdin.isatty():
            raise click.UsageError("there is nothing to ask: give TEXT or --prompt")
        data = sys.stdin.buffer.read(_LONGEST_INPUT + 1)
        if len(data) > _LONGEST_INPUT:
            raise InputError(f"standard input is longer than {_LONGEST_INPUT:,} bytes", next_step="ask about less")
        text = text_of(data, what="standard input")
    check_argument(text, "TEXT")
    if not text.strip():
        raise InputError("there is nothing to ask: the text is empty", next_step="give TEXT or --prompt")
    return ModelRequest((Message("user", text),))


def _from_prompt(place: MoneyPlace, name: str, assignments: tuple[str, ...]) -> ModelRequest:
    from maestro.cli.llm_source import read_variables
    from maestro.llm.model import Message, ModelRequest, PromptRef
    from maestro.prompts.load import FOLDER, load_prompt
    from maestro.prompts.rendering import render

    folders = () if place.root is None else (place.root / FOLDER,)
    prompt = load_prompt(name, folders)
    rendered = render(prompt, read_variables(assignments))
    made = ModelRequest(
        tuple(Message(one["role"], one["content"]) for one in rendered.messages),  # type: ignore[arg-type]  # A prompt's roles are Role's.
        needs=frozenset(rendered.needs),
        personal=tuple(rendered.personal),
        prompt=PromptRef(rendered.name, rendered.version, rendered.digest, rendered.policy),
    )
    given: dict[str, Any] = {"max_output_tokens": rendered.max_output_tokens, "temperature": rendered.temperature}
    return replace(made, **{key: value for key, value in given.items() if value is not None})


def _nano(text: str) -> int:
    from maestro.cli.budget_words import whole
    from maestro.ledger.model import Unit

    return whole(Unit.USD, text, bounded=True)


def _no_route(name: str, known: list[str]) -> InputError:
    from maestro.cli.budget_words import nearest

    hint = nearest(name, known)
    return InputError(f"there is no route '{name}'", next_step=hint or f"use {', '.join(known)}")
