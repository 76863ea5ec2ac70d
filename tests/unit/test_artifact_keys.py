"""Names from outside never become more than one path part, and never the same one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.artifacts import Artifact, keys, media_types
from maestro.errors import InputError

ANY_NAME = st.text(st.characters(), max_size=300)


@given(ANY_NAME)
def test_any_name_becomes_one_safe_path_part(name: str) -> None:
    part = keys.part(name)
    assert "/" not in part
    assert not part.startswith(".")
    assert 0 < len(part.encode()) <= 200
    assert part.isascii()
    assert part.isprintable()


@given(ANY_NAME)
def test_a_path_part_gives_its_name_back_unless_it_was_cut(name: str) -> None:
    assert keys.name_of(keys.part(name)) in (name, None)
    if len(name) <= 16:
        assert keys.name_of(keys.part(name)) == name


@given(ANY_NAME, ANY_NAME)
def test_different_names_have_different_parts(one: str, other: str) -> None:
    assert (keys.part(one) == keys.part(other)) == (one == other)


@pytest.mark.parametrize("name", [".", "..", "../..", "/etc/passwd", "", "a\0b", "é" * 200, "a/../b", "x#1"])
def test_dangerous_names_stay_in_their_folder(name: str) -> None:
    key = keys.run_step("run", name)
    assert key.startswith("runs/run/")
    assert key.count("/") == 2
    assert "/." not in key


def test_two_long_names_with_one_beginning_differ() -> None:
    assert keys.part("x" * 400 + "a") != keys.part("x" * 400 + "b")


def test_a_foreign_folder_name_is_no_name() -> None:
    assert keys.name_of("%FF") is None


@pytest.mark.parametrize("digest", ["", "ab", "../../etc", "A" * 64, "0" * 63 + "\n", "0" * 65])
def test_what_is_no_digest_is_refused_by_name(digest: str) -> None:
    with pytest.raises(InputError, match="is not a sha256 digest") as raised:
        keys.cas(digest)
    assert raised.value.next_step == "give 64 lower-case hexadecimal digits"


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "", ".", "a//b", "a\0b"])
def test_an_artifact_path_that_leaves_the_workspace_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="leaves the workspace"):
        Artifact("a", "0" * 64, 0, "text/plain", path)


@pytest.mark.parametrize("media_type", ["", "text", "text/", "/plain", "te xt/plain", "text/plain/x"])
def test_what_is_no_media_type_is_refused(media_type: str) -> None:
    with pytest.raises(InputError, match="is not a media type") as raised:
        Artifact("report", "0" * 64, 0, media_type, None)
    assert "report" in raised.value.what


def test_a_media_type_may_have_parameters() -> None:
    assert Artifact("a", "0" * 64, 0, "text/plain; charset=utf-8", None).media_type.endswith("utf-8")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app-1.0-py3-none-any.whl", "application/zip"),
        ("app-1.0.tar.gz", "application/gzip"),
        ("sbom.cdx.json", "application/vnd.cyclonedx+json"),
        ("REPORT.XML", "application/xml"),
        ("page.html", "text/html"),
        ("program", "application/octet-stream"),
        ("data.csv.bz2", "application/octet-stream"),
    ],
)
def test_the_media_type_is_guessed_from_the_name(name: str, expected: str) -> None:
    assert media_types.guess(name) == expected


@given(
    st.builds(
        Artifact,
        name=st.text(max_size=20),
        sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        size=st.integers(0, 2**60),
        media_type=st.sampled_from(["text/plain", "application/json"]),
        path=st.none() | st.from_regex(r"[a-z]{1,9}(/[a-z]{1,9}){0,3}", fullmatch=True),
        executable=st.booleans(),
    )
)
def test_an_artifact_survives_json(artifact: Artifact) -> None:
    assert Artifact.from_json(artifact.to_json()) == artifact
