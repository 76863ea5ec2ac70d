"""The most telling of many texts, by TextRank (Mihalcea and Tarau, 2004).

Written here: sumy needs nltk, lxml and setuptools, summa is no longer kept, pytextrank needs spaCy and a model, and all
PageRanks on offer need numpy; this is thirty lines of it.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from maestro.llm.offline.text import Deadline

MOST = 400
"""Texts that are compared with one another; of more, these many are looked at, evenly spread."""
_ROUNDS = 30
_DAMPING = 0.85
_WORD = re.compile(r"[^\W\d_]{2,}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# fmt: off
_STOP = frozenset((
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can",
    "class", "const", "def", "do", "does", "elif", "else", "end", "false", "for", "from", "function", "had", "has",
    "have", "how", "if", "import", "in", "int", "into", "is", "it", "its", "let", "may", "more", "new", "no",
    "none", "not", "null", "of", "on", "one", "only", "or", "other", "our", "out", "public", "return", "self", "so",
    "some", "str", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "to", "true", "up", "use", "used", "var", "void", "was", "we", "were", "what", "when", "where",
    "which", "while", "who", "will", "with", "would", "you", "your",
))
# fmt: on


def words(text: str) -> list[str]:
    """The words of a text or of code, small, names taken apart."""
    return [word.lower() for part in _WORD.findall(text) for word in _CAMEL.split(part) if word.lower() not in _STOP]


def telling(texts: Sequence[str], count: int, deadline: Deadline) -> list[int]:
    """Positions of the ``count`` most telling of ``texts``, in their order; equal texts count once."""
    step = max(1, math.ceil(len(texts) / MOST))
    first: dict[str, int] = {}
    for position in range(0, len(texts), step):
        first.setdefault(" ".join(texts[position].split()), position)
    bags = {position: Counter(words(text[:1000])) for text, position in first.items()}
    kept = [position for position, bag in bags.items() if bag]
    scores = _ranks([bags[position] for position in kept], deadline)
    best = sorted(range(len(kept)), key=lambda index: (-round(scores[index], 9), kept[index]))[:count]
    return sorted(kept[index] for index in best)


def _ranks(bags: list[Counter[str]], deadline: Deadline) -> list[float]:
    """PageRank over how much the texts have in common."""
    by_word: dict[str, list[int]] = defaultdict(list)
    for index, bag in enumerate(bags):
        for word in bag:
            by_word[word].append(index)
    common: dict[tuple[int, int], int] = defaultdict(int)
    for holders in by_word.values():
        for position, left in enumerate(holders):
            for right in holders[position + 1 :]:
                common[left, right] += 1
        if not deadline.left():
            break
    links: list[list[tuple[int, float]]] = [[] for _ in bags]
    for (left, right), shared in common.items():
        weight = shared / (1 + math.log(len(bags[left])) + math.log(len(bags[right])))
        links[left].append((right, weight))
        links[right].append((left, weight))
    totals = [sum(weight for _, weight in one) for one in links]
    scores = [1.0] * len(bags)
    for _ in range(_ROUNDS):
        scores = [
            1 - _DAMPING + _DAMPING * sum(scores[other] * weight / totals[other] for other, weight in links[index])
            for index in range(len(bags))
        ]
    return scores
