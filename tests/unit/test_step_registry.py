"""Step kinds whose libraries are not installed."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from maestro.errors import EXTRAS, MaestroError, missing_library
from maestro.steps import Registry


def test_a_kind_whose_extra_is_not_installed_names_the_extra(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "kind_that_needs_an_extra.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'packageurl'\", name='packageurl')\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(folder))
    point = EntryPoint("scan.parcels", "kind_that_needs_an_extra:KIND", "maestro.steps")
    with pytest.raises(MaestroError) as caught:
        Registry._load(point)
    assert caught.value.what == (
        "step kind 'scan.parcels' needs the extra 'evidence', which is not installed: there is no 'packageurl'"
    )
    assert caught.value.next_step == "pip install 'maestro-conductor[evidence]'"


def test_a_submodule_that_is_missing_is_known_by_its_package() -> None:
    told = missing_library(ModuleNotFoundError("No module named 'cyclonedx.model'", name="cyclonedx.model"))
    assert told is not None
    assert "the extra 'evidence'" in told.what


@pytest.mark.parametrize("error", [ModuleNotFoundError("x", name="nonesuch"), ModuleNotFoundError(), ValueError("x")])
def test_other_errors_are_none_of_its_business(error: Exception) -> None:
    assert missing_library(error) is None


def test_every_library_it_names_is_one_that_can_be_imported() -> None:
    from importlib.util import find_spec

    assert [name for name in EXTRAS["evidence"] if find_spec(name) is None] == []
