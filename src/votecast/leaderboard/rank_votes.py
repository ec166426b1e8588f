"""What `votecast rank` does: from files of votes, a judge's predictions, or both, to a leaderboard.

Called by the command line and, as `votecast.leaderboard.leaderboard`, from Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.errors import ConfigError, DataError
from votecast.judges.load import load_judge
from votecast.judges.predict_batch import cite, reader_numbers
from votecast.leaderboard.battle_games import (
    BattleRows,
    Styles,
    both_bad_shares,
    clusters_of,
    drop_rare_models,
    is_both_bad,
    name_models,
)
from votecast.leaderboard.board import FEW_CLUSTERS, Leaderboard
from votecast.leaderboard.connectivity import join_names
from votecast.leaderboard.games import Games, Predicted
from votecast.leaderboard.judge_predictions import is_voted_on, predict_battles, predict_voted, seen_rows
from votecast.leaderboard.rank_models import rank_models
from votecast.leaderboard.settings import BoardSettings
from votecast.splits import PromptHashes
from votecast.types import Bools, Judge, Probabilities, Progress, no_progress

VOTES: Final = "votes"
PREDICTIONS: Final = "predictions"
BOTH: Final = "votes and predictions"

_UNEVEN: Final = 0.1
"""Difference in how often models stand first, in pairs and in votes, that a note reports (beyond chance)."""

_Read = Callable[[object, Literal["optional", "ignored"]], Battles]
_MakeGames = Callable[[BattleRows, Probabilities, Styles], Games]


def leaderboard(
    votes: object | None,
    *,
    pairs: object | None = None,
    judge: Judge | str | Path | None = None,
    reader: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
    **settings: object,
) -> Leaderboard:
    """Rank models by votes, by a judge's predictions of votes, or by both.

    With both, the ranking is prediction-powered (Angelopoulos et al. 2023, "PPI++"): the votes keep it unbiased,
    whatever the judge gets wrong, and predictions of pairs without votes make it more precise as far as the judge is
    right. It assumes that the pairs are of the same kind as the voted ones.

    Args:
        votes: Path of a file, battles, a frame or a list of dicts, with the models of every row; None to rank by
            predictions alone.
        pairs: The same without votes, to be predicted; rows of `votes` without a vote where None and a judge is given.
        judge: A judge, or its folder or name.
        reader: Options of `read_votes` for paths.
        progress: Progress callback.
        **settings: As of `BoardSettings`.

    Raises:
        ConfigError: If a setting is unknown or does not fit the others, or there is nothing to rank by.
        DataError: If the rows cannot be ranked: no models, one model, none that were compared.
        LeakError: If the judge was trained on voted prompts and holds no out-of-fold predictions of them.

    Example:
        >>> rows = [("x", "y", "a"), ("y", "z", "a"), ("z", "x", "b"), ("y", "x", "a"), ("z", "y", "a")]
        >>> texts = {"prompt": "Hi", "response_a": "1", "response_b": "2"}
        >>> votes = [texts | {"prompt": f"{a}{b}", "model_a": a, "model_b": b, "winner": w} for a, b, w in rows]
        >>> leaderboard(votes).ranking.models[0]
        'x'
    """
    asked = BoardSettings.parse(settings)
    if judge is None and pairs is not None:
        raise ConfigError("pairs without votes are given and no judge to predict them; name one (--judge, judge)")
    if votes is None and pairs is None:
        raise ConfigError("there is nothing to rank by; give votes (--input), or a judge and pairs (--judge, --pairs)")
    if all(isinstance(source, str) and source == "-" for source in (votes, pairs)):
        raise ConfigError("votes and pairs are both to come from standard input; name a file for one of them")
    who = load_judge(judge) if isinstance(judge, str | Path) else judge
    notes: list[str] = []
    reading: list[Mapping[str, Any]] = []
    read = partial(_read, judge=who, reader=dict(reader or {}), progress=progress, notes=notes, reading=reading)
    make_games = partial(_make_games, asked=asked, progress=progress, notes=notes)
    predicted, every, counts = None, None, {"voted": 0, "predicted": 0, "against_both": 0}
    if votes is None:
        assert who is not None
        source, games = PREDICTIONS, _predicted_games(who, read(pairs, "ignored"), asked, make_games, progress, notes)
    else:
        source, battles = VOTES, read(votes, "optional")
        voted, every, counts["against_both"] = _voted_rows(battles, asked, notes, has_judge=who is not None)
        styles = Styles.of(voted, wanted=asked.style_control)
        notes += styles.notes
        waiting = _pairs_to_predict(battles, pairs, read, notes, has_judge=who is not None)
        if waiting is not None and who is not None:
            predicted = _predict(who, voted, waiting, styles, make_games, progress, notes)
            source, counts["predicted"] = BOTH, len(predicted.unlabelled)
        games = make_games(voted, voted.battles.targets(), styles)
    progress("ranking", 0, 1)
    ranking = rank_models(
        games,
        method=asked.method,
        intervals=asked.intervals,
        draws=asked.draws,
        seed=asked.seed,
        predicted=predicted,
        disconnected=asked.disconnected,
        anchor=asked.anchor,
    )
    if 1 < ranking.clusters < FEW_CLUSTERS:
        notes.append(
            f"only {ranking.clusters} independent units: intervals are rough, and may not hold for other prompts"
        )
    counts["predicted" if source == PREDICTIONS else "voted"] = ranking.votes
    both_bad = None
    if every is not None:
        rows = every.among(ranking.models)
        clusters, _ = clusters_of(rows.battles, asked.clusters, asked.seed)
        bad, weights = is_both_bad(rows.battles), rows.battles.weights()
        both_bad = both_bad_shares(len(rows.models), rows.a, rows.b, bad, weights, clusters)
    notes = list(dict.fromkeys([*notes, *ranking.notes]))
    cited = None if who is None else cite(who)
    return Leaderboard(source, ranking, asked, counts, both_bad, cited, tuple(notes), tuple(reading))


def _read(
    source: object,
    labels: Literal["optional", "ignored"],
    *,
    judge: Judge | None,
    reader: dict[str, Any],
    progress: Progress,
    notes: list[str],
    reading: list[Mapping[str, Any]],
) -> Battles:
    """Read a file, or take battles as they are."""
    progress("reading", 0, 1)
    if not isinstance(source, str | Path):
        battles = as_battles(source, ranking=True)
        if labels == "ignored" and battles.labelled.any():
            notes.append("the votes of the pairs are ignored; give them as votes to use them")
        return battles
    numbers = {} if judge is None else reader_numbers(judge)
    options = {"labels": labels, "ranking": True} | numbers | reader
    if reading:
        options.pop("quarantine", None)  # the side file that was named is that of the votes
    battles = read_votes(source, **options)
    if not len(battles):
        raise DataError(f"{source} holds no rows; give a file with at least a few hundred")
    if battles.report is not None:
        reading.append(battles.report.to_dict())
    return battles


def _make_games(
    rows: BattleRows,
    outcome: Probabilities,
    styles: Styles,
    *,
    asked: BoardSettings,
    progress: Progress,
    notes: list[str],
) -> Games:
    """Return the games of rows, with clusters and style."""
    progress("clustering prompts", 0, 1)
    clusters, note = clusters_of(rows.battles, asked.clusters, asked.seed)
    notes.append(note)
    weights = rows.battles.weights()
    return Games.of(rows.models, rows.a, rows.b, outcome, weights, clusters, styles.gaps(rows), styles.names)


def _predicted_games(
    judge: Judge, pairs: Battles, asked: BoardSettings, make_games: _MakeGames, progress: Progress, notes: list[str]
) -> Games:
    """Return games whose outcome is the judge's predictions alone."""
    rows = drop_rare_models(name_models(pairs, "pairs"), asked.min_battles)
    known, more = seen_rows(judge, rows.battles)
    notes += [*rows.notes, *more]
    if len(known):
        notes.append(
            f"{len(known):,} of {len(rows):,} pairs have prompts that the judge was trained on: on these it is more "
            "confident"
        )
    styles = Styles.of(rows, wanted=asked.style_control)
    notes += styles.notes
    games = make_games(rows, predict_battles(judge, rows.battles, progress), styles)
    notes.append(
        "the ranking is that of the judge: its intervals say how far it would differ on other prompts, and not how "
        "far the judge is from people"
    )
    return games


def _voted_rows(
    battles: Battles, asked: BoardSettings, notes: list[str], *, has_judge: bool
) -> tuple[BattleRows, BattleRows | None, int]:
    """Return the votes to fit on; all votes, where those against both are an outcome of their own; and how many are."""
    cast = battles.labelled
    if not cast.any():
        raise DataError(
            f"none of the {len(battles)} rows has a vote; give votes, or rank by predictions alone: name the rows as "
            "pairs (--pairs) beside a judge, and no votes (--input)"
        )
    voted = name_models(_take(battles, cast), "votes")
    bad, every = is_both_bad(voted.battles), None
    if asked.both_bad == "own" and not bad.any():
        notes.append("no vote is marked as against both responses (tie (bothbad), both_bad)")
    if bad.any():
        if asked.both_bad != "tie" and has_judge:
            raise ConfigError(
                f"both_bad is {asked.both_bad!r} and a judge takes part, which predicts votes against both responses "
                "as ties; use both_bad tie, or leave the judge out"
            )
        if asked.both_bad != "tie" and bad.all():
            raise DataError(f"all {len(voted)} votes are against both responses, so that nothing is left to rank by")
        effect = {
            "tie": "they count as ties (--both-bad drop or own does otherwise)",
            "drop": "they are left out",
            "own": "scores are of the other votes, and each model's share of these is shown",
        }[asked.both_bad]
        notes.append(f"{int(bad.sum()):,} of {len(voted):,} votes are against both responses: {effect}")
        every = voted if asked.both_bad == "own" else None
        voted = voted if asked.both_bad == "tie" else voted.where(~bad)
    voted = drop_rare_models(voted, asked.min_battles)
    notes += voted.notes
    return voted, every, int(bad.sum())


def _pairs_to_predict(
    battles: Battles, pairs: object | None, read: _Read, notes: list[str], *, has_judge: bool
) -> BattleRows | None:
    """Return the pairs to predict; None without a judge."""
    rest = ~battles.labelled
    left, found = int(rest.sum()), None
    if pairs is not None:
        found = read(pairs, "ignored")
    elif has_judge:
        if not rest.any():
            raise ConfigError(
                "a judge is given and nothing for it to predict: every row has a vote; give pairs without votes "
                "(--pairs), or leave the judge out"
            )
        left, found = 0, _take(battles, rest)
    if left:
        notes.append(f"{left:,} of {len(battles):,} rows have no vote and are left out")
    return None if found is None else name_models(found, "pairs")


def _predict(
    judge: Judge,
    voted: BattleRows,
    waiting: BattleRows,
    styles: Styles,
    make_games: _MakeGames,
    progress: Progress,
    notes: list[str],
) -> Predicted:
    """Predict the votes and the pairs without votes that are new to the judge."""
    again = is_voted_on(voted.battles, waiting.battles)
    if again.all():
        raise DataError(
            f"all {len(again)} pairs repeat voted rows (the same prompt and responses), so that their predictions add "
            "nothing; give pairs without votes (--pairs), or leave the judge out"
        )
    if again.any():
        note = f"{int(again.sum()):,} of {len(waiting):,} pairs repeat voted rows, which adds nothing, and are left out"
        waiting = waiting.where(~again, note)
    labelled, more = predict_voted(judge, voted.battles, progress)
    notes += more
    fresh = np.ones(len(waiting), dtype=bool)
    fresh[seen_rows(judge, waiting.battles)[0]] = False
    if not fresh.all():
        lost = f"{int((~fresh).sum()):,} of {len(waiting):,} pairs"
        waiting = waiting.where(fresh, f"{lost} have prompts that the judge was trained on and are left out")
    strange = sorted(set(waiting.models) - set(voted.models))
    note = f"pairs of {len(strange)} models that are not ranked are left out: {join_names(strange)}"
    kept = waiting.among(voted.models, *([note] if strange else []))
    if not len(kept):
        raise DataError(
            f"no pair is left to predict ({'; '.join(kept.notes)}); give pairs of the voted models on prompts "
            "that the judge was not trained on, or leave the judge out"
        )
    notes += [*kept.notes, *_side_notes(voted, kept)]
    if repeated := len(PromptHashes.of(voted.battles).overlap(kept.battles)):
        notes.append(
            f"{repeated:,} of {len(kept):,} pairs are on voted prompts; intervals take votes and pairs to be "
            "independent"
        )
    return Predicted(labelled, make_games(kept, predict_battles(judge, kept.battles, progress), styles))


def _side_notes(voted: BattleRows, pairs: BattleRows) -> list[str]:
    """Note where models stand first more or less often among the pairs than among the votes, beyond chance.

    Predictions are corrected pair of models by pair of models, so that other shares of these do no harm; a judge with a
    position bias is corrected only if the sides are drawn alike.
    """
    counts = [np.bincount(np.concatenate([rows.a, rows.b]), minlength=len(voted.models)) for rows in (voted, pairs)]
    first = [np.bincount(rows.a, minlength=len(voted.models)) for rows in (voted, pairs)]
    size = [np.maximum(count, 1) for count in counts]
    often = np.where(counts[0] > 0, counts[1], 0) / max(int(counts[1].sum()), 1)
    apart = float(often @ np.abs(first[0] / size[0] - first[1] / size[1]))
    if apart <= _UNEVEN + float(often @ np.sqrt(0.25 / size[0] + 0.25 / size[1])):
        return []
    note = (
        "models stand first more or less often among the pairs than among the votes: if the judge has a position bias, "
        "so have the scores; draw the order of the responses at random in both"
    )
    return [note]


def _take(battles: Battles, rows: Bools) -> Battles:
    return battles if rows.all() else Battles(battles.take(np.flatnonzero(rows)).table, battles.report)
