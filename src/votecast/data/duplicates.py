"""Cluster prompts that are the same or nearly so: MinHash, locality-sensitive hashing, exact verification.

Folds keep such clusters together, and the inspection counts them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.prompts import normalised_prompts, shingle_sets
from votecast.data.text_columns import AnswerPairs, Ints, by_appearance
from votecast.errors import ConfigError

__all__ = ["prompt_clusters", "text_clusters"]

# The standard error of a similarity estimated from 128 values is at most 0.044.
_PERMUTATIONS = 128
_RECALL = 0.999
# Blocks bound the memory: signatures, compared pairs, and shingles of compared pairs.
_ROWS_AT_ONCE = 4096
_PAIRS_AT_ONCE = 1 << 15
_STEPS = (range(1, 2), range(2, 65))  # neighbours in order first: they settle most of a crowded bucket
_SHINGLES_AT_ONCE = 1 << 22
_ODD = np.uint64(0x9E3779B97F4A7C15)

Sets = tuple[NDArray[np.uint64], Ints]
"""Shingle hashes of all texts one after the other, and where each begins, shape (n + 1,)."""


def prompt_clusters(battles: Battles, *, similarity: float = 0.8, seed: int = 0, first_turn: bool = True) -> Ints:
    """Number the clusters of rows whose prompts are the same or nearly so.

    Rows belong together when their normalised prompts (all turns joined) are equal or `text_clusters` finds them
    similar, or, with `first_turn`, when their first turns are equal: a conversation and its continuation share their
    beginning. A row without a prompt shares its cluster only with rows that show the same two answers, in either order.

    Args:
        battles: The rows.
        similarity: Jaccard similarity of the shingles from which two prompts count as one, above 0 and at most 1.
        seed: Seed of the hash functions.
        first_turn: Whether equal first turns join rows.

    Returns:
        Cluster numbers of shape (n,), from 0 by first appearance; the partition does not depend on the order of rows.

    Raises:
        ConfigError: If `similarity` lies outside its range.

    Example:
        >>> ask = ["Why is the sky blue?", "why is the sky  blue", "Name a prime number."]
        >>> rows = [{"prompt": prompt, "response_a": "x", "response_b": "y"} for prompt in ask]
        >>> prompt_clusters(Battles.from_rows(rows)).tolist()
        [0, 0, 1]
    """
    prompts = normalised_prompts(battles)
    distinct, inverse = _distinct(prompts)
    cluster = text_clusters(distinct, similarity=similarity, seed=seed)[inverse]
    empty = np.array([not prompt for prompt in prompts], dtype=bool)
    if empty.any():
        pairs = AnswerPairs.of(battles.take(np.flatnonzero(empty)))
        cluster[empty] = cluster.max(initial=0) + 1 + pairs.numbers(ordered=False)
    lengths = pc.list_value_length(battles.column("prompt")).fill_null(0).to_numpy()
    several = np.flatnonzero(lengths > 1)
    if first_turn and len(several):
        turns = list(prompts)  # of one turn, the prompt is the first turn
        for row, turn in zip(several.tolist(), normalised_prompts(battles.take(several), first_turn=True), strict=True):
            turns[row] = turn if prompts[row] else ""
        keys = _distinct(turns)[1]
        rows = np.flatnonzero([bool(turn) for turn in turns])
        order = rows[np.argsort(keys[rows], kind="stable")]
        same = keys[order[1:]] == keys[order[:-1]]
        cluster = _linked(cluster, order[:-1][same], order[1:][same])
    return by_appearance(cluster)


def text_clusters(texts: Sequence[str], *, similarity: float = 0.8, seed: int = 0) -> Ints:
    """Number the clusters of similar normalised texts, from 0 by first appearance.

    Signatures of 128 values (rensa's R-MinHash) are divided into bands such that a pair of exactly the wanted
    similarity meets in at least one band with probability 0.999; pairs that meet are compared on their shingle sets.
    MinHash: Broder (1997); banding: Leskovec, Rajaraman and Ullman (2014), "Mining of Massive Datasets", section 3.4.

    Raises:
        ConfigError: If `similarity` lies outside its range.

    Example:
        >>> texts = ["one two three four five six", "seven", "one two three four five six six"]
        >>> text_clusters(texts, similarity=0.6).tolist()
        [0, 1, 0]
    """
    if not 0 < similarity <= 1:
        raise ConfigError(
            f"similarity is {similarity}; allowed is above 0 and at most 1, where 1 links equal texts only"
        )
    distinct, inverse = _distinct(texts)
    cluster: Ints = np.arange(len(distinct), dtype=np.int64)
    if similarity < 1 and len(distinct) > 1:
        sets = shingle_sets(distinct)
        signatures = _signatures(sets, seed)  # (n, 128)
        # A pair of similarity s meets in a band of width w with probability s^w, and in one of 128 / w bands with
        # 1 - (1 - s^w)^(128 / w). Wider bands have fewer chance meetings: take the widest with enough recall.
        meets = [w for w in range(1, _PERMUTATIONS + 1) if (1 - similarity**w) ** (_PERMUTATIONS // w) <= 1 - _RECALL]
        width = max(meets, default=1)
        for start in range(0, _PERMUTATIONS - width + 1, width):
            # One multiply-xor step a column; an odd factor keeps the map one to one. Buckets that share their 64 bits
            # by chance only add candidates, which are verified like all others.
            keys = np.zeros(len(distinct), dtype=np.uint64)  # (n,)
            for values in signatures[:, start : start + width].T:
                keys = (keys ^ (keys >> np.uint64(29)) ^ values) * _ODD
            bucket = np.unique(keys, return_inverse=True)[1].reshape(-1)
            order = np.argsort(bucket, kind="stable")
            bucket = bucket[order]
            for steps in _STEPS:
                left, right = _candidates(order, bucket, cluster, steps)
                cluster = _linked(cluster, *_verify(left, right, signatures, sets, similarity))
    return by_appearance(cluster[inverse])


def _distinct(texts: Sequence[str]) -> tuple[list[str], Ints]:
    distinct = sorted(set(texts))
    place = {text: number for number, text in enumerate(distinct)}
    return distinct, np.fromiter((place[text] for text in texts), dtype=np.int64, count=len(texts))


def _signatures(sets: Sets, seed: int) -> NDArray[np.uint32]:
    from rensa import RMinHash

    hashes, offsets = sets
    out = np.empty((len(offsets) - 1, _PERMUTATIONS), dtype=np.uint32)
    for start in range(0, len(out), _ROWS_AT_ONCE):
        bounds = offsets[start : start + _ROWS_AT_ONCE + 1]
        block = np.ascontiguousarray(hashes[bounds[0] : bounds[-1]])
        rows = (bounds - bounds[0]).astype(np.uint64)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(block, rows, _PERMUTATIONS, seed)
        out[start : start + len(rows) - 1] = matrix.to_rows()
    return out


def _candidates(order: Ints, bucket: Ints, cluster: Ints, steps: range) -> tuple[Ints, Ints]:
    """Find pairs that share a bucket, stand so many steps apart in it and are not together yet."""
    left, right = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for step in steps:
        same = np.flatnonzero(bucket[:-step] == bucket[step:])
        if not len(same):
            break
        one, two = order[same], order[same + step]
        fresh = cluster[one] != cluster[two]
        left.append(one[fresh])
        right.append(two[fresh])
    return np.concatenate(left), np.concatenate(right)


def _verify(
    left: Ints, right: Ints, signatures: NDArray[np.uint32], sets: Sets, similarity: float
) -> tuple[Ints, Ints]:
    """Keep the pairs whose sets of shingles are similar enough, by exact Jaccard similarity."""
    agree = np.empty(len(left), dtype=np.int64)
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        agree[part] = np.count_nonzero(signatures[left[part]] == signatures[right[part]], axis=1)
    # Estimates more than four standard errors too low are dropped unseen; and the smaller set over the larger one
    # bounds the similarity from above.
    error = np.sqrt(similarity * (1 - similarity) / _PERMUTATIONS)
    sizes = np.diff(sets[1])
    possible = agree >= (similarity - 4 * error) * _PERMUTATIONS
    possible &= np.minimum(sizes[left], sizes[right]) >= similarity * np.maximum(sizes[left], sizes[right])
    left, right = left[possible], right[possible]
    # Each part of the pairs holds a bounded number of shingles.
    edges = np.flatnonzero(np.diff(np.cumsum(sizes[left] + sizes[right]) // _SHINGLES_AT_ONCE, prepend=-1))
    keep = [np.zeros(0, dtype=bool)]
    for start, stop in itertools.pairwise([*edges, len(left)]):
        keep.append(_jaccard(left[start:stop], right[start:stop], sets) >= similarity)
    mask = np.concatenate(keep)
    return left[mask], right[mask]


def _jaccard(left: Ints, right: Ints, sets: Sets) -> NDArray[np.float64]:
    hashes, offsets = sets
    sizes = np.diff(offsets)
    owner = np.concatenate([np.repeat(np.arange(len(side)), sizes[side]) for side in (left, right)])
    values = []
    for side in (left, right):
        ends = np.cumsum(sizes[side])
        places = np.arange(ends[-1]) + np.repeat(offsets[side] - ends + sizes[side], sizes[side])
        values.append(hashes[places])
    shingles = np.concatenate(values)
    # A shingle occurs at most once in a set: twice under one owner means in both sets of the pair.
    order = np.argsort(shingles ^ (owner.astype(np.uint64) * _ODD))  # equal shingles of one pair become neighbours
    owner, shingles = owner[order], shingles[order]
    twice = (owner[1:] == owner[:-1]) & (shingles[1:] == shingles[:-1])
    shared = np.bincount(owner[1:][twice], minlength=len(left))
    return np.asarray(shared / (sizes[left] + sizes[right] - shared), dtype=np.float64)


def _linked(cluster: Ints, left: Ints, right: Ints) -> Ints:
    """Merge the clusters of linked items."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(left):
        return cluster
    size = int(cluster.max()) + 1
    graph = coo_array((np.ones(len(left), dtype=np.int8), (cluster[left], cluster[right])), shape=(size, size))
    merged = connected_components(graph, directed=False)[1]
    return np.asarray(merged[cluster], dtype=np.int64)
