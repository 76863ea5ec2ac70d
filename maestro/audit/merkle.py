"""The Merkle tree of RFC 6962, section 2.1: which stored hashes a root or proof is made of, and how proofs are checked.

Hashes are 32 bytes of SHA-256. A ``Node`` is a perfect subtree: ``(level, index)`` covers the leaves from
``index << level`` up to, not including, ``(index + 1) << level``. Only perfect subtrees are ever stored: they never
change again. Everything here is pure; a range of n leaves touches O(log n) nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256

from maestro.audit.errors import ProofError

Node = tuple[int, int]
Range = tuple[int, int]
"""Leaves from the first number up to, not including, the second."""

EMPTY_ROOT = sha256(b"").digest()


def hash_leaf(data: bytes) -> bytes:
    """Hash of a leaf over its bytes."""
    return sha256(b"\x00" + data).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node over its children's."""
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two smaller than ``size``, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def cover(start: int, end: int) -> list[Node]:
    """The fewest perfect subtrees that together are the leaves ``start`` to ``end``, from left to right."""
    nodes: list[Node] = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over the perfect subtrees of a range, given from left to right."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = hash_children(left, root)
    return root


def extend(frontier: list[bytes], size: int, leaf: bytes) -> list[tuple[int, int, bytes]]:
    """Adds a leaf to a tree and returns the nodes that are now complete, the leaf first.

    Args:
        frontier: hashes of ``cover(0, size)``; changed in place to those of ``cover(0, size + 1)``.
        size: leaves so far, and so the index of the new one.
    """
    level, index, value = 0, size, leaf
    nodes = [(0, index, value)]
    while index & 1:
        value = hash_children(frontier.pop(), value)
        level, index = level + 1, index >> 1
        nodes.append((level, index, value))
    frontier.append(value)
    return nodes


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose roots are the inclusion proof of leaf ``index`` in a tree of ``size``; nearest first."""
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The ranges whose roots prove that the tree of size ``new`` begins with the one of size ``old``.

    ``old`` is from 1 to ``new``.
    """
    ranges: list[Range] = []
    start, end, whole = 0, new, True
    while end > old:
        middle = start + split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return ranges[::-1]


def hashes_of(ranges: Sequence[Range], fetch: Callable[[Iterable[Node]], Mapping[Node, bytes]]) -> list[bytes]:
    """Roots of ranges, with all the nodes they need fetched at once."""
    covers = [cover(start, end) for start, end in ranges]
    found = fetch({node for nodes in covers for node in nodes})
    return [fold([found[node] for node in nodes]) for nodes in covers]


def root_by_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root a tree of ``size`` must have if ``leaf`` is at ``index`` (RFC 9162, section 2.1.3.2).

    Raises:
        ProofError: the proof does not have the length such a tree asks for.
    """
    if not 0 <= index < size:
        raise ProofError(f"index {index} is not in a log of {size} entries")
    place, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the inclusion proof has more hashes than the tree has levels")
        if place & 1 or place == last:
            root = hash_children(sibling, root)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            root = hash_children(root, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the inclusion proof has fewer hashes than the tree has levels")
    return root


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the tree of size ``new`` begins with the one of size ``old`` (RFC 9162, section 2.1.4.2).

    Raises:
        ProofError: it does not, or the proof does not show it.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a log of {new} entries cannot begin with one of {old}")
    if old in (0, new):
        expected = EMPTY_ROOT if old == 0 else new_root
        if proof or old_root != expected:
            raise ProofError(f"the roots at sizes {old} and {new} do not agree")
        return
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not hashes:
        raise ProofError("the consistency proof is empty")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = hashes[0]
    for one in hashes[1:]:
        if last == 0:
            raise ProofError("the consistency proof has more hashes than the tree has levels")
        if place & 1 or place == last:
            first, second = hash_children(one, first), hash_children(one, second)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            second = hash_children(second, one)
        place, last = place >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise ProofError(f"the log of {new} entries does not begin with the log of {old} entries")
