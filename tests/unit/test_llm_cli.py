"""``maestro llm``: asking offline, what is kept of it, overrides, tokens and drills; and what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maestro.cli.llm_ask import _shown
from maestro.cli.options import GlobalOptions
from maestro.cli.terminal import Terminal
from maestro.ledger.model import NANO, Scope, Unit
from maestro.ledger.store import Ledger
from maestro.llm.endpoint_tokens import TokenFile
from tests.unit.money_project import MoneyProject, money_project

TEXT = "A Merkle tree is a tree of hashes. Each leaf is the hash of a block. Cats sleep a lot."


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyProject:
    for name in ("MAESTRO_SERVER_HOME", "OPENAI_API_KEY", "NO_SUCH_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAESTRO_ACTOR", "ann")
    return money_project(tmp_path / "shop")


def ask(shop: MoneyProject, *more: str) -> str:
    """Asks the model that needs nothing; the decision's id."""
    said = shop.run("llm", "ask", TEXT, "--model", "plain", *more)
    assert said.code == 0, said.err
    found = re.search(r"dec_[0-9a-f]+", said.err)
    assert found
    return found[0]


def test_an_answer_ends_with_one_line_of_model_tokens_dollars_decision_and_why(shop: MoneyProject) -> None:
    said = shop.run("llm", "ask", TEXT, "--model", "plain")
    assert said.out.startswith("[offline]")
    (line,) = said.err.splitlines()
    assert re.fullmatch(
        r"plain: ~?\d+ \+ \d+ tokens, \$0\.00, [\d.]+ s; dec_[0-9a-f]+: plain was asked for by name, .*", line
    )


def test_an_answer_as_json_is_one_object(shop: MoneyProject) -> None:
    answer = shop.run("llm", "ask", TEXT, "--model", "plain", "--json").json
    assert (answer["model"], answer["offline"], answer["usd"]) == ("plain", True, "0.000000000")
    assert answer["text"].startswith("[offline]")


def test_why_answers_with_a_sentence_and_every_candidate_within_80_columns(shop: MoneyProject) -> None:
    said = shop.run("llm", "ask", TEXT, "--route", "local-only")
    assert said.code == 0, said.err
    shown = shop.run("llm", "why", "last")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "answered" in lines[0]
    assert lines[2].startswith("No model of 'local-only' can be used (grand: there is no key for it")
    table = shown.out.replace("\n", " ")
    assert re.search(r"plain\s+chosen", table)
    assert re.search(r"grand\s+no key\s+there is no key for it: NO_SUCH_KEY is not set", table)


def test_why_finds_a_decision_by_how_its_id_begins(shop: MoneyProject) -> None:
    id = ask(shop)
    assert shop.run("llm", "why", id[:20], "--json").json["id"] == id


@pytest.mark.parametrize("id", ["dec_nothing", "", "é", "%"])
def test_why_of_what_was_never_decided_says_where_to_look(shop: MoneyProject, id: str) -> None:
    assert "no model was asked here yet" in shop.run("llm", "why", id).err
    ask(shop)
    said = shop.run("llm", "why", id)
    assert said.code == 2
    assert "maestro llm decisions" in said.err


def test_a_dry_run_asks_and_keeps_nothing(shop: MoneyProject) -> None:
    said = shop.run("llm", "ask", TEXT, "--model", "plain", "--dry-run")
    assert said.code == 0
    assert "nothing was asked, and nothing spent" in said.out
    # An id would lead to nothing.
    assert "dec_" not in said.out
    as_json = shop.run("llm", "ask", TEXT, "--model", "plain", "--dry-run", "--json")
    assert as_json.json["chosen"] == "plain" and "dec_" not in as_json.out
    assert shop.run("llm", "decisions").out == "no model was asked\n"


def test_a_prompt_is_asked_with_its_variables(shop: MoneyProject, tmp_path: Path) -> None:
    folder = shop.root / "prompts"
    folder.mkdir()
    (folder / "greet.yaml").write_text(
        "name: greet\nversion: '1'\ndescription: Greets.\nvariables:\n  type: object\n  properties:\n"
        "    who: {type: string}\n  required: [who]\nmessages:\n  - {role: user, content: 'Say hello to {{ who }}.'}\n",
        encoding="utf-8",
    )
    file = tmp_path / "who.txt"
    file.write_text("the world")
    said = shop.run("llm", "ask", "--prompt", "greet", "--var", f"who=@{file}", "--model", "plain", "--json")
    assert said.code == 0, said.err
    assert "hello to the world" in said.json["text"]
    kept = shop.run("llm", "why", "last", "--json").json
    assert kept["prompt"]["name"] == "greet"
    missing = shop.run("llm", "ask", "--prompt", "greet", "--model", "plain")
    assert (missing.code, "who" in missing.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["x", "--model", "plane"], "plain"),
        (["x", "--route", "local"], "did you mean 'local-only'"),
        (["x", "--model", "plain", "--route", "local-only"], "exclude each other"),
        (["x", "--prompt", "y"], "exclude each other"),
        (["x", "--var", "a=b"], "--var is for --prompt"),
        ([" "], "the text is empty"),
        (["--prompt", "code_revue"], "code_review"),
        (["x", "--max-usd", "much"], "no amount of usd"),
    ],
)
def test_what_cannot_be_asked_is_told_without_a_traceback(shop: MoneyProject, arguments: list[str], what: str) -> None:
    said = shop.run("llm", "ask", *arguments)
    assert said.code == 2
    assert what in said.err
    assert "Traceback" not in said.err and "defect" not in said.err


@pytest.mark.parametrize("most", ["abc", "99999999999999"])
def test_what_is_advised_for_the_most_it_may_cost_is_taken(shop: MoneyProject, most: str) -> None:
    said = shop.run("llm", "ask", "x", "--max-usd", most)
    assert said.code == 2
    assert "unlimited" not in said.err and "default" not in said.err


@pytest.mark.parametrize("option", ["--model", "--route", "--prompt", "--max-usd"])
def test_an_empty_value_is_no_wish_for_the_default(shop: MoneyProject, option: str) -> None:
    said = shop.run("llm", "ask", TEXT, option, "")
    assert (said.code, said.out) == (2, "")
    assert f"{option} is empty" in said.err
    assert not (shop.home / "ledger.db").exists()


def test_what_is_not_utf8_is_refused_with_its_place_before_anything_is_reserved(
    shop: MoneyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "small.bin"
    file.write_bytes(b"ab\xff\xfe")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"abc\xff"), encoding="utf-8"))
    for arguments, told in (
        (["--prompt", "code_review", "--var", f"diff=@{file}"], f"{file}: not UTF-8 at byte 2"),
        (["--prompt", "code_review", "--var", "diff=a\udcff"], "the argument --var diff is not UTF-8 at byte 1"),
        (["a\udcff"], "the argument TEXT is not UTF-8 at byte 1"),
        ([], "standard input is not UTF-8 at byte 3"),
    ):
        said = shop.run("llm", "ask", *arguments)
        assert (said.code, told in said.err) == (2, True), said.err
    assert not (shop.home / "ledger.db").exists()


def test_a_terminal_gets_no_codes_of_an_answer_and_a_file_gets_all(shop: MoneyProject) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown(stream: io.StringIO) -> str:
        return _shown("\x1b]0;owned\x07a\x1b[2Jb\0c\n", Terminal(GlobalOptions(), stream))

    assert shown(Screen()) == "ab c\n"
    assert shown(io.StringIO()) == "\x1b]0;owned\x07a\x1b[2Jb\0c\n"


def test_decisions_are_listed_and_exported_without_any_text(shop: MoneyProject, tmp_path: Path) -> None:
    id = ask(shop)
    assert id in shop.run("llm", "decisions").out
    assert shop.run("llm", "decisions", "--state", "failed").out == "no such call\n"
    assert [one["id"] for one in shop.run("llm", "decisions", "--model", "plain", "--json").json["decisions"]] == [id]
    (line,) = shop.run("llm", "export").out.splitlines()
    assert json.loads(line)["outcome"]["state"] == "answered"
    assert "Merkle" not in line
    file = tmp_path / "decisions.csv"
    assert shop.run("llm", "export", "--format", "csv", "--output", str(file)).code == 0
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert (row["decision"], row["model"]) == (id, "plain")


def test_a_value_that_is_too_short_to_be_a_key_is_told_as_such_and_not_shown(
    shop: MoneyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_SUCH_KEY", "x7#")
    assert shop.run("llm", "models", "grand").out.splitlines()[1].split()[-2:] == ["unusable:", "env:NO_SUCH_KEY"]
    said = [
        shop.run("llm", "drill", "--down", "offline").out,
        shop.run("llm", "ask", TEXT, "--route", "local-only").err,
        shop.run("llm", "ask", TEXT, "--model", "grand", "--dry-run").out,
        shop.run("llm", "health").out,
    ]
    for one in said:
        assert "NO_SUCH_KEY is too short: it has fewer than 4 characters" in " ".join(one.split())
        assert "NO_SUCH_KEY is not set" not in one
        assert "x7#" not in one


def test_models_are_listed_with_prices_and_whether_there_is_a_key(shop: MoneyProject) -> None:
    said = shop.run("llm", "models", "local-only")
    lines = said.out.splitlines()
    assert lines[1].split() == ["grand", "openai", "us", "0.90", "-", "10", "30", "missing:", "env:NO_SUCH_KEY"]
    assert lines[2].split()[-4:] == ["free", "free", "none", "needed"]
    found = shop.run("llm", "models", "grand", "--json").json["models"]
    assert found[0]["price"]["usd_per_million"][0]["input"] == "10"
    assert "grand" in shop.run("llm", "models", "grant").err


def test_a_catalogue_that_is_wrong_is_told_with_its_place(shop: MoneyProject) -> None:
    (shop.root / "models.yaml").write_text("models:\n  a: {provider: nobody}\n", encoding="utf-8")
    said = shop.run("llm", "models")
    assert said.code == 2
    assert "models.yaml:2" in said.err


def test_an_override_sends_a_target_elsewhere_and_is_audited_and_ends(shop: MoneyProject) -> None:
    said = shop.run("llm", "override", "add", "local-only", "plain", "--expires", "7d", "--reason", "grand is slow")
    assert said.code == 0, said.err
    id = said.out.partition(":")[0]
    assert "'local-only' of project:local/shop goes to plain until" in said.out
    assert id in shop.run("llm", "override", "list").out
    assert shop.run("llm", "override", "revoke", id, "--reason", "repaired").out == f"{id} does not count any more\n"
    assert shop.run("llm", "override", "list").out == "no override is in force\n"
    (found,) = shop.run("llm", "override", "list", "--all", "--json").json["overrides"]
    assert (found["state"], found["reason"]) == ("revoked", "grand is slow")
    kinds = [(one["kind"], one["actor"]) for one in shop.audited()]
    assert kinds == [("llm.override.added", "ann"), ("llm.override.revoked", "ann")]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["local-only", "plane", "--expires", "7d", "--reason", "r"], "plain"),
        (["locally", "plain", "--expires", "7d", "--reason", "r"], "local-only"),
        (["local-only", "plain", "--expires", "7d", "--reason", " "], "reason"),
        (["local-only", "plain", "--expires", "soon", "--reason", "r"], "--expires 'soon' is no time"),
        (["local-only", "plain", "--expires", "2020-01-01", "--reason", "r"], "over already"),
        (["local-only", "plain", "--expires", "900d", "--reason", "r"], "90 days"),
        (["local-only", "plain", "--expires", "7d", "--reason", "r", "--scope", "team:x"], "no kind of scope"),
        (["local-only", "plain", "--expires", "7d"], "missing option '--reason'"),
    ],
)
def test_an_override_that_cannot_be_is_refused(shop: MoneyProject, arguments: list[str], what: str) -> None:
    said = shop.run("llm", "override", "add", *arguments)
    assert said.code == 2
    assert what in said.err
    assert shop.run("llm", "override", "list").out == "no override is in force\n"


def test_an_override_that_nobody_knows_is_answered_with_the_nearest(shop: MoneyProject) -> None:
    said = shop.run("llm", "override", "add", "local-only", "plain", "--expires", "7d", "--reason", "r", "--json")
    id = said.json["id"]
    wrong = shop.run("llm", "override", "revoke", id[:-1] + "x", "--reason", "r")
    assert f"did you mean '{id}'?" in wrong.err


def test_a_look_says_where_a_key_could_not_be_tried(shop: MoneyProject, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop.root / "models.yaml").write_text(
        "providers: {far: {kind: litellm, litellm: mistral, key: 'env:SOME_KEY'}}\n"
        "models: {mine: {provider: far, price: free}}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("SOME_KEY", "a-key-of-the-tests")
    [line] = [line for line in shop.run("llm", "health").out.splitlines() if line.startswith("mine ")]
    assert line.split()[1] == "ok"
    assert "its key is there" in line


def test_what_a_look_found_down_is_skipped_by_the_next_command_and_why_says_so(shop: MoneyProject) -> None:
    (shop.root / "models.yaml").write_text(
        "providers: {vllm: {kind: openai, api_base: 'http://127.0.0.1:9/v1'}}\n"
        "models: {mine: {provider: vllm, price: free}}\n",
        encoding="utf-8",
    )
    assert "nothing speaks against it" in shop.run("llm", "ask", TEXT, "--model", "mine", "--dry-run").out
    found = shop.run("llm", "health", "--json").json["models"]["mine"]
    assert (found["ready"], found["why"]) == (False, "vllm at 127.0.0.1:9 does not answer (ConnectError)")
    said = shop.run("llm", "ask", TEXT, "--model", "mine")
    assert said.code != 0
    why = " ".join(shop.run("llm", "why", "last").out.split())
    assert "unhealthy" in why
    assert "vllm at 127.0.0.1:9 does not answer (ConnectError); a look found that" in why


def test_a_drill_shows_where_requests_would_have_gone(shop: MoneyProject) -> None:
    assert shop.run("llm", "ask", TEXT, "--route", "local-only").code == 0
    said = shop.run("llm", "drill", "--down", "plain")
    assert said.code == 1
    assert re.search(r"local-only\s+1 of 1\s+plain\s+nowhere", said.out)
    assert "0 requests would have gone elsewhere; without any answer: 1 request" in said.out
    assert shop.run("llm", "drill", "--down", "openai").code == 0
    found = shop.run("llm", "drill", "--down", "plain", "--json").json
    assert (found["failed"], found["routes"][0]["route"]) == (1, "local-only")


def test_a_drill_asks_whether_ollama_runs(shop: MoneyProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    routes = {one["route"]: one for one in shop.run("llm", "drill", "--down", "openai", "--json").json["routes"]}
    assert "not running" in routes["default"]["why"]
    assert "the offline provider answers" in routes["default"]["why"]


def test_a_drill_of_nothing_known_is_answered_with_the_nearest(shop: MoneyProject) -> None:
    said = shop.run("llm", "drill", "--down", "opanai")
    assert said.code == 2
    assert "nearest: provider openai" in said.err


def test_a_token_is_shown_once_and_only_its_digest_is_kept(shop: MoneyProject) -> None:
    said = shop.run("llm", "tokens", "add", "editor", "--budget", "usd=5", "--pull-request", "7")
    written = said.out.strip()
    assert re.fullmatch(r"maestro-[0-9a-f]{12}-[\w-]{43}", written)
    kept = (shop.home / "llm-tokens").read_text()
    assert written not in kept and written.rpartition("-")[2] not in kept
    assert (shop.home / "llm-tokens").stat().st_mode & 0o077 == 0
    token = TokenFile(shop.home / "llm-tokens").find(written, datetime.now(UTC))
    assert token is not None
    assert (token.tenant, token.project, token.pull_request) == ("local", "shop", 7)
    with shop.ledger() as ledger:
        assert ledger.balance(Scope("run", f"token-{token.id}"), Unit.USD).limit == 5_000_000_000
    listed = shop.run("llm", "tokens", "list")
    assert "editor" in listed.out and "local/shop#7" in listed.out and "active" in listed.out
    audited = shop.audited()
    assert [one["kind"] for one in audited] == ["llm.token.added"]
    assert written not in json.dumps(audited) and token.sha256 not in json.dumps(audited)


def test_the_budget_of_a_token_is_shown_set_and_lifted_before_it_is_first_used(shop: MoneyProject) -> None:
    token = shop.run("llm", "tokens", "add", "ci", "--budget", "usd=5", "--json").json
    shown_and_changed(shop, f"run:token-{token['id']}")


def test_on_a_server_too(shop: MoneyProject, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with Ledger.open(f"sqlite:///{tmp_path / 'server' / 'ledger.db'}") as ledger:
        ledger.set_limit(Scope("run", "token-0123456789ab"), Unit.USD, 5 * NANO, actor="ann", reason="x")
    shown_and_changed(shop, "run:token-0123456789ab", "--server-home", str(tmp_path / "server"))


def shown_and_changed(shop: MoneyProject, scope: str, *where: str) -> None:
    shown = shop.run("budget", "show", scope, "--json", *where)
    assert shown.code == 0, shown.err
    assert [one["limit"] for one in shown.json["balances"]] == ["5.000000000"]
    changed = shop.run("budget", "set", scope, "usd=7", "--reason", "more", *where)
    assert changed.out.startswith(f"{scope}: usd $7.00"), changed.err
    assert shop.run("budget", "set", scope, "usd=default", "--reason", "enough", *where).code == 0


def test_an_override_may_be_of_a_token_that_was_not_used_yet(shop: MoneyProject) -> None:
    token = shop.run("llm", "tokens", "add", "ci", "--json").json
    said = shop.run(
        *("llm", "override", "add", "local-only", "plain", "--expires", "7d", "--reason", "trial"),
        *("--scope", f"run:token-{token['id']}"),
    )
    assert said.code == 0, said.err


def test_a_revoked_token_does_not_count(shop: MoneyProject) -> None:
    written = shop.run("llm", "tokens", "add", "editor", "--json").json["token"]
    assert shop.run("llm", "tokens", "revoke", "editor", "--reason", "lost").code == 0
    assert TokenFile(shop.home / "llm-tokens").find(written, datetime.now(UTC)) is None
    assert "was revoked before" in shop.run("llm", "tokens", "revoke", "editor", "--reason", "lost").out
    assert "did you mean 'editor'?" in shop.run("llm", "tokens", "revoke", "edtor", "--reason", "lost").err
    assert [one["state"] for one in shop.run("llm", "tokens", "list", "--json").json["tokens"]] == ["revoked"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["a b"], "cannot be the name of a token"),
        (["=cmd"], "cannot be the name of a token"),
        (["t", "--budget", "usd=unlimited"], "is no amount"),
        (["t", "--expires", "yesterday"], "is no time"),
        (["t", "--tenant", "a/b"], "'/'"),
        (["t", "--for", "acme/other"], "--for 'acme/other': this project is 'shop'"),
        (["t", "--for", "acme/other"], "next: tokens of other projects are a server's: name it with --server-home DIR"),
    ],
)
def test_a_token_that_cannot_be_is_refused(shop: MoneyProject, arguments: list[str], what: str) -> None:
    said = shop.run("llm", "tokens", "add", *arguments)
    assert said.code == 2
    assert what in said.err
    assert not (shop.home / "llm-tokens").exists()


def test_two_tokens_of_one_name_do_not_count_at_once(shop: MoneyProject) -> None:
    shop.run("llm", "tokens", "add", "editor")
    assert "there is a token 'editor' already" in shop.run("llm", "tokens", "add", "editor").err
    shop.run("llm", "tokens", "revoke", "editor", "--reason", "r")
    assert shop.run("llm", "tokens", "add", "editor").code == 0


def test_a_damaged_file_of_tokens_lets_nobody_in_and_is_told(shop: MoneyProject) -> None:
    shop.run("llm", "tokens", "add", "editor")
    (shop.home / "llm-tokens").write_text("{")
    said = shop.run("llm", "tokens", "list")
    assert said.code == 2
    assert "the file of tokens cannot be used" in said.err


def test_an_expired_token_is_listed_as_such(shop: MoneyProject) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    shop.run("llm", "tokens", "add", "editor", "--expires", soon)
    (token,) = TokenFile(shop.home / "llm-tokens").all()
    assert token.state(datetime.now(UTC) + timedelta(seconds=6)) == "expired"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.test"])
def test_the_endpoint_of_one_machine_is_not_put_on_the_network(shop: MoneyProject, host: str) -> None:
    said = shop.run("llm", "serve", "--host", host)
    assert said.code == 2
    assert "no address of this machine alone" in said.err


def test_an_endpoint_nobody_could_use_is_not_started(shop: MoneyProject) -> None:
    said = shop.run("llm", "serve")
    assert said.code == 2
    assert "maestro llm tokens add" in said.err
