"""Compare texts of a battle: words of the prompt in a response, words that both responses share.

`extract` calls `compare_texts` for all battles at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from votecast.features.characters import ALPHABETS, KIND, Hashes, Ints, Texts
from votecast.features.lexicon import function_words
from votecast.features.words import DistinctTerms, Sentences, Terms, Words, is_among

Column = NDArray[np.float64]


def compare_texts(
    texts: Texts, words: Words, pairs: Terms, sentences: Sentences, terms: Mapping[str, DistinctTerms]
) -> tuple[dict[str, Column], dict[str, Column], dict[str, Column]]:
    """Compare prompt and responses of n battles.

    Args:
        texts: 3n texts: prompts, then responses A, then responses B.
        words: Their words.
        pairs: Their pairs of neighbouring words.
        sentences: Their sentences.
        terms: Their distinct terms by kind; "words" and "pairs" are needed.

    Returns:
        Columns about response A and its prompt, the same about response B, and columns about both responses that a
        swap does not change; each of shape (n,).
    """
    n = texts.turns.size // 3
    keys = {name: _keys_by_part(kind, n) for name, kind in terms.items()}
    sizes = {name: np.bincount(owner, minlength=3 * n).reshape(3, n) for name, (_, owner, _) in terms.items()}
    on_topic = _on_topic(texts, words, pairs, sentences, keys["words"][0], keys["pairs"][0]).reshape(3, n)
    # English letters and those of other Latin languages are one script.
    kinds = [[KIND[name] for name in names] for names in (("lower", "upper", "latin"), *((n,) for n in ALPHABETS[1:]))]
    letters = np.stack([texts.by_kind[:, kind].sum(axis=1) for kind in kinds], axis=1).astype(np.float64)
    scripts = (letters / np.maximum(letters.sum(axis=1, keepdims=True), 1)).reshape(3, n, len(kinds))

    responses: list[dict[str, Column]] = []
    for part in (1, 2):
        shared = {name: _count_shared(parts[0], parts[part], n) for name, parts in keys.items()}
        found = {f"prompt_{name}_in": count / np.maximum(sizes[name][0], 1) for name, count in shared.items()}
        found |= {f"{name}_from_prompt": count / np.maximum(sizes[name][part], 1) for name, count in shared.items()}
        found["on_topic"] = on_topic[part]
        found["same_script"] = np.minimum(scripts[0], scripts[part]).sum(axis=1)
        responses.append(found)
    both: dict[str, Column] = {}
    for name, parts in keys.items():
        total = sizes[name][1] + sizes[name][2]
        dice = 2 * _count_shared(parts[1], parts[2], n) / np.maximum(total, 1)  # Dice (1945) coefficient
        both[f"likeness_{name}"] = np.where(total, dice, 1.0)  # two empty responses are alike
    return responses[0], responses[1], both


def _keys_by_part(terms: DistinctTerms, n: int) -> list[Hashes]:
    """Split the keys of 3n texts into prompts, responses A and B, with the battle instead of the text in each key."""
    keys, owner, _ = terms
    edges = np.searchsorted(owner, [0, n, 2 * n, 3 * n])
    return [keys[edges[part] : edges[part + 1]] - (np.uint64(part * n) << np.uint64(40)) for part in range(3)]


def _count_shared(one: Hashes, two: Hashes, n: int) -> Column:
    """Count the keys of each battle that are in both sorted arrays, shape (n,)."""
    small, large = sorted((one, two), key=len)
    battle = (small[is_among(small, large)] >> np.uint64(40)).astype(np.int64)
    return np.bincount(battle, minlength=n).astype(np.float64)


def _on_topic(
    texts: Texts, words: Words, pairs: Terms, sentences: Sentences, prompt_words: Hashes, prompt_pairs: Hashes
) -> Column:
    """Return the share of sentences with a word of the prompt (no function word), or two Chinese characters of it."""
    n = texts.turns.size // 3

    def _in_prompt(hashes: Hashes, owner: Ints, prompt: Hashes) -> NDArray[np.bool_]:
        return is_among(((owner % n).astype(np.uint64) << np.uint64(40)) | (hashes >> np.uint64(24)), prompt)

    single = texts.is_kind("han", "kana")[words.first]
    content = ~single & (words.length > 2) & ~is_among(words.hashes, function_words())
    found = content & _in_prompt(words.hashes, words.owner, prompt_words)
    place = np.flatnonzero(words.owner[:-1] == words.owner[1:])  # first word of each pair
    found[place] |= single[place] & single[place + 1] & _in_prompt(*pairs, prompt_pairs)
    return sentences.share(np.bincount(sentences.of_word[found], minlength=sentences.owner.size) > 0)
