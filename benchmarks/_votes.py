"""Read external votes as training rows; see DATA.md for sources and licences."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data import Battles, read_votes
from votecast.data.battles import SCHEMA
from votecast.data.clean import aggregate_votes

Floats = NDArray[np.float64]
TRAIN = "votes_train.jsonl.gz"
DEVELOPMENT = ("dev_autoj", "dev_pandalm")

SHARES = {
    "llmfao": 0.25,
    "vicuna80_human": 1.0,
    "vicuna80_human_claude": 0.5,
    "qa_feedback_dev": 1.0,
    "hh_harmless_test": 0.05,
    "oasst1_zh": 0.5,
    "tulu1_human": 1.5,
}
"""Weight of each source: less for few prompts (llmfao has 13) and for other tasks (harmlessness, Chinese only)."""

BINARY = ("hh_harmless_test", "oasst1_zh")
"""Sources whose raters could not call a tie."""

_ORIGINS = (
    ("llmfao", "dustalov/llmfao", "CC BY 4.0", "Dmitry Ustalov: LLMFAO"),
    ("vicuna80_human, vicuna80_human_claude", "bcdnlp/PRD", "MIT", "votes: Ruosen Li, Teerth Patel, Xinya Du"),
    ("vicuna80_human, vicuna80_human_claude", "artidoro/qlora", "MIT", "answers: Artidoro Pagnoni, Tim Dettmers"),
    ("qa_feedback_dev", "allenai/FineGrainedRLHF", "Apache-2.0", "Zeqiu Wu, Yushi Hu and others"),
    ("hh_harmless_test", "anthropics/hh-rlhf", "MIT", "Anthropic"),
    ("oasst1_zh", "hiyouga/LLaMA-Factory", "Apache-2.0", "OpenAssistant contributors; LLaMA-Factory authors"),
    ("tulu1_human", "allenai/open-instruct", "Apache-2.0", "Allen Institute for AI"),
)
SOURCES = [
    {"source": source, "origin": f"https://github.com/{place}", "licence": licence, "attribution": thanks}
    for source, place, licence, thanks in _ORIGINS
]
"""Origin and licence of every vote that the bundled judge was trained on."""

LIMITS = [
    "It leans on form and length: a long, well laid out answer is favoured, whether or not it is right.",
    "It prefers a long refusal to a very short answer, even where the short answer is the right one.",
    "It checks no facts; of arithmetic it sees only simple sums that are written out.",
    "It is calibrated on the crowds named above only; how readily people call a tie differs from crowd to crowd.",
    "Most of its votes are on English prompts of one turn; on other languages and long talks it has seen little.",
]
"""Known failures of the bundled judge, for its card."""

ENCODER_LIMITS = [
    "It is better than bundled:baseline on dev_pandalm and not on dev_autoj (see benchmarks/encoder_votes.py).",
    "It leans on length and form: a longer, well laid out answer is favoured, whether or not it is right.",
    "Its encoder reads 288 tokens of prompt and answer together; what comes later is seen by its baseline part alone.",
    "Its encoder knows English; of other languages it sees little more than length and layout.",
    "It checks no facts and no sums beyond simple ones that are written out.",
    "How readily people call a tie differs from crowd to crowd, and it knows only the crowds named above.",
    "It is one model on one hold-out, not an average over folds, and its predictions are not calibrated afterwards.",
]
"""Known failures of the bundled encoder, for its card."""


def data_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option --data."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default=os.environ.get("VOTECAST_DATA"), help="folder of the files that DATA.md names"
    )
    return parser


def folder_or_leave(given: str | None) -> Path:
    """Return the folder of external votes; without one, exit with code 0."""
    if not given:
        print("skipped: needs outside votes; name their folder with --data or VOTECAST_DATA (see benchmarks/DATA.md)")
        sys.exit(0)
    return Path(given)


def training_votes(folder: Path) -> Battles:
    """Read the training file, one row per vote."""
    return read_votes(folder / TRAIN, labels="required")


def training_rows(votes: Battles) -> Battles:
    """Read training rows, one per pair, weighted by source (mean weight 1).

    A pair counts as the square root of its votes. How ready people are to call a tie is a habit of each crowd (11 % to
    40 % of the votes) that trees would learn to recognise by its prompts; so ties are weighted until every source has
    the share that they have over all. A vote that could not be a tie gives the tie that share.
    """
    rows = aggregate_votes(votes)
    sources = np.array(rows.column("source").to_pylist())
    weights = _by_source(np.sqrt(rows.weights()), sources)
    targets, weights = _even_ties(rows.targets(), weights, sources)
    soft = pa.FixedSizeListArray.from_arrays(pa.array(targets.ravel()), type=SCHEMA.field("probabilities").type)
    table = rows.table
    for name, column in (("weight", pa.array(weights)), ("probabilities", soft)):
        table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
    return Battles(table)


def _by_source(weights: Floats, sources: NDArray[np.str_]) -> Floats:
    for source, share in SHARES.items():
        weights[sources == source] *= share / weights[sources == source].sum()
    return weights * len(weights) / weights.sum()


def _even_ties(targets: Floats, weights: Floats, sources: NDArray[np.str_]) -> tuple[Floats, Floats]:
    binary = np.isin(sources, BINARY)
    overall = float(np.average(targets[~binary, 2], weights=weights[~binary]))
    targets[binary] = targets[binary] * (1 - overall) + np.array([0.0, 0.0, overall])
    for source in set(SHARES) - set(BINARY):
        rows = sources == source
        own = float(np.average(targets[rows, 2], weights=weights[rows]))
        mass = targets[rows] * np.array([(1 - overall) / (1 - own)] * 2 + [overall / own])
        targets[rows], weights[rows] = mass / mass.sum(axis=1, keepdims=True), weights[rows] * mass.sum(axis=1)
    return targets, weights
