"""docs/workflow.md: its reference is fresh and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.workflow.load import load_text
from maestro.workflow.reference import main, reference, renewed
from tests.unit.workflow_kinds import REGISTRY, own_kinds

DOCUMENT = Path(__file__).parents[2] / "docs" / "workflow.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_reference_is_fresh() -> None:
    current = DOCUMENT.read_text(encoding="utf-8")
    assert current == renewed(current, own_kinds()), "run: python -m maestro.workflow.reference --write"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0].removeprefix("name: "))
def test_each_example_loads(example: str) -> None:
    assert load_text(example.encode(), file="example", registry=own_kinds()).workflow.stages


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 9


def test_every_key_and_every_kind_is_in_the_reference() -> None:
    text = reference(REGISTRY)
    for key in ("continue_on_error", "depends_on", "jitter", "probe", "exclude", "finally", "attempts"):
        assert f"| `{key}` |" in text
    for kind in REGISTRY.names:
        assert f"#### `{kind}`" in text
    assert "| `timeout` | a duration |" in text
    assert "| `command` | text | **required** | What to run. |" in text


def test_a_stale_document_is_reported_and_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "workflow.md"
    path.write_text(DOCUMENT.read_text(encoding="utf-8").replace("| `jitter` |", "| `jiter` |"), encoding="utf-8")
    assert main(["--check", str(path)]) == 1
    assert "is stale; run: python -m maestro.workflow.reference --write" in capsys.readouterr().err
    assert main(["--write", str(path)]) == 0
    assert main(["--check", str(path)]) == 0


def test_a_wrong_command_line_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--check|--write" in capsys.readouterr().err


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(InputError, match="the markers of the reference are missing"):
        renewed("# nothing\n", REGISTRY)
