"""The catalogue: what models.yaml may say, what is wrong with one, and what Maestro knows by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # its stubs are no dependency of ours

from maestro.errors import InputError
from maestro.ledger.model import NANO
from maestro.llm.catalogue import BUILTIN, Catalogue, load_catalogue
from maestro.llm.catalogue_problems import CatalogueErrors
from maestro.llm.catalogue_reading import parse
from maestro.llm.catalogue_schema import catalogue_schema, text
from maestro.llm.model import ModelRequest
from maestro.llm.policy_gate import gate_for
from maestro.llm.prices import FREE, Prices, bundled_map
from maestro.notation.yaml_reader import MAX_BYTES
from tests.unit.llm_world import WHO, written

ROOT = Path(__file__).parents[2]
KNOWN = "(the models Maestro knows)"
WORD = "a name begins with a letter, and has at most 64 of: letters a-z, digits, _ -"
OWN = """\
providers:
  gpu: {kind: openai, api_base: 'http://gpu1:8000/v1', key: 'file:/run/keys/gpu', region: local, concurrency: 16}
models:
  coder: {provider: gpu, wire_model: org/coder, capabilities: [code], context: 32000, price: {input: 0.2, output: 0.8}}
routes:
  mine: {candidates: [coder, gpt-4o-mini], objective: cost, max_usd: 0.4}
"""


def load(folder: Path, text_: str, **settings_: Any) -> Catalogue:
    return load_catalogue([written(folder, text_)], **settings_)


def problems(folder: Path, text_: str, **settings_: Any) -> list[str]:
    """What is wrong, without the name of the file."""
    with pytest.raises(CatalogueErrors) as raised:
        load(folder, text_, **settings_)
    return [str(one).removeprefix(f"{folder / 'models.yaml'}:") for one in raised.value.problems]


# What is taken


def test_a_file_adds_to_what_maestro_knows(tmp_path: Path) -> None:
    known = load(tmp_path, OWN)
    coder = known.models["coder"]
    assert (coder.kind, coder.wire_model, coder.local, coder.concurrency) == ("openai", "org/coder", True, 16)
    assert coder.key == "file:/run/keys/gpu"
    assert known.routes["mine"].candidates == ("coder", "gpt-4o-mini")
    assert known.routes["mine"].max_nano == NANO * 4 // 10
    assert known.default_route == "default"


def test_a_price_of_ones_own_is_in_dollars_per_million_tokens(tmp_path: Path) -> None:
    price = load(tmp_path, OWN).models["coder"].price
    assert price is not None
    assert (price.rates[0].input, price.rates[0].output, price.rates[0].cached) == (
        2 * NANO // 10,
        8 * NANO // 10,
        2 * NANO // 10,
    )
    assert price.source == "models.yaml"


def test_an_entry_changes_only_the_fields_it_names(tmp_path: Path) -> None:
    before = load_catalogue()
    known = load(tmp_path, "models: {gpt-4o-mini: {quality: 0.1}}")
    changed = known.models["gpt-4o-mini"]
    assert changed.quality == 0.1
    assert changed.context == before.models["gpt-4o-mini"].context
    assert known.models["gpt-4o"] == before.models["gpt-4o"]


def test_at_another_provider_nothing_that_was_known_of_a_model_holds(tmp_path: Path) -> None:
    text_ = "providers: {mine: {kind: openai, api_base: 'http://h/v1'}}\nmodels: {gpt-4o-mini: {provider: mine}}"
    moved = load(tmp_path, text_).models["gpt-4o-mini"]
    assert (moved.context, moved.price, moved.region, moved.key) == (None, None, "unknown", None)


def test_a_route_may_name_any_model_that_fits(tmp_path: Path) -> None:
    known = load(tmp_path, "routes: {eyes: {any: {capabilities: [vision], regions: [eu], min_quality: 0.7}}}")
    assert known.routes["eyes"].candidates == ("mistral-large-latest",)


def test_what_a_downshift_names_is_a_candidate(tmp_path: Path) -> None:
    known = load(tmp_path, "routes: {r: {candidates: [gpt-4o], downshift: [gpt-4o-mini]}}")
    assert known.routes["r"].candidates == ("gpt-4o", "gpt-4o-mini")


def test_a_missing_file_is_no_mistake(tmp_path: Path) -> None:
    assert load_catalogue([tmp_path / "models.yaml"]).digest == load_catalogue().digest


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "# nothing yet\n").digest == load_catalogue().digest


def test_the_digest_follows_everything_that_counts_and_prices_too(tmp_path: Path) -> None:
    plain = load_catalogue()
    assert load_catalogue().digest == plain.digest
    assert load(tmp_path, "models: {gpt-4o: {quality: 0.71}}").digest != plain.digest
    assert load_catalogue(prices=Prices(tmp_path / "none.json")).digest != plain.digest


def test_without_litellm_only_free_and_fixed_prices_are_known(tmp_path: Path) -> None:
    known = load(tmp_path, OWN, prices=Prices(written(tmp_path, "{}", "prices.json")))
    assert known.models["gpt-4o-mini"].price is None
    assert known.models["offline"].price == FREE
    assert known.models["qwen3:8b"].price == FREE
    assert known.models["coder"].price is not None


def test_the_policy_is_asked_when_a_file_has_settings_for_it(tmp_path: Path) -> None:
    assert load_catalogue().policy is None
    assert gate_for(load_catalogue()) is None
    known = load(tmp_path, "policy: {regions: [eu], max_usd: 0.5}")
    assert known.policy == {"regions": ["eu"], "max_usd": 0.5}
    gate = gate_for(known)
    assert gate is not None
    assert not gate.verdict(known.models["gpt-4o"], ModelRequest(()), WHO, 1).allow
    assert gate.verdict(known.models["mistral-small-latest"], ModelRequest(()), WHO, 1).allow
    assert gate_for(load(tmp_path, "policy: {}")) is not None


def test_the_files_the_document_shows_are_taken(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```yaml\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    assert len(shown) == 3
    for content in shown:
        load(tmp_path, content)
    route = load(tmp_path, shown[0]).routes["review"]
    assert route.candidates == ("coder", "mistral-large-latest", "gpt-5.4-mini", "gpt-4o-mini")


# What Maestro knows


def test_every_model_maestro_knows_is_in_litellms_map_and_not_about_to_end() -> None:
    if bundled_map() is None:
        pytest.skip("litellm is not installed")
    for one in load_catalogue().models.values():
        if one.kind in ("offline", "ollama"):
            assert one.price == FREE
            continue
        assert one.price is not None, one.name
        facts = Prices().facts(one.wire_model, provider=one.litellm or "")
        assert facts is not None
        assert one.context == facts["max_input_tokens"], one.name
        assert one.max_output == facts["max_output_tokens"], one.name
        assert facts.get("deprecation_date", "9999") > "2027", one.name


def test_nothing_maestro_knows_needs_what_a_file_may_not_have() -> None:
    assert load_catalogue().last_resort == "offline"
    assert BUILTIN.stat().st_size < MAX_BYTES


# What is wrong


def test_every_mistake_is_told_at_once_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    text_ = """\
providers:
  one: {kind: opnai}
models:
  mine: {provider: ollma, qualty: 1}
  other: {provider: ollma}
  gpt-4o: {quality: 7, context: many, price: freee}
routes:
  a: {candidates: [gpt-4o-mni], objective: cheapest}
  b: {candidates: [gpt-4o-mni]}
  c: {candidates: [gpt-4o], rules: [{when: {input_token_over: 5}}]}
default_rote: a
default_route: chaep
"""
    assert problems(tmp_path, text_) == [
        "2:15: 'kind' must be offline or openai or ollama or litellm, not 'opnai'; did you mean 'openai'?",
        "4:20: there is no provider 'ollma'; did you mean 'ollama'?",
        "4:27: unknown key 'qualty' in model mine; did you mean 'quality'?; known: provider, wire_model, capabilities, "
        "context, max_output, region, quality, price, price_as, weight, key, api_base, tags, timeout, concurrency",
        "5:21: there is no provider 'ollma'; did you mean 'ollama'?",
        "6:21: 'quality' must be at most 1.0, not 7",
        "6:33: 'context' must be a whole number, not 'many'",
        "6:46: 'price' must be litellm or free, not 'freee'; did you mean 'free'?",
        "8:20: there is no model 'gpt-4o-mni'; did you mean 'gpt-4o-mini'?",
        "8:44: 'objective' must be cost or latency or quality or pinned, not 'cheapest'",
        "9:20: there is no model 'gpt-4o-mni'; did you mean 'gpt-4o-mini'?",
        "10:45: unknown key 'input_token_over' in route c ('rules', entry 1, 'when'); did you mean "
        "'input_tokens_over'?; known: input_tokens_over, input_tokens_under, needs, tenants, projects, prompts, "
        "branches, personal, pull_request",
        "11:1: unknown key 'default_rote' in the file; did you mean 'default_route'?; known: providers, models, routes, "
        "restrict, policy, default_route, last_resort, allow_unknown_price",
        "12:16: there is no route 'chaep'; did you mean 'cheap'?",
    ]


@pytest.mark.parametrize(
    ("text_", "message"),
    [
        ("providers: {a: {kind: openai}}", "provider 'a' of kind openai needs an 'api_base'"),
        ("providers: {a: {kind: litellm}}", "provider 'a' of kind litellm needs 'litellm', its name of the provider"),
        ("providers: {a: {region: eu}}", "provider 'a' needs a 'kind': offline, openai, ollama or litellm"),
        ("models: {m: {quality: 1}}", "model 'm' needs a 'provider'"),
        ("models: {m: {provider: ollama, price: {input: 1}}}", "model m ('price') needs 'output'"),
        ("models: {m: 3}", "'m' must be a mapping, not 3"),
        (
            "models: {'a b': {provider: ollama}}",
            "'a b' is no usable name: a name begins with a letter or digit, and has at most 128 of: letters a-z and A-Z, "
            "digits, . _ : / @ + -",
        ),
        ("models: {m: {provider: ollama, quality: .nan}}", "'.nan' is not a finite number"),
        ("models: {m: {provider: ollama, context: 1e999}}", "'1e999' is too large a number"),
        ("routes: {r: {}}", "route 'r' needs 'candidates' or 'any'"),
        ("routes: {r: {candidates: [gpt-4o], any: {}}}", "route 'r' has both 'candidates' and 'any'"),
        ("routes: {r: {any: {capabilities: [flying]}}}", "no model of the catalogue is what route 'r' asks for"),
        ("routes: {r: {candidates: []}}", "'candidates' must have at least 1 entries"),
        ("routes: {GPT: {candidates: [offline]}}", f"'GPT' is no usable name: {WORD}"),
        ("models: {моде́ль: {provider: ollama}}", "letters a-z and A-Z, digits, . _ : / @ + -"),
        ("routes: {offline: {candidates: [offline]}}", f"'offline' is a model {KNOWN}; a route needs another name"),
        ("models: {cheap: {provider: ollama}}", f"'cheap' is a route {KNOWN}; a model needs another name"),
        (
            "models: {a: {provider: ollama}}\nroutes: {a: {candidates: [offline]}}",
            "'a' is a model; a route needs another name",
        ),
        (
            "routes: {r: {candidates: [cheap]}}",
            "'cheap' is a route, and only models can stand here; name the models of that route",
        ),
        (
            "last_resort: cheap",
            "'cheap' is a route, and only models can stand here; name the models of that route",
        ),
        ("restrict: {deny: [gtp-4o]}", "there is no model 'gtp-4o'; did you mean 'gpt-4o'?"),
        ("last_resort: ofline", "there is no model 'ofline'; did you mean 'offline'?"),
        ("models: [1]", "'models' must be a mapping, not a list"),
        ("- 1", "the file holds a list; a catalogue is a mapping"),
        ("models: {a: {}, a: {}}", "the key 'a' is given twice; first at line 1, column 10"),
        ("a: *x", "the alias '*x' has no anchor before it"),
        (
            "a: !!python/object:os.system x",
            "the tag '!!python/object:os.system' is not allowed; a catalogue file holds plain values only",
        ),
        ("a: 1\n---\nb: 2", "the file has a second document ('---'); one catalogue is one document"),
        ("a: [1", "not YAML: did not find expected ',' or ']' while parsing a flow sequence"),
        ("a: \x01", "the control character U+0001 is not allowed in a catalogue file"),
        ("[" * 60, "nested deeper than 50 levels"),
        ("[1]: 2", "a key must be text"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(tmp_path: Path, text_: str, message: str) -> None:
    [told] = problems(tmp_path, text_)
    assert told.splitlines()[0].endswith(message)
    assert told.split(":")[0].isdigit()


def test_a_mistake_in_an_entry_does_not_hide_what_else_it_names_wrongly(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        """models:
  default: {provider: opnai, quality: 7}
routes:
  r:
    objective: cheapest
    candidates: [gpt-4o-mni]
    rules: [{when: {personal: true}, deny: [best]}]
""",
    )
    assert told == [
        "2:3: 'default' is a route (the models Maestro knows); a model needs another name",
        "2:23: there is no provider 'opnai'; did you mean 'openai'?",
        "2:39: 'quality' must be at most 1.0, not 7",
        "5:16: 'objective' must be cost or latency or quality or pinned, not 'cheapest'",
        "6:18: there is no model 'gpt-4o-mni'; did you mean 'gpt-4o-mini'?",
        "7:45: 'best' is a route, and only models can stand here; name the models of that route",
    ]


def test_a_file_that_is_nothing_but_a_key_is_not_repeated(tmp_path: Path) -> None:
    assert problems(tmp_path, "sk-live-0123456789abcdef\n")[0].startswith("1:1: the file holds a text; a catalogue is")


@pytest.mark.parametrize(
    "field", ["key: sk-verysecret1234", "api_base: 'http://me:sk-verysecret1234@h'", "api_key: sk-verysecret1234"]
)
def test_a_secret_in_the_wrong_place_is_never_repeated(tmp_path: Path, field: str) -> None:
    told = "\n".join(problems(tmp_path, f"models:\n  gpt-4o:\n    {field}\n"))
    assert told.startswith("3:")
    assert "verysecret" not in told


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, f"# {'x' * MAX_BYTES}") == [
        " the file has 1.0 MiB; a catalogue file may have at most 1 MiB"
    ]
    path = tmp_path / "models.yaml"
    path.write_bytes(b"models: {}\n\xff")
    with pytest.raises(CatalogueErrors, match="the file is not UTF-8: byte 0xff") as raised:
        load_catalogue([path])
    assert "models.yaml:2:1: the file is not UTF-8" in str(raised.value)


def test_a_small_file_that_stands_for_a_large_one_is_refused(tmp_path: Path) -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(8)]
    told = problems(tmp_path, "\n".join(lines))
    assert "the aliases of this file stand for more than 20,000 values" in told[-1]


def test_a_section_whose_entries_are_commented_out_says_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "models:\n#  mine: {}\nroutes:\n").digest == load_catalogue().digest


def test_a_folder_in_place_of_the_file_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the catalogue of models cannot be read"):
        load_catalogue([tmp_path])


def test_without_a_default_route_nothing_can_be_asked(tmp_path: Path) -> None:
    with pytest.raises(CatalogueErrors, match="there is no 'default_route'"):
        load(tmp_path, "models: {}", builtin=False)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_lead_to_anything_but_a_problem_with_a_place(content: bytes) -> None:
    try:
        parse(content, file="f")
    except CatalogueErrors as error:
        assert all(one.location.file == "f" for one in error.problems)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**12)
    | st.floats(-2, 2)
    | st.sampled_from(["a", "free", "gpt-4o", "env:A"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "provider", "price", "any", "rules", "when", "candidates", "x"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["providers", "models", "routes", "restrict", "default_route"]), _VALUES))
def test_no_content_of_the_wrong_shape_leads_to_anything_but_problems(tmp_path_factory: Any, content: Any) -> None:
    path = written(tmp_path_factory.mktemp("x"), yaml.safe_dump(content))
    try:
        load_catalogue([path])
    except CatalogueErrors as error:
        assert all(one.location.line > 0 for one in error.problems)


# On a server


def test_on_a_server_a_project_adds_routes_and_restricts(tmp_path: Path) -> None:
    server = written(tmp_path, OWN, "server.yaml")
    project = "routes: {ours: {candidates: [coder]}}\ndefault_route: ours\nrestrict: {regions: [local], max_usd: 0.1}\n"
    known = load(tmp_path, project, server=server)
    assert known.default_route == "ours"
    assert "coder" in known.models
    [restriction] = known.restrictions
    assert (restriction.regions, restriction.max_nano) == (frozenset({"local"}), NANO // 10)


def test_on_a_server_a_project_may_weigh_its_models_and_no_more(tmp_path: Path) -> None:
    server = written(tmp_path, OWN, "server.yaml")
    name = next(iter(load(tmp_path, "", server=server).models))
    known = load(tmp_path, f"models: {{'{name}': {{weight: 0.4}}}}", server=server)
    assert known.models[name].weight == 0.4
    (told,) = problems(tmp_path, f"models: {{'{name}': {{weight: 0.4, quality: 1}}}}", server=server)
    assert f"model '{name}' stands in the project's file" in told


def test_on_a_server_a_project_says_nothing_of_prices_endpoints_and_keys(tmp_path: Path) -> None:
    server = written(tmp_path, OWN, "server.yaml")
    project = """\
providers: {openai: {api_base: 'http://evil/v1'}}
models: {gpt-4o: {price: free}}
routes:
  mine: {candidates: [gpt-4o]}
  new: {candidates: [gpt-4o], allow_unknown_price: true}
last_resort: gpt-4o
allow_unknown_price: true
policy: {}
"""
    told = [one.split(": ", 1)[-1] for one in problems(tmp_path, project, server=server)]
    tail = "stands in the project's file, but on this server a project may only add routes, restrict, and weigh models; prices, "
    assert told == [
        f"provider 'openai' {tail}endpoints and keys are the server's",
        f"model 'gpt-4o' {tail}endpoints and keys are the server's",
        "route 'mine' is the server's; give yours another name",
        "whether a model of unknown price is used is the server's to say, not the project's",
        "'last_resort' is the server's to say, not the project's",
        "'allow_unknown_price' is the server's to say, not the project's",
        "'policy' is the server's to say, not the project's",
    ]


# For editors


def test_the_checked_in_schema_is_fresh() -> None:
    checked_in = (ROOT / "editors" / "models.schema.json").read_text(encoding="utf-8")
    assert checked_in == text(), "run: python -m maestro.llm.catalogue_schema > editors/models.schema.json"


def test_the_schema_is_one_of_draft_07_and_explains_every_key() -> None:
    schema = catalogue_schema()
    Draft7Validator.check_schema(schema)
    for owner in (schema, *schema["definitions"].values()):
        for key, found in owner.get("properties", {}).items():
            assert found.get("description"), key


def test_what_the_loader_takes_the_schema_takes_too() -> None:
    validator = Draft7Validator(catalogue_schema())
    for content in (OWN, BUILTIN.read_text(encoding="utf-8"), "last_resort: false"):
        assert list(validator.iter_errors(parse(content.encode(), file="f").data)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "models: {a: {qualty: 1}}",
        "models: {a: {price: gratis}}",
        "models: {a: {price: {input: 1}}}",
        "models: {a: {key: sk-1234}}",
        "models: {'a b': {}}",
        "routes: {r: {objective: best}}",
        "routes: {r: {rules: [{prefer: [a]}]}}",
        "restrict: {denny: [a]}",
        "default: x",
    ],
)
def test_what_the_schema_can_see_it_refuses_as_the_loader_does(tmp_path: Path, wrong: str) -> None:
    assert problems(tmp_path, wrong)
    assert list(Draft7Validator(catalogue_schema()).iter_errors(json.loads(json.dumps(yaml.safe_load(wrong)))))
