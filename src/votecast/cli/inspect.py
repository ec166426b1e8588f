"""votecast inspect: the contents and the problems of a file of votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from votecast.cli.options import Output, ReadOptions, Source
from votecast.cli.screen import Bars, print_facts, print_line, print_table
from votecast.cli.summaries import show_reading

SHOWN_MODELS = 10
SHOWN_IDS = 2


def inspect(source: Source, /, *, reading: ReadOptions = ReadOptions(), output: Output = Output()) -> None:
    """Show the contents and the problems of a file of votes.

    Args:
        source: File of votes, "-" for standard input.
    """
    from votecast.data.exploration import explore
    from votecast.data.reader import read_votes

    output.check()
    reader = reading.reader(overwrite=output.overwrite)
    with Bars() as bars:
        bars.steps("reading votes", 0, 2)
        votes = read_votes(source, **reader)
        bars.steps("inspecting", 1, 2)
        found = explore(votes, seed=reading.seed or 0).to_dict()
    if output.write(found, "inspect", {"source": source, "reader": reader}):
        if found["reading"]:
            show_reading(found["reading"], print_line)
            print_line()
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    """Show what was found, in sections."""
    print_facts(_describe_votes(found))
    print_line()
    rows = [
        [f"{name.replace('_', ' ')}, characters", *(f"{sizes[q]:,.0f}" for q in ("p05", "median", "p95", "max"))]
        for name, sizes in found["lengths"].items()
        if found["rows"]
    ]
    print_table(["lengths", "5 %", "median", "95 %", "longest"], rows)
    if models := found["models"]:
        print_line()
        columns = [f"most frequent of {len(models)} models", "battles", "wins", "losses", "ties", "win rate"]
        print_table(columns, map(_model_row, models[:SHOWN_MODELS]))
    print_line()
    decided = [entry for entry in found["length_outcomes"] if entry["of"]]
    ends = [" and more" if entry["to"] is None else f" to {entry['to']:g}" for entry in decided]
    rows = [
        [f"{entry['from']:g} times{end}", f"{entry['of']:,}", f"{entry['rate']:.1%}"]
        for entry, end in zip(decided, ends, strict=True)
    ]
    if rows:
        print_table(["an answer longer by", "decided", "wins"], rows)
        print_line()
    print_facts(_describe_problems(found))
    if kinds := found["encoding"]["kinds"]:
        print_line()
        rows = [[kind["kind"], f"{kind['rows']:,}", ", ".join(map(str, kind["ids"][:SHOWN_IDS]))] for kind in kinds]
        print_table(["damaged texts", "rows", "first ids"], rows)
    if found["examples"]:
        print_line()
        rows = [[entry["reason"], f"{entry['row'] + 1:,}", str(entry["id"])] for entry in found["examples"]]
        print_table(["rows worth reading", "row", "id"], rows)


def _model_row(entry: Mapping[str, Any]) -> list[str]:
    losses = entry["votes"] - entry["wins"] - entry["ties"]
    outcomes = [f"{count:,.10g}" for count in (entry["wins"], losses, entry["ties"])]
    rate = "" if entry["win_rate"] is None else f"{entry['win_rate']:.1%}"
    return [entry["model"], f"{entry['battles']:,}", *outcomes, rate]


def _describe_votes(found: Mapping[str, Any]) -> dict[str, str]:
    labels, prompts, languages = found["labels"], found["prompts"], found["languages"]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in labels["shares"].items() if share is not None)
    votes = f"{labels['labelled']:,} of {found['rows']:,} rows" + (f" ({shares})" if labels["labelled"] else "")
    facts = {"with a vote": votes}
    for name, rate in (("longer answer wins", found["longer_wins"]), ("first answer wins", found["position"])):
        if rate["rate"] is not None:
            facts[name] = f"{rate['rate']:.1%} of {rate['of']:,.0f} decided rows"
    turns = list(found["turns"]["histogram"].items())
    named = ", ".join(f"{name} {count:,}" for name, count in list(languages["counts"].items())[:8])
    sampled = f", in a sample of {languages['rows']:,} rows" if languages["rows"] < found["rows"] else ""
    return facts | {
        "turns": ", ".join(f"{count:,} with {number}" for number, count in turns[:4]) + " ..." * (len(turns) > 4),
        "languages": f"{named} (by {languages['found_by']}{sampled})",
        "prompts": "none: rows without a prompt are compared by their answers"
        if not prompts["distinct"]
        else f"{prompts['distinct']:,} distinct, {prompts['clusters']:,} up to near-duplicates, "
        f"the most frequent {prompts['largest_cluster_rows']:,} times",
    }


def _describe_problems(found: Mapping[str, Any]) -> dict[str, str]:
    pairs = found["duplicates"]
    rate, conflicts = pairs["agreement"]["rate"], pairs["conflicts"]
    agreed = "" if rate is None else f"; two votes on one pair agree in {rate:.0%} of cases"
    agreed += f" (such as ids {', '.join(conflicts[0]['ids'][:SHOWN_IDS])})" if conflicts else ""
    empty = [f"{count:,} in {name.replace('_', ' ')}" for name, count in found["empty"].items() if count]
    return {
        "empty texts": ", ".join(empty) or "none",
        "identical answers": f"{found['identical_answers']:,} rows",
        "other number of turns in an answer": f"{found['turns']['unequal']:,} rows",
        "exact duplicates of a pair": f"{pairs['exact']:,} rows",
        "duplicates with the answers swapped": f"{pairs['reversed']:,} rows",
        "pairs whose votes differ": f"{pairs['conflicting_pairs']:,} of {pairs['repeated_pairs']:,} with several votes"
        + agreed,
    }
