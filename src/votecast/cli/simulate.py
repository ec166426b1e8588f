"""votecast simulate: an arena whose true probabilities are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, validators

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, settings_path, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.screen import facts


def simulate(
    *,
    rows: Annotated[int, Parameter(validator=validators.Number(gte=1))],
    out: Path,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    start: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    votes: bool = True,
    truth: Path | None = None,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write votes of an arena whose true probabilities are known.

    Args:
        rows: Number of battles.
        out: File to write, a CSV in the columns of the LMSYS contest.
        seed: Which arena; another seed is another set of prompts.
        start: Number of the first row: rows from here on are a fresh part of the same arena.
        votes: Whether to write models and votes; without them the file looks like the contest's test file.
        truth: Where the true probabilities go; by default beside the output.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs.
    """
    from votecast.data.simulation import bayes_log_loss, truth_path, write_simulation

    side = truth or truth_path(out)
    check_outputs(out, side, settings_path(out), json, overwrite=overwrite)
    with Bars() as bars:
        known = write_simulation(
            out, rows, seed, start=start, labels=votes, truth=side, overwrite=overwrite, progress=bars.rows
        )
    best = bayes_log_loss(known, known.probabilities)
    options = {"rows": rows, "seed": seed, "start": start, "votes": votes, "truth": side}
    write_settings(out, "simulate", options)
    summary: dict[str, Any] = {"rows": rows, "written": str(out), "truth": str(side), "bayes_log_loss": best}
    if json is not None:
        write_json(summary, json, overwrite=overwrite)
    if json != "-":
        facts({"rows": f"{rows:,}", "written": out, "truth": side, "Bayes-optimal log loss": f"{best:.4f}"})
