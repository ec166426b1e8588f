"""Explain the predictions of a baseline: the effect of each group of features on the probabilities, exactly.

The service returns these reasons; their groups and sentences are in `reasons.yaml`.

Both models of a baseline are sums over features: the linear one by itself, the trees by their SHAP values (Lundberg &
Lee 2017; exact for trees: Lundberg et al. 2020). Summed over groups of features, they give strength and closeness of a
battle as a handful of numbers. The effect of a group is then its Shapley value (Shapley 1953) in the game whose players
are the groups, and whose outcome is p_a - p_b after averaging and calibration. Nothing is sampled: all subsets of the
groups are run. So the effects of a battle add up to its p_a - p_b, and swapping the responses changes only their signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import comb, expm1
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from votecast.calibration import Calibrator
from votecast.calibration.tie_models import davidson_probabilities
from votecast.data.battles import Battles
from votecast.data.groups import group_values
from votecast.features import PairFeatures, extract
from votecast.judges.trained import TrainedJudge
from votecast.models.baseline import BaselineModel, Contributions
from votecast.types import Bools, Floats, Ints

Look = dict[str, float]
"""Features of one answer, or those that both share, by name."""

_ROWS_AT_ONCE = 32
_MIN_LANGUAGE = 0.02
"""Share of typical words or letters above which a language is named."""

_SPACED = 0.1
"""Share of Chinese and Japanese letters up to which a text is counted in words."""

_MIN_WORDS, _MIN_CHARACTERS = 8, 40
"""Length below which the language of an answer is not named."""

_DATA: Final[dict[str, Any]] = yaml.safe_load((resources.files("votecast.judges") / "reasons.yaml").read_text("utf-8"))


@dataclass(frozen=True)
class Reason:
    """The effect of one group of features on the prediction for one battle."""

    name: str  # short name of the group
    text: str  # the difference between the answers, in plain words
    # probability it moved from answer b to answer a (above 0) or from a to b (below 0), a share of p_a - p_b
    effect: float


def explain(judge: object, battles: Battles) -> list[list[Reason]] | None:
    """Explain predictions by the differences between the answers.

    Args:
        judge: Any judge.
        battles: n battles.

    Returns:
        For every battle a reason for each group of features, the strongest first; their effects add up to p_a - p_b.
        None for a judge that is not of the baseline family.

    Example:
        >>> from votecast.judges.load import load_judge
        >>> rows = [{"prompt": "Where is Rome?", "response_a": "In Italy.", "response_b": "I cannot say."}]
        >>> judge, battles = load_judge("bundled:baseline"), Battles.from_rows(rows)
        >>> reasons = explain(judge, battles)[0]
        >>> a, b, _ = judge.predict_proba(battles)[0]
        >>> bool(abs(sum(reason.effect for reason in reasons) - (a - b)) < 1e-9)
        True
    """
    if not isinstance(judge, TrainedJudge):
        return None
    members = [member for member in judge.fitted.members if isinstance(member, BaselineModel)]
    if len(members) < len(judge.fitted.members):
        return None
    found = []
    for start in range(0, len(battles), _ROWS_AT_ONCE):
        batch = battles[start : start + _ROWS_AT_ONCE]
        features = extract(batch, threads=1)
        parts = [member.contributions(features) for member in members]
        groups = {by: group_values(batch, by) for by in judge.fitted.calibrator.by}
        effects = _shapley(_outcomes(parts, judge.fitted.calibrator, groups, len(batch)))
        for row, shown, moved in zip(effects, looks(features), _moves(parts), strict=True):
            sides = [{name: float(np.sign(effect)) * move for name, move in moved.items()} for effect in row]
            order = np.argsort(-np.abs(row), kind="stable").tolist()
            found.append([Reason(GROUPS[n].name, GROUPS[n].text(shown, sides[n]), float(row[n])) for n in order])
    return found


def _moves(parts: Sequence[Contributions]) -> list[dict[str, float]]:
    """Return how far each feature moves the strength of answer a in every battle, over all members."""
    total: dict[str, Floats] = {}
    for part in parts:
        for name, moved in zip(part.names, part.strength.T, strict=True):
            plain = name.removeprefix("own_").removeprefix("gap_")
            total[plain] = total[plain] + moved if plain in total else moved
    return [dict(zip(total, row, strict=True)) for row in np.stack(list(total.values()), axis=1).tolist()]


def _outcomes(
    parts: Sequence[Contributions], calibrator: Calibrator, groups: Mapping[str, list[str]], rows: int
) -> Floats:
    """Return calibrated p_a - p_b of every battle for every subset of the groups, shape (n, 2 ** groups)."""
    inside = _subsets().T.astype(np.float64)  # (groups, subsets)
    total = np.zeros((rows * inside.shape[1], 3))  # one row for each battle and subset
    for found in parts:
        places = np.array([group_of(name) for name in found.names])
        s, t = (_sum_subsets(part, places, inside) for part in (found.strength, found.closeness))
        total += davidson_probabilities(s.ravel(), (found.base + t).ravel())
    repeated = {by: np.repeat(values, inside.shape[1]).tolist() for by, values in groups.items()}
    p = calibrator.transform(total / len(parts), repeated)
    return np.asarray((p[:, 0] - p[:, 1]).reshape(rows, -1))


def _sum_subsets(shares: Floats, places: Ints, inside: Floats) -> Floats:
    """Sum the shares of columns (n, columns) over the groups of each subset, shape (n, 2 ** groups)."""
    total = np.zeros((len(shares), inside.shape[1]))
    for group, has in enumerate(inside):
        # group by group and each over contiguous memory: the same order of sums whatever the other rows
        share = np.ascontiguousarray(shares[:, places == group]).sum(axis=1)
        total += share[:, None] * has
    return total


def _shapley(outcomes: Floats) -> Floats:
    """Return the Shapley value of every group, shape (n, groups): what it adds to subsets, weighted by size."""
    subsets = _subsets()
    size = subsets.sum(axis=1)
    effects = np.zeros((len(outcomes), len(GROUPS)))
    for group in range(len(GROUPS)):
        without = np.flatnonzero(~subsets[:, group])
        weights = 1 / (len(GROUPS) * np.array([comb(len(GROUPS) - 1, int(k)) for k in size[without]]))
        added = outcomes[:, without | (1 << group)] - outcomes[:, without]
        effects[:, group] = np.ascontiguousarray(added * weights).sum(axis=1)
    return effects


@cache
def _subsets() -> Bools:
    """Return which groups are in each subset, shape (2 ** groups, groups); bit g of its position is group g."""
    return np.asarray((np.arange(2 ** len(GROUPS))[:, None] >> np.arange(len(GROUPS))) & 1, dtype=np.bool_)


@dataclass(frozen=True)
class Measure:
    """How one feature is put into words."""

    kind: str  # "count" where the feature is the logarithm of one more than a count, "share" or "number"
    sentence: str  # A sentence with a place for the number of answer a, and for that of answer b

    def number(self, value: float) -> str:
        """Write the number behind a feature.

        Example:
            >>> MEASURES["prompt_long_words_in"].number(0.25), MEASURES["words"].number(2.3979)
            ('25', '10')
        """
        if self.kind == "count":
            return f"{round(expm1(value)):,}"
        return f"{100 * value:.3g}" if self.kind == "share" else f"{value:.1f}"


@dataclass(frozen=True)
class Group:
    """Features that are explained together."""

    name: str  # short name, as a heading
    features: tuple[str, ...]  # features of one answer that belong to it
    sentence: str  # kind of its sentence; see `_write_sentence`
    fallback: str = ""  # the sentence where nothing is counted, or there is no other
    covered: tuple[str, ...] = ()  # features whose numbers are in that sentence

    def text(self, shown: tuple[Look, Look, Look], moved: Mapping[str, float]) -> str:
        """Describe a pair, beginning with the feature that moved most and differs.

        Args:
            shown: Answer a, answer b, and what both share.
            moved: How far each feature moved the prediction to the side to which all of the group moved it.
        """
        a, b, shared = shown
        known = [name for name in self.features if name in MEASURES and moved.get(name, 0) > 0]
        pairs = {name: (MEASURES[name].number(a[name]), MEASURES[name].number(b[name])) for name in known}
        apart = [name for name, (one, two) in pairs.items() if one != two]
        sentence = _write_sentence(self.sentence, self.fallback, a, b, shared)
        most = max(apart, key=lambda name: moved[name], default=None)
        if most is None or most in self.covered:
            return sentence
        return f"{MEASURES[most].sentence.format(*pairs[most])} {sentence}"


def group_of(column: str) -> int:
    """Return the position in `GROUPS` of a column that the trees or the linear model read.

    Example:
        >>> [GROUPS[group_of(name)].name for name in ("own_chars", "gap_words_3", "prompt_wants_code")]
        ['Length', 'Choice of words', 'The prompt']
    """
    if column in _GROUP_OF:
        return _GROUP_OF[column]
    name = column.removeprefix("own_").removeprefix("gap_")
    return _GROUP_OF.get(name, _GROUP_OF["terms"] if column != name else _GROUP_OF["prompt"])


def looks(features: PairFeatures) -> list[tuple[Look, Look, Look]]:
    """Return the features of every battle by name: of answer a, of answer b, and of both."""

    def _named(names: tuple[str, ...], rows: NDArray[np.float32]) -> list[Look]:
        return [dict(zip(names, row.tolist(), strict=True)) for row in rows]

    one, two = _named(features.names, features.a), _named(features.names, features.b)
    return list(zip(one, two, _named(features.shared_names, features.shared), strict=True))


def _write_sentence(kind: str, fallback: str, a: Look, b: Look, shared: Look) -> str:
    """Write the sentence of a group on a pair; `reasons.yaml` names its kind."""
    match kind:
        case "length":
            unspaced = max(look["script_han"] + look["script_kana"] for look in (a, b)) > _SPACED
            unit, column = ("character", "chars") if unspaced else ("word", "words")
            return f"Answer A has {_number_of(a[column], unit)}, answer B has {_number_of(b[column], unit)}."
        case "layout":
            one, two = _number_of(a["lines"], "line"), _number_of(b["lines"], "line")
            return _count_both(a, b, kind, f"Plain text: {one} in answer A, {two} in answer B.")
        case "closeness":
            one, two = (str(round(100 * look["prompt_words_in"])) for look in (a, b))
            return f"Answer A repeats {one}% of the words of the prompt, answer B {two}%."
        case "language":
            return _name_languages(a, b)
        case "phrases":
            return _compare_phrases(a, b)
        case "sentences":
            one, two = (_number_of(look["sentence_words"], "word") for look in (a, b))
            distinct = [round(100 * look["distinct_words"]) for look in (a, b)]
            return (
                f"Sentences of answer A have {one} on average, those of answer B {two}; {distinct[0]}% of the words of "
                f"answer A and {distinct[1]}% of answer B are distinct."
            )
        case "likeness":
            same = round(100 * shared["likeness_words"])
            return f"The answers share {same}% of their words; the more, the closer the vote."
        case "prompt":
            wants = [name for name in ("list", "table", "code", "text") if shared[f"prompt_wants_{name}"] > 0]
            asks = f" and seems to ask for {' and '.join(wants)}" if wants else ""
            words = _number_of(shared["prompt_words"], "word")
            return f"The prompt has {words}{asks}, which changes what counts in an answer."
    return _count_both(a, b, kind, fallback) if kind in _DATA["counted"] else fallback


def _count_both(a: Look, b: Look, group: str, neither: str) -> str:
    """Count what a group counts in both answers."""
    found = []
    for look in (a, b):
        counts = []
        for word, entry in _DATA["counted"][group].items():
            if count := sum(round(float(np.expm1(look[name]))) for name in entry["features"]):
                counts.append(f"{count:,} {word if count == 1 else entry['plural']}")
        found.append(", ".join(counts))
    one, two = found
    return f"Answer A: {one or 'none of it'}; answer B: {two or 'none of it'}." if one or two else neither


def _name_languages(a: Look, b: Look) -> str:
    found = []
    for look in (a, b):
        shares = {name.removeprefix("is_").capitalize(): look[name] for name in look if name.startswith("is_")}
        shares |= {language: look[script] for script, language in _DATA["scripts"].items()}
        best = max(shares, key=lambda name: shares[name])
        characters, words = (np.expm1(look[name]) for name in ("chars", "words"))
        spaced = look["script_han"] + look["script_kana"] <= _SPACED
        is_short = characters < _MIN_CHARACTERS or (spaced and words < _MIN_WORDS)
        found.append((best if shares[best] > _MIN_LANGUAGE else "", is_short))
    (one, one_short), (two, two_short) = found
    if one_short and two_short:
        return "The answers are too short to recognise their languages."
    if one == two and not one_short and not two_short:
        return f"Both answers seem to be in {one}." if one else "The languages of the answers are not recognised."
    parts = [
        f"answer {side} is too short to recognise its language"
        if is_short
        else f"answer {side} seems to be in {name or 'a language that is not recognised'}"
        for side, (name, is_short) in zip("AB", found, strict=True)
    ]
    return _as_sentence("; ".join(parts))


def _compare_phrases(a: Look, b: Look) -> str:
    gaps = {words: a[name] - b[name] for name, words in _DATA["phrases"].items()}
    parts = []
    for side, sign in (("A", 1), ("B", -1)):
        more = [words for words in sorted(gaps, key=lambda w: -sign * gaps[w]) if sign * gaps[words] > 0]
        parts += [f"answer {side} has more {' and '.join(more[:2])}"] if more else []
    return _as_sentence("; ".join(parts)) if parts else "Both answers use the same turns of phrase."


def _number_of(feature: float, unit: str) -> str:
    count = round(float(np.expm1(feature)))
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


MEASURES: Final = {
    name: Measure(entry["kind"], entry["sentence"].replace("{what}", what))
    for entry in _DATA["measures"]
    for name, what in entry["features"].items()
}
"""The features that can be put into words by a number."""


GROUPS: Final = tuple(
    Group(
        entry["name"],
        tuple(entry["features"]),
        entry["sentence"],
        entry.get("text", ""),
        tuple(entry.get("covered", ())),
    )
    for entry in _DATA["groups"]
)
"""Every column that a baseline reads belongs to exactly one."""

_GROUP_OF: Final = {name: place for place, group in enumerate(GROUPS) for name in group.features}
