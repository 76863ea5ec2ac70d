"""Reads a Containerfile as far as needed to know which images it is built from, and to say them exactly.

Written by hand: ``dockerfile-parse``, the library there is, knows neither ``COPY --from`` nor ``RUN --mount``. What
this reader does not see is not fetched either, and the build, which may fetch nothing itself, fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from maestro.errors import InputError, Location

_INSTRUCTIONS = frozenset(
    {
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
    }
    | {"RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_ESCAPE = re.compile(r"#\s*escape\s*=\s*(\S)\s*\Z", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?::(?P<how>[-+])(?P<word>[^}]*))?\})")
_FROM_FLAG = re.compile(r"--from=(\S+)")
_MOUNT_FROM = re.compile(r"--mount=(?:\S*,)?from=([^\s,]+)")
LIMIT = 1024 * 1024
"""Bytes of a Containerfile."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Args:
        line: where it begins, from 1.
        last_line: where it ends.
        word: in capitals.
        rest: what follows, continued lines joined by a blank.
    """

    line: int
    last_line: int
    word: str
    rest: str


@dataclass(frozen=True, slots=True)
class ImageUse:
    """An image, or an earlier stage, that a stage uses.

    Args:
        instruction: where.
        token: as written.
        name: with build arguments filled in.
        platform: of ``FROM --platform=…``, build arguments filled in; None when not given.
    """

    instruction: Instruction
    token: str
    name: str
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands between one ``FROM`` and the next."""

    name: str
    base: ImageUse
    others: tuple[ImageUse, ...]

    @property
    def uses(self) -> tuple[ImageUse, ...]:
        """The base, and what is copied or mounted from."""
        return (self.base, *self.others)


class Containerfile:
    """A Containerfile.

    Args:
        text: its content.
        place: its path, for errors.
        arguments: the values of ``ARG`` before the first ``FROM``, platforms among them.

    Raises:
        InputError: it has an unknown instruction or no stage; with the line.
    """

    def __init__(self, text: str, place: str, arguments: Mapping[str, str]) -> None:
        self.place = place
        self._lines = text.splitlines()
        self.instructions = tuple(self._parse())
        self.stages = tuple(self._stages(arguments))
        if not self.stages:
            raise InputError(f"'{place}' has no FROM", next_step="begin it with FROM and a base image, or FROM scratch")

    @cached_property
    def declared(self) -> frozenset[str]:
        """Names of all ``ARG`` instructions."""
        names = (one.rest.partition("=")[0].strip() for one in self.instructions if one.word == "ARG")
        return frozenset(names)

    def needed(self, target: str | None) -> tuple[Stage, ...]:
        """The stages the image is made of, in their order.

        Args:
            target: name or number of the stage to stop at; None: the last.

        Raises:
            InputError: there is no stage ``target``.
        """
        last = len(self.stages) - 1 if target is None else self._find(target, len(self.stages))
        if last is None:
            known = ", ".join(stage.name for stage in self.stages if not stage.name.isdigit()) or "none has a name"
            raise InputError(
                f"'{self.place}' has no stage '{target}'", next_step=f"correct 'target' (there are: {known})"
            )
        found, open_stages = set[int](), [last]
        while open_stages:
            number = open_stages.pop()
            if number not in found:
                found.add(number)
                uses = [self._find(use.name, number) for use in self.stages[number].uses]
                open_stages += [one for one in uses if one is not None]
        return tuple(self.stages[number] for number in sorted(found))

    def images(self, target: str | None) -> tuple[ImageUse, ...]:
        """What has to be fetched: every use of something that is neither an earlier stage nor ``scratch``."""
        return tuple(
            use
            for stage in self.needed(target)
            for use in stage.uses
            if use.name != "scratch" and self._find(use.name, self.stages.index(stage)) is None
        )

    def last_base(self, target: str | None) -> ImageUse | None:
        """The image at the bottom of the last stage; None for ``scratch``."""
        stage: Stage | None = self.needed(target)[-1]
        while stage is not None:
            base = stage.base
            number = self._find(base.name, self.stages.index(stage))
            stage = None if number is None else self.stages[number]
        return None if base.name == "scratch" else base

    def rewritten(self, exactly: Mapping[ImageUse, str]) -> str:
        """The text with the images of ``exactly`` put in place of what is written; lines keep their numbers.

        Raises:
            InputError: a name is spread over two lines.
        """
        lines = list(self._lines)
        for use, image in exactly.items():
            pattern = re.compile(rf"(?<![^\s=]){re.escape(use.token)}(?![^\s,])")
            for number in range(use.instruction.line - 1, use.instruction.last_line):
                # An image id or a reference by digest: nothing in it means anything to `re`.
                lines[number], count = pattern.subn(image, lines[number], count=1)
                if count:
                    break
            else:
                raise self._error(use.instruction, f"the image '{use.token}' cannot be found in its line")
        return "\n".join(lines) + "\n"

    def find_step(self, step: str) -> Instruction | None:
        """The instruction buildah names in an error."""
        word, _, rest = " ".join(step.split()).partition(" ")
        same_word = [one for one in self.instructions if one.word == word.upper()]
        exact = [one for one in same_word if " ".join(one.rest.split()) == rest]
        return next(iter(exact or (same_word if len(same_word) == 1 else ())), None)

    def _find(self, name: str, before: int) -> int | None:
        """The number of the stage ``name`` among the first ``before``; the latest of that name."""
        for number in range(before - 1, -1, -1):
            if self.stages[number].name.lower() == name.lower() or str(number) == name:
                return number
        return None

    def _parse(self) -> Iterator[Instruction]:
        escape, begun, parts = "\\", 0, list[str]()
        for number, line in enumerate(self._lines, 1):
            text = line.strip()
            if not parts and (directive := _ESCAPE.match(text)):
                escape = directive[1]
            if text.startswith("#") or not text:
                continue
            begun = begun or number
            continued = text.endswith(escape)
            parts.append(text[:-1].rstrip() if continued else text)
            if not continued:
                yield self._instruction(begun, number, " ".join(parts))
                begun, parts = 0, []
        if parts:
            yield self._instruction(begun, len(self._lines), " ".join(parts))

    def _instruction(self, first: int, last: int, text: str) -> Instruction:
        word, _, rest = text.partition(" ") if " " in text else text.partition("\t")
        found = Instruction(first, last, word.upper(), rest.strip())
        if found.word not in _INSTRUCTIONS:
            raise self._error(found, f"there is no instruction '{word[:40]}'")
        return found

    def _stages(self, given: Mapping[str, str]) -> Iterator[Stage]:
        arguments = dict(given)
        base: ImageUse | None = None
        name, others, count = "", list[ImageUse](), 0
        for one in self.instructions:
            if one.word == "FROM":
                if base is not None:
                    yield Stage(name, base, tuple(others))
                base, name, others = *self._from(one, arguments, count), []
                count += 1
            elif one.word == "ARG" and base is None:
                key, equals, value = one.rest.partition("=")
                if equals:
                    arguments.setdefault(key.strip(), _filled(value.strip().strip("\"'"), arguments))
            elif one.word in ("COPY", "ADD", "RUN") and base is not None:
                words = one.rest.split()
                flags = " ".join(words[: next((at for at, w in enumerate(words) if not w.startswith("--")), None)])
                pattern = _MOUNT_FROM if one.word == "RUN" else _FROM_FLAG
                others += [ImageUse(one, token, token) for token in pattern.findall(flags)]
            elif base is None:
                raise self._error(one, f"{one.word} stands before the first FROM")
        if base is not None:
            yield Stage(name, base, tuple(others))

    def _from(self, one: Instruction, arguments: Mapping[str, str], count: int) -> tuple[ImageUse, str]:
        words = one.rest.split()
        platform = None
        while words and words[0].startswith("--"):
            flag, _, value = words.pop(0).partition("=")
            if flag == "--platform":
                platform = _filled(value, arguments)
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
            raise self._error(one, "FROM needs an image, and AS and a name after it if the stage shall have one")
        name = _filled(words[0].strip("\"'"), arguments)
        if not name:
            raise self._error(one, f"FROM {words[0]} names no image: the build argument has no value")
        return ImageUse(one, words[0], name, platform), words[2] if len(words) == 3 else str(count)

    def _error(self, one: Instruction, what: str) -> InputError:
        return InputError(what, where=Location(self.place, one.line, 1), next_step=f"correct '{self.place}'")


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        known = arguments.get(match["plain"] or match["name"], "")
        if match["how"] == "-":
            return known or match["word"]
        return match["word"] if match["how"] == "+" and known else "" if match["how"] == "+" else known

    return _VARIABLE.sub(value, text)
