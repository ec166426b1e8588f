"""What `votecast rank` does: from files of votes, a judge's predictions, or both, to a leaderboard.

Called by the command line and, as `votecast.leaderboard.leaderboard`, from Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.errors import ConfigError, DataError
from votecast.features.arena_style import STYLING
from votecast.judges.load import load_judge
from votecast.judges.predict_batch import cite, reader_numbers
from votecast.leaderboard.battle_games import (
    BattleRows,
    BothBad,
    both_bad_shares,
    choose_style,
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

_UNEVEN: Final = 0.1
"""Difference in how often models stand first, in pairs and in votes, that a note reports (beyond chance)."""


def leaderboard(
    votes: object | None,
    *,
    pairs: object | None = None,
    judge: Judge | str | Path | None = None,
    reader: Mapping[str, object] | None = None,
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
    board = _BoardRun(asked, who, reader or {}, progress)
    predicted, against_both, voted, all_votes = None, 0, None, None
    if votes is None:
        source, games = "predictions", board.predict_games(board.read(pairs, "ignored"))
    else:
        source, battles = "votes", board.read(votes, "optional")
        voted, all_votes, against_both = board.voted_rows(battles)
        board.choose_style(voted)
        waiting = board.pairs_to_predict(battles, pairs)
        if waiting is not None:
            source, predicted = "votes and predictions", board.predict(voted, waiting)
        games = board.games(voted, voted.battles.targets())
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
        board.notes.append(
            f"only {ranking.clusters} independent units: intervals are rough, and may not hold for other prompts"
        )
    rows = {
        "voted": 0 if voted is None else ranking.votes,
        "predicted": ranking.votes if voted is None else 0 if predicted is None else len(predicted.unlabelled),
        "against_both": against_both,
    }
    both_bad = None if all_votes is None else board.both_bad(all_votes, ranking.models)
    notes = tuple(dict.fromkeys([*board.notes, *ranking.notes]))
    cited = None if who is None else cite(who)
    return Leaderboard(source, ranking, asked, rows, both_bad, cited, notes, tuple(board.reading))


class _BoardRun:
    """One call of `leaderboard`: its settings, the judge that takes part, and the notes that it gathers."""

    def __init__(
        self, asked: BoardSettings, judge: Judge | None, reader: Mapping[str, object], progress: Progress
    ) -> None:
        self.asked, self.judge, self.reader, self.progress = asked, judge, reader, progress
        self.notes: list[str] = []
        self.reading: list[Mapping[str, object]] = []
        self.features: tuple[str, ...] = ()

    def read(self, source: object, labels: Literal["optional", "ignored"]) -> Battles:
        """Read a file, or take battles as they are."""
        self.progress("reading", 0, 1)
        if not isinstance(source, str | Path):
            battles = as_battles(source, ranking=True)
            if labels == "ignored" and battles.labelled.any():
                self.notes.append("the votes of the pairs are ignored; give them as votes to use them")
            return battles
        numbers = {} if self.judge is None else reader_numbers(self.judge)
        options: dict[str, Any] = {"labels": labels, "ranking": True, **numbers, **self.reader}
        if self.reading:
            options.pop("quarantine", None)  # the side file that was named is that of the votes
        battles = read_votes(source, **options)
        if not len(battles):
            raise DataError(f"{source} holds no rows; give a file with at least a few hundred")
        if battles.report is not None:
            self.reading.append(battles.report.to_dict())
        return battles

    def choose_style(self, rows: BattleRows) -> None:
        """Choose the features of style that take part."""
        if self.asked.style_control:
            self.features = choose_style(rows)
            if left := ", ".join(name for name in STYLING if name not in self.features):
                self.notes.append(f"too few responses differ in {left} for it to take part in style control")

    def games(self, rows: BattleRows, outcome: Probabilities) -> Games:
        """Return the games of rows, with clusters and style."""
        self.progress("clustering prompts", 0, 1)
        clusters, note = clusters_of(rows.battles, self.asked.clusters, self.asked.seed)
        self.notes.append(note)
        style = rows.style[:, [STYLING.index(name) for name in self.features]] if self.features else None
        return Games.of(rows.models, rows.a, rows.b, outcome, rows.battles.weights(), clusters, style, self.features)

    def predict_games(self, pairs: Battles) -> Games:
        """Return games whose outcome is the judge's predictions alone."""
        assert self.judge is not None
        rows = drop_rare_models(name_models(pairs, "pairs"), self.asked.min_battles)
        known, more = seen_rows(self.judge, rows.battles)
        self.notes += [*rows.notes, *more]
        if len(known):
            self.notes.append(
                f"{len(known):,} of {len(rows):,} pairs have prompts that the judge was trained on: on these it is "
                "more confident"
            )
        self.choose_style(rows)
        games = self.games(rows, predict_battles(self.judge, rows.battles, self.progress))
        self.notes.append(
            "the ranking is that of the judge: its intervals say how far it would differ on other prompts, and not how "
            "far the judge is from people"
        )
        return games

    def voted_rows(self, battles: Battles) -> tuple[BattleRows, BattleRows | None, int]:
        """Return the votes to fit on, all votes where those against both are an own outcome, and how many these are."""
        both_bad = self.asked.both_bad
        if not battles.labelled.any():
            raise DataError(
                f"none of the {len(battles)} rows has a vote; give votes, or rank by predictions alone: name the rows "
                "as pairs (--pairs) beside a judge, and no votes (--input)"
            )
        voted = every = name_models(_take(battles, battles.labelled), "votes")
        bad = is_both_bad(voted.battles)
        if both_bad == "own" and not bad.any():
            self.notes.append("no vote is marked as against both responses (tie (bothbad), both_bad)")
        if bad.any():
            if both_bad != "tie" and self.judge is not None:
                raise ConfigError(
                    f"both_bad is {both_bad!r} and a judge takes part, which predicts votes against both responses as "
                    "ties; use both_bad tie, or leave the judge out"
                )
            if both_bad != "tie" and bad.all():
                raise DataError(
                    f"all {len(voted)} votes are against both responses, so that nothing is left to rank by"
                )
            effect = {
                "tie": "they count as ties (--both-bad drop or own does otherwise)",
                "drop": "they are left out",
                "own": "scores are of the other votes, and each model's share of these is shown",
            }[both_bad]
            self.notes.append(f"{int(bad.sum()):,} of {len(voted):,} votes are against both responses: {effect}")
            voted = voted if both_bad == "tie" else voted.where(~bad)
        voted = drop_rare_models(voted, self.asked.min_battles)
        self.notes += voted.notes
        return voted, every if both_bad == "own" and bad.any() else None, int(bad.sum())

    def pairs_to_predict(self, battles: Battles, pairs: object | None) -> BattleRows | None:
        """Return the pairs to predict; None without a judge."""
        rest, found = ~battles.labelled, None
        left = int(rest.sum())
        if pairs is not None:
            found = self.read(pairs, "ignored")
        elif self.judge is not None:
            if not left:
                raise ConfigError(
                    "a judge is given and nothing for it to predict: every row has a vote; give pairs without votes "
                    "(--pairs), or leave the judge out"
                )
            left, found = 0, _take(battles, rest)
        if left:
            self.notes.append(f"{left:,} of {len(battles):,} rows have no vote and are left out")
        return None if found is None else name_models(found, "pairs")

    def predict(self, voted: BattleRows, waiting: BattleRows) -> Predicted:
        """Predict the votes and the pairs without votes that are new to the judge."""
        assert self.judge is not None
        again = is_voted_on(voted.battles, waiting.battles)
        if again.all():
            raise DataError(
                f"all {len(again)} pairs repeat voted rows (the same prompt and responses), so that their predictions "
                "add nothing; give pairs without votes (--pairs), or leave the judge out"
            )
        if again.any():
            repeats = f"{int(again.sum()):,} of {len(waiting):,} pairs repeat voted rows"
            waiting = waiting.where(~again, f"{repeats}, which adds nothing, and are left out")
        labelled, more = predict_voted(self.judge, voted.battles, self.progress)
        self.notes += more
        fresh = np.ones(len(waiting), dtype=bool)
        fresh[seen_rows(self.judge, waiting.battles)[0]] = False
        if not fresh.all():
            lost = f"{int((~fresh).sum()):,} of {len(waiting):,} pairs"
            waiting = waiting.where(
                fresh,
                f"{lost} have prompts that the judge was trained on and are left out: it errs less on them than on the "
                "votes, which would bias the ranking. For a fixed set of prompts take a judge trained on others",
            )
        strange = sorted(set(waiting.models) - set(voted.models))
        note = f"pairs of {len(strange)} models that are not ranked are left out: {join_names(strange)}"
        kept = waiting.among(voted.models, *([note] if strange else []))
        if not len(kept):
            raise DataError(
                f"no pair is left to predict ({'; '.join(kept.notes)}); give pairs of the voted models on prompts "
                "that the judge was not trained on, or leave the judge out"
            )
        self.notes += kept.notes
        if _is_uneven(voted, kept):
            self.notes.append(
                "models stand first more or less often among the pairs than among the votes: if the judge has a "
                "position bias, so have the scores; draw the order of the responses at random in both"
            )
        if repeated := len(PromptHashes.of(voted.battles).overlap(kept.battles)):
            self.notes.append(
                f"{repeated:,} of {len(kept):,} pairs are on voted prompts; intervals take votes and pairs to be "
                "independent"
            )
        return Predicted(labelled, self.games(kept, predict_battles(self.judge, kept.battles, self.progress)))

    def both_bad(self, votes: BattleRows, models: tuple[str, ...]) -> BothBad:
        """Return the shares of votes against both responses, in the order of the models."""
        rows = votes.among(models)
        clusters, _ = clusters_of(rows.battles, self.asked.clusters, self.asked.seed)
        bad, weights = is_both_bad(rows.battles), rows.battles.weights()
        return both_bad_shares(len(models), rows.a, rows.b, bad, weights, clusters)


def _is_uneven(voted: BattleRows, pairs: BattleRows) -> bool:
    """Return whether models stand first more or less often among the pairs than among the votes, beyond chance."""
    # predictions are corrected pair of models by pair of models: other shares of these do no harm, but a position bias
    # of the judge is corrected only if the sides are drawn alike
    models = len(voted.models)
    counts = [np.bincount(np.concatenate([rows.a, rows.b]), minlength=models) for rows in (voted, pairs)]
    first = [np.bincount(rows.a, minlength=models) for rows in (voted, pairs)]
    size = [np.maximum(count, 1) for count in counts]
    often = np.where(counts[0] > 0, counts[1], 0) / max(int(counts[1].sum()), 1)
    apart = float(often @ np.abs(first[0] / size[0] - first[1] / size[1]))
    return apart > _UNEVEN + float(often @ np.sqrt(0.25 / size[0] + 0.25 / size[1]))


def _take(battles: Battles, rows: Bools) -> Battles:
    return battles if rows.all() else Battles(battles.take(np.flatnonzero(rows)).table, battles.report)
