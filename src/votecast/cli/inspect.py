"""votecast inspect: what is in a file of votes, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from votecast.cli.options import JsonPath, Reading, Source
from votecast.cli.output import check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import facts, say, table

QUANTILES = ("p05", "median", "p95", "max")
SHOWN_MODELS = 10
SHOWN_IDS = 2


def inspect(
    source: Source,
    /,
    *,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Show what is in a file of votes, and what is wrong with it.

    Args:
        source: File of votes, "-" for standard input.
        reading: How the file is read.
        json: Write everything found as JSON ("-" is standard output).
        overwrite: Replace an existing file.
    """
    from votecast.data.exploration import explore
    from votecast.data.reader import read_votes

    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    reader = reading.reader(overwrite=overwrite)
    with Bars() as bars:
        bars.steps("reading votes", 0, 2)
        votes = read_votes(source, **reader)
        bars.steps("inspecting", 1, 2)
        found = explore(votes, seed=reading.seed or 0).to_dict()
    if json is not None:
        write_json(found, json, overwrite=overwrite)
        write_settings(json, "inspect", {"source": source, "reader": reader})
    if json != "-":
        if found["reading"]:
            show_reading(found["reading"], say)
            say("")
        show(found)


def show(found: Mapping[str, Any]) -> None:
    """Show what was found, in sections.

    Args:
        found: An inspection as a dict.
    """
    facts(_votes(found) | _texts(found))
    say("")
    rows = [
        [f"{name.replace('_', ' ')}, characters", *(f"{sizes[q]:,.0f}" for q in QUANTILES)]
        for name, sizes in found["lengths"].items()
    ]
    table(["lengths", "5 %", "median", "95 %", "longest"], rows)
    if found["models"]:
        say("")
        _models(found["models"])
    say("")
    _longer(found["length_outcomes"])
    facts(_doubtful(found))
    if found["encoding"]["kinds"]:
        say("")
        _damage(found["encoding"]["kinds"])
    if found["examples"]:
        say("")
        table(["rows worth reading", "row", "id"], _examples(found["examples"]))


def _votes(found: Mapping[str, Any]) -> dict[str, str]:
    labels, longer, position = found["labels"], found["longer_wins"], found["position"]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in labels["shares"].items() if share is not None)
    votes = f"{labels['labelled']:,} of {found['rows']:,} rows" + (f" ({shares})" if labels["labelled"] else "")
    pairs = {"with a vote": votes}
    if longer["rate"] is not None:
        pairs["longer answer wins"] = f"{longer['rate']:.1%} of {longer['of']:,.0f} decided rows"
    if position["rate"] is not None:
        pairs["first answer wins"] = f"{position['rate']:.1%} of {position['of']:,.0f} decided rows"
    return pairs


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    turns = ", ".join(f"{count:,} with {number}" for number, count in list(found["turns"]["histogram"].items())[:4])
    languages = ", ".join(f"{name} {count:,}" for name, count in list(found["languages"]["counts"].items())[:8])
    prompts = found["prompts"]
    return {
        "turns": turns + (" ..." if len(found["turns"]["histogram"]) > 4 else ""),
        "languages": f"{languages} (by {found['languages']['found_by']})",
        "prompts": f"{prompts['distinct']:,} distinct, {prompts['clusters']:,} up to near-duplicates, "
        f"the most frequent {prompts['largest_cluster_rows']:,} times",
    }


def _models(models: list[Mapping[str, Any]]) -> None:
    rows = []
    for entry in models[:SHOWN_MODELS]:
        losses = entry["votes"] - entry["wins"] - entry["ties"]
        outcomes = [f"{count:,.10g}" for count in (entry["wins"], losses, entry["ties"])]
        rate = "" if entry["win_rate"] is None else f"{entry['win_rate']:.1%}"
        rows.append([entry["model"], f"{entry['battles']:,}", *outcomes, rate])
    table([f"most frequent of {len(models)} models", "battles", "wins", "losses", "ties", "win rate"], rows)


def _longer(bins: list[Mapping[str, Any]]) -> None:
    rows = [[_times(entry), f"{entry['of']:,}", f"{entry['rate']:.1%}"] for entry in bins if entry["of"]]
    if rows:
        table(["an answer longer by", "decided", "wins"], rows)
        say("")


def _times(entry: Mapping[str, Any]) -> str:
    return f"{entry['from']:g} times" + (" and more" if entry["to"] is None else f" to {entry['to']:g}")


def _damage(kinds: list[Mapping[str, Any]]) -> None:
    rows = [[kind["kind"], f"{kind['rows']:,}", ", ".join(map(str, kind["ids"][:SHOWN_IDS]))] for kind in kinds]
    table(["damaged texts", "rows", "first ids"], rows)


def _examples(examples: list[Mapping[str, Any]]) -> list[list[str]]:
    return [[entry["reason"], f"{entry['row'] + 1:,}", str(entry["id"])] for entry in examples]


def _doubtful(found: Mapping[str, Any]) -> dict[str, str]:
    pairs = found["duplicates"]
    empty = {name.replace("_", " "): count for name, count in found["empty"].items() if count}
    return {
        "empty texts": ", ".join(f"{count:,} in {name}" for name, count in empty.items()) or "none",
        "identical answers": f"{found['identical_answers']:,} rows",
        "other number of turns in an answer": f"{found['turns']['unequal']:,} rows",
        "exact repeats of a pair": f"{pairs['exact']:,} rows",
        "repeats with the answers exchanged": f"{pairs['reversed']:,} rows",
        "pairs whose votes differ": f"{pairs['conflicting_pairs']:,} of {pairs['repeated_pairs']:,} with several votes"
        + _agreed(pairs),
    }


def _agreed(pairs: Mapping[str, Any]) -> str:
    """How far two votes on one pair agree, and where they do not."""
    rate, conflicts = pairs["agreement"]["rate"], pairs["conflicts"]
    said = "" if rate is None else f"; two votes on one pair agree in {rate:.0%} of cases"
    return said + (f" (such as ids {', '.join(conflicts[0]['ids'][:SHOWN_IDS])})" if conflicts else "")
