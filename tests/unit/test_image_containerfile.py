"""Which images a Containerfile is built from, and how they are put in exactly."""

from __future__ import annotations

import pytest

from assets.base_images import serves
from assets.containerfile import Containerfile
from maestro.errors import InputError


def read(text: str, **arguments: str) -> Containerfile:
    return Containerfile(text, "Containerfile", arguments)


def images(text: str, target: str | None = None, **arguments: str) -> list[str]:
    return [use.name for use in read(text, **arguments).images(target)]


def test_bases_and_what_is_copied_or_mounted_from_are_found_and_stages_are_not() -> None:
    text = """\
FROM golang:1.24 AS build
RUN --mount=type=cache,target=/x --mount=type=bind,from=tools:1,target=/t make
FROM build AS test
FROM scratch
COPY --from=build /a /a
COPY --chown=1 --from=certs:2 /b /b
COPY --from=0 /c /c
"""
    assert images(text) == ["golang:1.24", "tools:1", "certs:2"]


def test_stages_that_the_target_does_not_need_are_not_fetched() -> None:
    text = "FROM a AS one\nFROM b AS two\nFROM one\nCOPY --from=two /x /x\nFROM c AS four\n"
    assert images(text) == ["c"]
    assert images(text, target="one") == ["a"]
    assert images(text, target="2") == ["a", "b"]
    with pytest.raises(InputError) as caught:
        images(text, target="five")
    assert caught.value.what == "'Containerfile' has no stage 'five'"
    assert caught.value.next_step == "correct 'target' (there are: one, two, four)"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ARG TAG=12\nFROM debian:$TAG", "debian:12"),
        ("ARG TAG\nFROM debian:${TAG:-11}", "debian:11"),
        ("ARG TAG=12\nARG BASE=debian:${TAG}\nFROM ${BASE}", "debian:12"),
        ("ARG TAG=12\nFROM debian${TAG:+-slim}", "debian-slim"),
        ('ARG BASE="debian:1"\nFROM $BASE', "debian:1"),
        ("FROM --platform=$BUILDPLATFORM debian", "debian"),
        ("# syntax=x\n\nfrom debian as Build", "debian"),
        ("FROM \\\n  # why\n  debian", "debian"),
        ("# escape=`\nFROM `\ndebian", "debian"),
    ],
)
def test_build_arguments_and_continued_lines_are_followed(text: str, name: str) -> None:
    assert images(text, BUILDPLATFORM="linux/amd64") == [name]


def test_a_given_argument_wins_over_its_default() -> None:
    assert images("ARG BASE=debian\nFROM $BASE", BASE="alpine") == ["alpine"]


def test_a_name_of_a_stage_counts_only_after_it() -> None:
    assert images("FROM debian AS debian\nFROM debian\n") == ["debian"]
    assert images("FROM a AS one\nCOPY --from=later /x /x\nFROM b AS later\nFROM one\n") == ["a", "later"]


def test_images_are_put_in_by_digest_and_lines_keep_their_numbers() -> None:
    text = "ARG B=debian\nFROM --platform=linux/arm64 $B AS debian\nRUN echo debian\n# debian\nCOPY --from=tools \\\n  /a /b\n"
    parsed = read(text)
    exact = {use: f"{'ab' if use.name == 'debian' else 'cd'}12" for use in parsed.images(None)}
    assert parsed.rewritten(exact) == text.replace("$B", "ab12").replace("from=tools", "from=cd12")


def test_the_base_of_the_last_stage_is_found_through_the_stages_before_it() -> None:
    base = read("FROM debian AS one\nFROM one AS two\nFROM two\n").last_base(None)
    assert base is not None
    assert base.name == "debian"
    assert read("FROM debian AS one\nFROM scratch\nCOPY --from=one / /\n").last_base(None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM a\n\nCOPPY x y\n", "Containerfile:3:1: there is no instruction 'COPPY'"),
        ("RUN x\nFROM a\n", "Containerfile:1:1: RUN stands before the first FROM"),
        ("FROM\n", "Containerfile:1:1: FROM needs an image"),
        ("FROM a b\n", "Containerfile:1:1: FROM needs an image"),
        ("FROM a AS\n", "Containerfile:1:1: FROM needs an image"),
        ("ARG BASE\nFROM ${BASE}\n", "Containerfile:2:1: FROM ${BASE} names no image"),
        ("", "'Containerfile' has no FROM"),
    ],
)
def test_a_file_that_cannot_be_built_is_refused_at_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_the_instruction_buildah_names_is_found() -> None:
    parsed = read("FROM a\nRUN one\nRUN two   &&  three\nCOPY x /\n")
    found = parsed.find_step("RUN two && three")
    assert found is not None
    assert found.line == 3
    copied = parsed.find_step("COPY something else")
    assert copied is not None, "there is only one COPY"
    assert parsed.find_step("RUN four") is None


def test_a_platform_is_served_by_one_of_the_same_system_and_architecture() -> None:
    assert serves("linux/arm64/v8", "linux/arm64")
    assert serves("linux/amd64", "linux/amd64")
    assert not serves("linux/arm/v6", "linux/arm/v7")
    assert not serves("linux/amd64", "linux/arm64")
