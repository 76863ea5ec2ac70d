from __future__ import annotations

import copy
import pickle

import pytest

from maestro.secrets import Masker, SecretValues

VALUES = SecretValues({"TOKEN": "hunter2-hunter2", "API": "swordfish"})


def test_values_are_read_by_name() -> None:
    assert VALUES["TOKEN"] == "hunter2-hunter2"
    assert sorted(VALUES) == ["API", "TOKEN"]
    assert len(VALUES) == 2
    assert VALUES == {"TOKEN": "hunter2-hunter2", "API": "swordfish"}
    assert "TOKEN" in VALUES


@pytest.mark.parametrize(
    "shown",
    [repr(VALUES), str(VALUES), f"{VALUES}", f"{VALUES!r}", f"{VALUES:>60}", "%s" % VALUES, repr([VALUES])],  # noqa: UP031
)
def test_printing_shows_names_only(shown: str) -> None:
    assert "SecretValues(API, TOKEN)" in shown
    assert "hunter2" not in shown
    assert "swordfish" not in shown


def test_a_missing_name_s_error_shows_the_name_only() -> None:
    with pytest.raises(KeyError) as raised:
        VALUES["OTHER"]
    assert str(raised.value) == "'OTHER'"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("holder", [VALUES, Masker(VALUES.values())])
def test_pickling_is_refused(holder: object, protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(holder, protocol)


def test_copying_is_refused() -> None:
    with pytest.raises(TypeError, match="values of secrets are not pickled; read them again where they are needed"):
        copy.deepcopy(VALUES)
