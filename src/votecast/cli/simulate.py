"""votecast simulate: votes of an arena whose true probabilities are known."""

from __future__ import annotations

from pathlib import Path

from votecast.artifacts import settings_path
from votecast.cli.options import Count, Output, Positive, write_settings
from votecast.cli.screen import Bars, print_facts


def simulate(
    *,
    rows: Positive,
    out: Path,
    seed: Count = 0,
    start: Count = 0,
    votes: bool = True,
    truth: Path | None = None,
    output: Output = Output(),
) -> None:
    """Simulate votes of an arena whose true probabilities are known.

    Args:
        rows: Number of battles.
        out: File to write, a CSV in the columns of the LMSYS contest.
        seed: Which arena; another seed is another set of prompts.
        start: Number of the first row: rows from here on are a new part of the same arena.
        votes: Whether to write models and votes; without them the file looks like the contest's test file.
        truth: File of the true probabilities; by default beside the output.
    """
    from votecast.data.simulation import bayes_log_loss, truth_path, write_simulation

    side = truth or truth_path(out)
    output.check(out, side, settings_path(out), settings=False)
    with Bars() as bars:
        known = write_simulation(
            out, rows, seed, start=start, labels=votes, truth=side, overwrite=output.overwrite, progress=bars.rows
        )
    best = bayes_log_loss(known, known.probabilities)
    write_settings(out, "simulate", {"rows": rows, "seed": seed, "start": start, "votes": votes, "truth": side})
    if output.write({"rows": rows, "written": str(out), "truth": str(side), "bayes_log_loss": best}):
        print_facts({"rows": f"{rows:,}", "written": out, "truth": side, "Bayes-optimal log loss": f"{best:.4f}"})
