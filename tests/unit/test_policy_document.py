"""docs/policies.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import policies
from maestro.policy import decide, load_bundle, open_engine
from maestro.policy.builtins import ALLOWED

TEXT = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")


def test_the_functions_it_lists_are_those_that_may_be_called() -> None:
    listed = re.search(r"^Functions: (.*?)\n\n", TEXT, re.DOTALL | re.MULTILINE)
    assert listed
    names = {name for block in re.findall(r"`([^`]*)`", listed[1]) for name in block.split()}
    assert {*names, "internal.member_2", "internal.member_3"} - {"in"} == ALLOWED


def test_the_policy_it_shows_decides(tmp_path: Path) -> None:
    shown = re.search(r"```rego\n(.*?)```", TEXT, re.DOTALL)
    assert shown
    (tmp_path / "naming.rego").write_text(shown[1])
    engine = open_engine(load_bundle(tmp_path), confined=False)
    subjects = {"project": "shop", "subjects": [{"name": "shop-web"}]}
    assert decide(engine, "naming.release", subjects).allow
    denied = decide(engine, "naming.release", {**subjects, "project": "books"})
    assert [one.message for one in denied.reasons] == ["shop-web does not begin with the project's name"]


def test_every_package_and_rule_is_named() -> None:
    folder = Path(policies.__file__).parent
    packages = {path.name for path in folder.iterdir() if path.is_dir()} - {"lib", "__pycache__"}
    assert {name for name in packages if f"### {name}.release" in TEXT} == packages
    for name in ["supply_chain"]:
        rules = {
            rule
            for file in (folder / name).glob("*.rego")
            if "_test" not in file.name
            for rule in re.findall(r'lib\.reason\(\s*"([a-z_]+)"', file.read_text())
        }
        assert {rule for rule in rules if f"`{rule}`" not in TEXT} == set()
