"""Test clusters of near-duplicate prompts against exact Jaccard and datasketch."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from votecast.data import duplicates
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters, text_clusters
from votecast.data.prompts import normalise_prompt, shingle_sets
from votecast.errors import ConfigError

Ints = NDArray[np.int64]


def partition(numbers: Sequence[int] | Ints) -> set[frozenset[int]]:
    groups: dict[int, set[int]] = {}
    for row, number in enumerate(np.asarray(numbers).tolist()):
        groups.setdefault(number, set()).add(row)
    return {frozenset(rows) for rows in groups.values()}


def exact_clusters(texts: Sequence[str], similarity: float) -> Ints:
    """Compare all pairs and close clusters under links, as reference."""
    hashes, offsets = shingle_sets(texts)
    columns = np.unique(hashes, return_inverse=True)[1]
    sets = csr_array((np.ones(len(columns)), columns, offsets), shape=(len(texts), len(columns) + 1))
    shared = (sets @ sets.T).toarray()
    sizes = np.diff(offsets)
    union = sizes[:, None] + sizes[None, :] - shared
    links = (shared >= similarity * union) & (union > 0) | (np.array(texts)[:, None] == np.array(texts)[None, :])
    found: Ints = connected_components(csr_array(links), directed=False)[1]
    return found


def noisy_prompts(seed: int, families: int = 60, members: int = 5) -> list[str]:
    """Generate families of texts that differ in a few words."""
    rng = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(3000)])
    out = []
    for family in range(families):
        base = rng.choice(words, int(rng.integers(1, 120)))
        for _ in range(members):
            changed = base.copy()
            touched = rng.random(len(base)) < family / families * 0.2
            changed[touched] = rng.choice(words, int(touched.sum()))
            out.append(" ".join(changed))
    return [out[i] for i in rng.permutation(len(out))]


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.95])
def test_clusters_are_those_of_exact_similarity(similarity: float) -> None:
    texts = noisy_prompts(seed=int(similarity * 100))
    found, expected = text_clusters(texts, similarity=similarity), exact_clusters(texts, similarity)
    assert partition(found) == partition(expected)
    assert 60 < found.max() + 1 < len(texts)


def test_datasketch_finds_the_same_clusters() -> None:
    texts = noisy_prompts(seed=7, families=30)
    index, signatures = MinHashLSH(threshold=0.6, num_perm=256), []
    hashes, offsets = shingle_sets(texts)
    for number in range(len(texts)):
        signature = MinHash(num_perm=256, seed=1)
        signature.update_batch([value.tobytes() for value in hashes[offsets[number] : offsets[number + 1]]])
        signatures.append(signature)
        index.insert(str(number), signature)
    links = np.zeros((len(texts), len(texts)), dtype=bool)
    for number, signature in enumerate(signatures):
        near = [int(key) for key in index.query(signature) if signature.jaccard(signatures[int(key)]) >= 0.8]
        links[number, near] = True
    theirs = connected_components(csr_array(links), directed=False)[1]
    ours = text_clusters(texts, similarity=0.8)
    pairs = np.triu_indices(len(texts), 1)
    together = [(numbers[pairs[0]] == numbers[pairs[1]]) for numbers in (ours, theirs)]
    assert (together[0] == together[1]).mean() > 0.999
    assert together[0].sum() > 50


@given(st.lists(st.text(alphabet="abc ", max_size=10).map(normalise_prompt), max_size=12))
def test_the_partition_does_not_depend_on_the_order(texts: list[str]) -> None:
    order = np.random.default_rng(len(texts)).permutation(len(texts))
    moved = text_clusters([texts[i] for i in order], similarity=0.5)
    there = np.empty(len(texts), dtype=np.int64)
    there[order] = moved
    assert partition(there) == partition(text_clusters(texts, similarity=0.5))


def test_the_same_seed_gives_the_same_clusters_and_another_the_same_pairs() -> None:
    texts = noisy_prompts(seed=3)
    assert np.array_equal(text_clusters(texts, seed=1), text_clusters(texts, seed=1))
    assert partition(text_clusters(texts, seed=1)) == partition(text_clusters(texts, seed=2))


def test_clusters_are_numbered_by_first_appearance() -> None:
    assert text_clusters(["b", "a", "b", "c", "a"]).tolist() == [0, 1, 0, 2, 1]


def test_similarity_one_links_equal_texts_only() -> None:
    assert text_clusters(["ja ja ja ja ja", "ja ja ja ja", "ja ja ja ja"], similarity=1).tolist() == [0, 1, 1]
    assert text_clusters(["ja ja ja ja ja", "ja ja ja ja", "nein"], similarity=0.99).tolist() == [0, 0, 1]


@pytest.mark.parametrize("similarity", [0, -0.1, 1.01])
def test_similarity_out_of_range_is_refused(similarity: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        text_clusters(["a"], similarity=similarity)


def test_no_texts_have_no_clusters() -> None:
    assert text_clusters([]).tolist() == []
    assert prompt_clusters(Battles.from_rows([])).tolist() == []


def test_a_crowded_template_is_one_cluster_and_parts_of_it_may_be_compared_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template = " ".join(f"w{i}" for i in range(60))
    texts = [f"{template} topic {i}" for i in range(300)] + [f"something else {i * i}" for i in range(50)]
    whole = text_clusters(texts)
    assert np.bincount(whole).max() == 300
    monkeypatch.setattr(duplicates, "_SHINGLES_AT_ONCE", 500)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 64)
    monkeypatch.setattr(duplicates, "_ROWS_AT_ONCE", 16)
    assert np.array_equal(text_clusters(texts), whole)


def _rows(*prompts: list[str | None] | str, **columns: str) -> Battles:
    return Battles.from_rows([{"prompt": prompt, "response_a": "x", "response_b": "y"} | columns for prompt in prompts])


def test_case_spacing_and_punctuation_do_not_part_prompts() -> None:
    assert prompt_clusters(_rows("Why is it?", "why  is it", "WHY—IS IT", "why was it")).tolist() == [0, 0, 0, 1]


def test_chinese_prompts_are_compared_by_characters() -> None:
    long = "请用简单的语言向一个五岁的孩子解释为什么天空在白天是蓝色的而在傍晚却会变成红色和橙色"
    assert prompt_clusters(_rows(long, long + "吗", "请写一首诗")).tolist() == [0, 0, 1]


def test_a_conversation_and_its_continuation_are_together() -> None:
    battles = _rows(["Name a colour."], ["name a colour", "Another one, and say at length why you chose it."], ["Hi"])
    assert prompt_clusters(battles).tolist() == [0, 0, 1]
    assert prompt_clusters(battles, first_turn=False).tolist() == [0, 1, 2]


def test_a_missing_first_turn_joins_nothing() -> None:
    assert prompt_clusters(_rows([None, "one thing"], [None, "quite another"], ["", "third"])).tolist() == [0, 1, 2]


def test_rows_without_a_prompt_are_together_only_with_the_same_pair() -> None:
    row: dict[str, list[str]] = {"prompt": []}
    answers = [("x", "y"), ("y", "x"), ("x", "z"), ("x", "y")]
    battles = Battles.from_rows([row | {"response_a": a, "response_b": b} for a, b in answers])
    assert prompt_clusters(battles).tolist() == [0, 0, 1, 0]


def test_real_prompts_are_clustered_as_exact_similarity_would(outside_votes: Path) -> None:
    with gzip.open(outside_votes / "votes_train.jsonl.gz", "rt", encoding="utf-8") as file:
        prompts = [" ".join(turn or "" for turn in json.loads(line)["prompt"]) for line in file]
    texts = sorted({normalise_prompt(prompt) for prompt in prompts})[::5]
    assert partition(text_clusters(texts)) == partition(exact_clusters(texts, 0.8))
