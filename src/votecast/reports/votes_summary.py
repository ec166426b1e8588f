"""What votes mean for whoever wants to use them, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from votecast.reports.document import Remark

Found = Mapping[str, Any]

FEW = 500
"""Votes below which little can be learnt."""
_RARE, _DAMAGED, _REPEATED = 0.02, 0.005, 0.1
_HEAVY, _TILTED = 0.5, 0.05
_SEVERAL = 20
"""Pairs with several votes from which the agreement of two people is told in the summary."""


def summary(found: Found) -> list[Remark]:
    """Sentences about votes, from what `explore` found.

    Args:
        found: An exploration as a dict.
    """
    return [*_votes(found), *_sides(found), *_lengths(found), *_prompts(found), *_agreement(found), *_texts(found)]


def _votes(found: Found) -> list[Remark]:
    labels, rows = found["labels"], found["rows"]
    labelled = labels["labelled"]
    if not labelled:
        return [Remark("warning", f"None of the {rows:,} rows carries a vote: nothing can be learnt or measured here.")]
    shares = labels["shares"]
    said = f"a wins {shares['a']:.1%}, b wins {shares['b']:.1%}, {shares['tie']:.1%} are ties"
    out = [Remark("note", f"{labelled:,} of {rows:,} rows carry a vote: {said}.")]
    if labelled < FEW:
        out.append(Remark("warning", f"{labelled:,} votes are few: figures from them have wide intervals."))
    absent = [name for name in ("a", "b") if shares[name] == 0]
    if absent:
        out.append(
            Remark("warning", f"No vote is for {' or '.join(absent)}: a judge cannot learn from one side alone.")
        )
    if shares["tie"] == 0:
        out.append(Remark("note", "No tie was voted: probabilities of ties cannot be learnt or measured here."))
    elif shares["tie"] < _RARE:
        out.append(Remark("note", f"Ties are rare ({shares['tie']:.1%}): their probability is known poorly."))
    return out


def _sides(found: Found) -> list[Remark]:
    rate = found["position"]
    if rate["rate"] is None:
        return []
    if rate["low"] <= 0.5 <= rate["high"]:
        if rate["high"] - rate["low"] > 2 * _TILTED:
            text = f"Whether one side wins more often cannot be told from {rate['of']:,} decided votes."
            return [Remark("note", text)]
        return [Remark("good", f"The sides are balanced: the first answer wins {rate['rate']:.1%} of decided votes.")]
    text = (
        f"The sides are not balanced: the first answer wins {rate['rate']:.1%} of {rate['of']:,} decided votes "
        f"(95% interval {rate['low']:.1%} to {rate['high']:.1%}). People may favour a side, or the better answer was "
        "shown there more often."
    )
    return [Remark("warning" if abs(rate["rate"] - 0.5) >= _TILTED else "note", text)]


def _lengths(found: Found) -> list[Remark]:
    rate = found["longer_wins"]
    if rate["rate"] is None or rate["low"] <= 0.5 <= rate["high"]:
        return []
    who = "longer" if rate["rate"] > 0.5 else "shorter"
    share = max(rate["rate"], 1 - rate["rate"])
    text = f"The {who} answer wins {share:.1%} of decided votes: a judge can look good here by counting characters."
    return [Remark("warning" if share >= 0.65 else "note", text)]


def _prompts(found: Found) -> list[Remark]:
    prompts, rows = found["prompts"], found["rows"]
    if not rows or not prompts["clusters"]:
        return []
    out = []
    heaviest = prompts["largest_cluster_rows"] / rows
    if heaviest > _REPEATED:
        text = f"One prompt and its near-duplicates make up {heaviest:.0%} of the rows: the figures hang on it."
        out.append(Remark("warning", text))
    if prompts["clusters"] < _HEAVY * rows:
        text = (
            f"{rows:,} rows ask only {_prompts_asked(prompts['clusters'])}: rows with one prompt are alike, and "
            "the votes tell less than their number suggests. votecast keeps them in one fold."
        )
        out.append(Remark("note", text))
    return out


def _agreement(found: Found) -> list[Remark]:
    agreement, conflicts = found["duplicates"]["agreement"], found["duplicates"]["conflicting_pairs"]
    if agreement["pairs"] < _SEVERAL:
        return []
    text = (
        f"Two votes on the same pair agree in {agreement['rate']:.0%} of cases ({agreement['pairs']:,} pairs with "
        f"several votes, {conflicts:,} of them with votes that differ): no judge can be expected to agree with people "
        "much more often than they do with each other."
    )
    return [Remark("note", text)]


def _texts(found: Found) -> list[Remark]:
    rows = max(found["rows"], 1)
    damaged, empty = found["encoding"]["rows"], sum(found["empty"].values())
    out = []
    if damaged:
        text = f"{_rows(damaged)} damaged text ({damaged / rows:.2%}): see damaged texts."
        out.append(Remark("warning" if damaged / rows >= _DAMAGED else "note", text))
    if empty:
        what = "prompts or answers hold" if empty > 1 else "prompt or answer holds"
        out.append(Remark("note", f"{empty:,} {what} no visible text."))
    if not damaged and not empty:
        out.append(Remark("good", "No text is damaged or empty."))
    if found["identical_answers"]:
        out.append(Remark("note", f"{_rows(found['identical_answers'])} two identical answers."))
    return out


def _prompts_asked(count: int) -> str:
    return f"{count:,} different prompts" if count != 1 else "one prompt"


def _rows(count: int) -> str:
    return f"{count:,} rows show" if count != 1 else "1 row shows"
