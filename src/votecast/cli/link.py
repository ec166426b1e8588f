"""votecast link: from scores of answers, and votes on some of them, to a judge folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from votecast.cli.figures import show_metrics, show_notes
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, prose, remark, say, table

UNITS = {
    "scale": "log odds for each unit of the gap between the scores",
    "length": "log odds for each unit of log length (characters of a over b)",
    "nu": "weight of a tie, where each of two equal answers weighs 1",
    "theta": "how many times as strong an answer must be to be noticed",
    "cut": "lead in log odds from which an answer is noticed",
}
"""What the parameters of a link are."""

RULES = {"prior": "class prior", "default_link": "default link, not fitted", "fixed_rule": "fixed rule, not fitted"}
"""What stands beside the link, by the name of the baseline."""


def link(
    *,
    scores: Path,
    votes: str,
    out: Path,
    method: Literal["davidson", "rao_kupper", "ordered_logit", "fixed"] = "davidson",
    length: Annotated[bool, Parameter(negative=())] = False,
    bare: Annotated[bool, Parameter(negative=())] = False,
    name: str | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fit a link from scores of answers to votes, and make a judge of it.

    Args:
        scores: File with the columns id, score_a and score_b, such as votecast score writes.
        votes: File of votes, joined with the scores by id; what gave the scores must not have been trained on them.
        out: Folder to write the judge to.
        method: The curve from the gap between two scores to a, b and tie; fixed is a rule with nothing to fit.
        length: Let the difference in length take part, so that a length bias of the scores is taken out.
        bare: Take the scores as bare numbers, although the file says what made them.
        name: What the judge is called.
        reading: How the votes are read.
        json: Write the figures as JSON ("-" is standard output).
        overwrite: Replace an existing judge folder.
    """
    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    from votecast.judges.link_scores import link as link_votes

    options: dict[str, Any] = {"method": method, "length": length, "bare": bare, "name": name}
    options |= {} if reading.seed is None else {"seed": reading.seed}
    reader = reading.reader(overwrite=overwrite)
    with Bars() as bars:
        judge = link_votes(scores, votes, out=out, overwrite=overwrite, reader=reader, progress=bars.steps, **options)
    fitted = judge.fitted.members[0].link
    assert fitted is not None
    found = fitted.to_dict()
    about, cited = judge.notes["scores"], {"name": judge.name, "hash": judge.hash}
    show_joined(judge.notes, found)
    if json is not None:
        results = judge.figures | {"judge": cited | {"folder": str(out)}, "link": found, "scores": about}
        write_json(results, json, overwrite=overwrite)
        write_settings(json, "link", {"scores": scores, "votes": votes, **options}, judge=cited)
    if json == STANDARD:
        return
    show_link(found)
    show_rules(judge.figures)
    say("All figures of the link, on votes of prompts it was not fitted on:\n")
    show_metrics(judge.figures | {"baselines": {}})
    say("")
    show_notes(judge.figures, slices=False)
    facts({"judge": cite(cited), "forecasts": _forecasts(about), "folder": out})


def show_joined(notes: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Say what was read and joined, and what the link found that nobody hoped for."""
    if "reading" in notes:
        show_reading(notes["reading"])
    about = notes["scores"]
    left = {"votes without scores": about["unscored"], "scores without a vote": about["unvoted"]}
    if said := [f"{count:,} {what}" for what, count in left.items() if count]:
        remark(f"joined by id; left out: {', '.join(said)}")
    low, high = found["intervals"].get("scale", (1.0, 1.0))
    if high < 0:
        remark("the scores run against the votes: is the lower score the better, or are the columns exchanged?")
    elif low <= 0:
        remark("the scores say nothing of these votes that chance could not: the interval of the scale holds 0")


def show_link(found: Mapping[str, Any]) -> None:
    """Show the parameters of a link, with their intervals."""
    from votecast.calibration.score_link import Link

    fitted = f"fitted on {found['votes']:,} votes" if found["fitted"] else "not fitted"
    say(f"Link: {found['method']}, {fitted}; {Link.from_dict(found).tie_at_zero:.1%} ties where nothing is ahead\n")
    rows = []
    for name, value in found["parameters"].items():
        low, high = found["intervals"].get(name, (None, None))
        rows.append([name, f"{value:.4g}", "" if low is None else f"{low:.4g} to {high:.4g}"])
    table(["", "value", "95 % interval"], rows)
    for name in found["parameters"]:
        if name in UNITS:
            prose(f"{name}: {UNITS[name]}", indent=2)
    say("")


def show_rules(figures: Mapping[str, Any]) -> None:
    """Show the log loss of the link beside what was not fitted."""
    loss = figures["metrics"]["log_loss"]
    rows = [["this link, cross-fitted by prompt", f"{loss['value']:.4f}", ""]]
    for name, shown in RULES.items():
        entry, gain = figures["baselines"].get(name, {}).get("log_loss"), figures["gains"].get(name)
        if entry is not None:
            gained = "" if gain is None else f"{gain['value']:+.4f} ({_end(gain['low'])} to {_end(gain['high'])})"
            rows.append([shown, f"{entry['value']:.4f}", gained])
    table(["", "log loss", "gain of the link (95 %)"], rows)
    say("")


def _end(value: float | None) -> str:
    return "?" if value is None else f"{value:+.4f}"


def _forecasts(about: Mapping[str, Any]) -> str:
    made = about["made_by"]
    if made is None:
        return "only files with score_a and score_b: it was linked from bare numbers and cannot score a text"
    return f"texts, scored by {made.get('model', 'the model that made the scores')}"
