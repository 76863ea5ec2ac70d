"""The Merkle tree: the vectors of Certificate Transparency, and the definitions of RFC 6962 written down literally."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.audit.errors import ProofError
from maestro.audit.merkle import (
    EMPTY_ROOT,
    Node,
    check_consistency,
    consistency_ranges,
    cover,
    extend,
    fold,
    hash_leaf,
    hashes_of,
    inclusion_ranges,
    root_by_inclusion,
)

INPUTS = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION_OF_5_IN_8 = [
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]
CONSISTENCY_OF_6_IN_8 = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]


class Grown:
    """A tree as the log grows it: leaf by leaf, with only its perfect subtrees kept."""

    def __init__(self, inputs: Sequence[bytes]) -> None:
        self.nodes: dict[Node, bytes] = {}
        self.frontier: list[bytes] = []
        for size, data in enumerate(inputs):
            self.nodes |= {(level, index): one for level, index, one in extend(self.frontier, size, hash_leaf(data))}
        self.read = 0

    def fetch(self, wanted: Iterable[Node]) -> Mapping[Node, bytes]:
        found = {one: self.nodes[one] for one in wanted}
        self.read += len(found)
        return found


def leaves(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def mth(data: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it stands there."""
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = largest_power_below(len(data))
    return sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def path(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(data) == 1:
        return []
    k = largest_power_below(len(data))
    return [*path(m, data[:k]), mth(data[k:])] if m < k else [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: Sequence[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.2."""
    if m == len(data):
        return [] if whole else [mth(data)]
    k = largest_power_below(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), mth(data[k:])]
    return [*subproof(m - k, data[k:], False), mth(data[:k])]


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def test_the_roots_are_those_of_the_published_vectors() -> None:
    for size, expected in enumerate(ROOTS, start=1):
        assert fold(Grown(INPUTS[:size]).frontier).hex() == expected
    assert sha256(b"").digest() == EMPTY_ROOT


def test_the_proofs_are_those_of_the_published_vectors() -> None:
    tree = Grown(INPUTS)
    inclusion = hashes_of(inclusion_ranges(5, 8), tree.fetch)
    consistency = hashes_of(consistency_ranges(6, 8), tree.fetch)
    assert [one.hex() for one in inclusion] == INCLUSION_OF_5_IN_8
    assert [one.hex() for one in consistency] == CONSISTENCY_OF_6_IN_8


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 31, 32, 33])
def test_every_inclusion_proof_is_the_one_the_standard_defines(size: int) -> None:
    data = leaves(size)
    tree, root = Grown(data), mth(data)
    for index in range(size):
        proof = hashes_of(inclusion_ranges(index, size), tree.fetch)
        assert proof == path(index, data)
        assert root_by_inclusion(index, size, hash_leaf(data[index]), proof) == root


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 31, 32, 33])
def test_every_consistency_proof_is_the_one_the_standard_defines(size: int) -> None:
    data = leaves(size)
    tree = Grown(data)
    for old in range(1, size + 1):
        proof = hashes_of(consistency_ranges(old, size), tree.fetch)
        assert proof == subproof(old, data, True)
        check_consistency(old, size, mth(data[:old]), mth(data), proof)


def test_a_proof_reads_as_many_hashes_as_the_tree_has_levels_not_as_it_has_leaves() -> None:
    tree = Grown(leaves(10_007))
    for index in (0, 5_000, 10_006):
        tree.read = 0
        hashes_of(inclusion_ranges(index, 10_007), tree.fetch)
        assert tree.read <= 2 * 14


def test_the_cover_of_a_range_is_gapless_and_made_of_perfect_subtrees() -> None:
    for start, end in [(0, 13), (8, 13), (12, 13), (0, 16), (0, 0)]:
        covered = [leaf for level, index in cover(start, end) for leaf in range(index << level, (index + 1) << level)]
        assert covered == list(range(start, end))


@given(st.integers(1, 70), st.data())
def test_no_other_leaf_index_or_hash_gives_the_root(size: int, data: st.DataObject) -> None:
    content = leaves(size)
    tree, root = Grown(content), mth(content)
    index = data.draw(st.integers(0, size - 1))
    proof = hashes_of(inclusion_ranges(index, size), tree.fetch)
    assert root_by_inclusion(index, size, hash_leaf(b"another"), proof) != root
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof]
        changed[place] = bytes(32)
        assert root_by_inclusion(index, size, hash_leaf(content[index]), changed) != root


@given(st.integers(2, 70), st.data())
def test_a_log_that_was_rewritten_is_not_consistent(size: int, data: st.DataObject) -> None:
    content = leaves(size)
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [*content]
    rewritten[changed] = b"another"
    proof = hashes_of(consistency_ranges(old, size), Grown(rewritten).fetch)
    with pytest.raises(ProofError, match=f"the log of {size} entries does not begin with the log of {old} entries"):
        check_consistency(old, size, mth(content[:old]), mth(rewritten), proof)


@pytest.mark.parametrize(
    ("index", "size", "hashes", "message"),
    [
        (4, 4, 2, "index 4 is not in a log of 4 entries"),
        (-1, 4, 2, "index -1 is not in a log"),
        (0, 4, 3, "more hashes than the tree has levels"),
        (0, 4, 1, "fewer hashes than the tree has levels"),
        (0, 1, 1, "more hashes"),
    ],
)
def test_an_inclusion_proof_of_the_wrong_shape_is_refused(index: int, size: int, hashes: int, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        root_by_inclusion(index, size, bytes(32), [bytes(32)] * hashes)


def test_a_consistency_proof_of_the_wrong_shape_is_refused() -> None:
    root = mth(leaves(4))
    with pytest.raises(ProofError, match="a log of 3 entries cannot begin with one of 4"):
        check_consistency(4, 3, root, root, [])
    with pytest.raises(ProofError, match="the roots at sizes 4 and 4 do not agree"):
        check_consistency(4, 4, root, bytes(32), [])
    with pytest.raises(ProofError, match="the consistency proof is empty"):
        check_consistency(3, 4, root, root, [])
    with pytest.raises(ProofError, match="more hashes"):
        check_consistency(2, 4, mth(leaves(2)), root, [bytes(32)] * 3)


def test_every_log_begins_with_the_empty_one() -> None:
    check_consistency(0, 4, EMPTY_ROOT, mth(leaves(4)), [])
    with pytest.raises(ProofError, match="sizes 0 and 4"):
        check_consistency(0, 4, bytes(32), mth(leaves(4)), [])
