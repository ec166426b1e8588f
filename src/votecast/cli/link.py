"""votecast link: from scores of answers, and votes on some of them, to a judge folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from votecast.cli.options import Flag, Output, ReadOptions
from votecast.cli.screen import (
    Bars,
    gain_text,
    judge_text,
    number_text,
    print_facts,
    print_line,
    print_note,
    print_table,
)
from votecast.cli.summaries import show_out_of_fold, show_parameters, show_reading

_UNITS = {
    "scale": "log odds for each unit of the gap between the scores",
    "length": "log odds for each unit of log length (characters of a over b)",
    "nu": "weight of a tie, where each of two equal answers weighs 1",
    "theta": "how many times as strong an answer must be to be noticed",
    "cut": "lead in log odds from which an answer is noticed",
}
_BASELINES = {
    "prior": "class prior",
    "default_link": "default link, not fitted",
    "fixed_rule": "fixed rule, not fitted",
}


def link(
    *,
    scores: Path,
    votes: str,
    out: Path,
    method: Literal["davidson", "rao_kupper", "ordered_logit", "fixed"] = "davidson",
    length: Flag = False,
    bare: Flag = False,
    trust_ids: Flag = False,
    name: str | None = None,
    reading: ReadOptions = ReadOptions(),
    output: Output = Output(),
) -> None:
    """Fit a link from scores of answers to votes, and save it as a judge.

    Args:
        scores: File with the columns id, score_a and score_b, such as votecast score writes.
        votes: File of votes, joined with the scores by id, and by content where votecast score wrote them; the scoring
            model must not have been trained on them.
        out: Folder to write the judge to.
        method: The curve from the gap between two scores to a, b and tie; fixed is a rule without parameters.
        length: Include the difference in length, which removes a length bias of the scores.
        bare: Treat the scores as bare numbers, although the file names the model that made them.
        trust_ids: Join by id alone, although texts differ, or the ids are row numbers and the scores have no hashes.
        name: Name of the judge.
    """
    from votecast.judges.link_scores import link as link_votes

    output.check()
    options: dict[str, Any] = {"method": method, "length": length, "bare": bare, "name": name}
    options |= {"trust_ids": True} if trust_ids else {}
    options |= {} if reading.seed is None else {"seed": reading.seed}
    reader = reading.reader(overwrite=output.overwrite)
    with Bars() as bars:
        judge = link_votes(
            scores, votes, out=out, overwrite=output.overwrite, reader=reader, progress=bars.steps, **options
        )
    fitted, scored = judge.fitted.members[0].link, judge.notes["scores"]
    assert fitted is not None
    found = fitted.to_dict()
    _show_joined(judge.notes, found)
    results = judge.figures | {"link": found, "scores": scored}
    if output.write_judge(judge, out, "link", {"scores": scores, "votes": votes, **options}, results):
        _show_link(found, fitted.tie_at_zero, judge.figures)
        show_out_of_fold(judge.figures | {"baselines": {}}, "All metrics of the link, cross-fitted by prompt")
        made = scored["made_by"]
        inputs = "only files with score_a and score_b: it was linked from bare numbers and cannot score a text"
        if made is not None:
            inputs = f"texts, scored by {made.get('model', 'the model that made the scores')}"
        print_facts({"judge": judge_text(judge), "predicts": inputs, "folder": out})


def _show_joined(notes: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Show what was read and joined, and warn of scores that do not fit the votes."""
    if "reading" in notes:
        show_reading(notes["reading"])
    scored = notes["scores"]
    left = {"votes without scores": scored["unscored"], "scores without a vote": scored["unvoted"]}
    if counts := [f"{count:,} {what}" for what, count in left.items() if count]:
        print_note(f"joined by id; left out: {', '.join(counts)}")
    if scored["swapped"]:
        print_note(f"{scored['swapped']:,} votes have their answers in the other order; so have their scores now")
    # a scale below 0 means that the higher score loses
    low, high = found["intervals"].get("scale", (1.0, 1.0))
    if high < 0:
        print_note("the scores run against the votes: is the lower score the better, or are the columns swapped?")
    elif low <= 0:
        print_note("no effect of the scores beyond chance was detected: the interval of the scale holds 0")


def _show_link(found: Mapping[str, Any], tie_at_zero: float, figures: Mapping[str, Any]) -> None:
    """Show the parameters of a link with their intervals, and its log loss beside what was not fitted."""
    fitted = f"fitted on {found['votes']:,} votes" if found["fitted"] else "not fitted"
    print_line(f"Link: {found['method']}, {fitted}; {tie_at_zero:.1%} ties at equal scores\n")
    ends, nan = found["intervals"], math.nan
    show_parameters({name: (value, *ends.get(name, (nan, nan))) for name, value in found["parameters"].items()}, _UNITS)
    print_line()
    rows = [["this link, cross-fitted by prompt", number_text(figures["metrics"]["log_loss"]), ""]]
    for name, shown in _BASELINES.items():
        entry, gain = figures["baselines"].get(name, {}).get("log_loss"), figures["gains"].get(name)
        if entry is not None:
            rows.append([shown, number_text(entry), "" if gain is None else gain_text(gain)])
    print_table(["", "log loss", "gain of the link (95 %)"], rows)
    print_line()
