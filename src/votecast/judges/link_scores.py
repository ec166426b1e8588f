"""Make a judge of scores: join them with votes by id, fit a link, measure it on votes it was not fitted on.

This is what `votecast link` runs. Where the scores name the reward model that made them, the judge scores with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from votecast.artifacts import check_free
from votecast.calibration import make_calibrator
from votecast.calibration.link_fit import crossfit_link, fit_link
from votecast.calibration.score_link import DEFAULT_LINK, FIXED_LINK, LinkSettings
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.formats import FORMATS
from votecast.data.outputs.score_files import Scores, read_scores
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.features.style import length_gap
from votecast.judges.evaluate import evaluate, evaluate_out_of_fold
from votecast.judges.load import load_judge, load_votes, reading_note
from votecast.judges.out_of_fold import Fitted, OutOfFold, describe_votes, refuse_seen_votes
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Figure, group_folds, paired_gain, without_ties
from votecast.models.base import Model
from votecast.models.registry import family
from votecast.models.scored import ScoredModel
from votecast.splits import PromptHashes
from votecast.types import Bools, Floats, Progress, no_progress

REWARD: Final = "reward"
BARE: Final = "scores"
_LINKED: Final[dict[str, object]] = {
    "description": "a link from scores to votes",
    "calibration": {"method": "none"},
    "final": "refit",
}
"""What the recipes of all linked judges have in common."""

_NAMED: Final = 5
_NOT_FITTED: Final = "link not fitted: a fixed rule is used as it is, independent of the votes"
_RECORDED: Final = ("model", "revision", "sha256", "template", "cut", "judge")
_OTHERWISE: Final = "score again with what there is now, or pass --bare to link the numbers alone"


def link(
    scores: Scores | str | Path,
    votes: object,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    reader: Mapping[str, object] | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> TrainedJudge:
    """Make a judge of scores: fit a link to votes, measure it on held-out votes, save.

    Args:
        scores: Scores of both answers, or the path of a file with the columns id, score_a and score_b.
        votes: Path of a file of votes, or battles, a frame or a list of dicts; joined with the scores by id.
        out: Folder to save the judge in; None keeps it in memory.
        overwrite: Whether an existing judge folder may be replaced.
        reader: Options of `read_votes`, where `votes` is a path.
        progress: Progress callback.
        **options: method, length, bare, name, seed and trust_ids of `link_judge`.

    Returns:
        The judge. `judge.figures` are those of links fitted on other prompts; among the baselines are the default link
        and the fixed rule, and under "gains" what the link gains over each, with a 95 % interval.

    Raises:
        ArtifactError: If `out` already exists; nothing has been read yet.
        DataError: If scores or votes cannot be used, or cannot be joined.
        LeakError: If what made the scores was trained on prompts of these votes.
    """
    if out is not None:
        check_free(out, overwrite=overwrite, is_folder=True)
    progress("reading", 0, 2)
    known = read_scores(scores) if isinstance(scores, str | Path) else scores
    battles = load_votes(votes, reader)
    progress("reading", 1, 2)
    judge, matched = link_judge(known, battles, **options)
    progress("measuring", 0, 1)
    figures = evaluate_out_of_fold(judge, matched.votes).to_dict()
    held, seed = judge.fitted.out_of_fold, judge.recipe.seed
    figures["gains"] = {}
    for name, rule in (("default_link", DEFAULT_LINK), ("fixed_rule", FIXED_LINK)):
        p = rule.predict(matched.gap)
        figures["baselines"][name] = evaluate(p, matched.votes, groups=held.clusters, seed=seed).to_dict()["metrics"]
        pair = (without_ties(held.raw), without_ties(p)) if figures["settings"]["binary"] else (held.raw, p)
        gain = paired_gain(held.targets, *pair, held.weights, groups=held.clusters, seed=seed)
        figures["gains"][name] = Figure(*gain).to_dict()
    judge.record(figures=figures, **reading_note(battles))
    progress("measuring", 1, 1)
    if out is not None:
        judge.save_pretrained(out, overwrite=overwrite)
    return judge


@dataclass(frozen=True)
class Matched:
    """Votes with the scores of their answers."""

    votes: Battles  # those that have scores, n of them, in the order of their file
    gap: Floats  # score of the first answer minus that of the second, (n,)
    unscored: int  # votes without scores
    unvoted: int  # scores without a vote
    swapped: int = 0  # votes whose answers were scored in the other order


def match(scores: Scores, votes: Battles, *, trust_ids: bool = False) -> Matched:
    """Join scores and votes by id, and by content where the scores have content hashes.

    Args:
        scores: Scores of both answers; where a row was scored in the other order, its scores are swapped.
        votes: The votes.
        trust_ids: Join by id alone, although texts differ or ids do not say whether they do.

    Raises:
        DataError: If they have no id in common, an id occurs twice among the votes, rows of one id have other texts, or
            scores without content hashes are joined by row numbers or with sides that were drawn.

    Example:
        >>> battle = {"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}
        >>> votes = Battles.from_rows([battle | {"id": "x"}, battle | {"id": "y"}])
        >>> found = match(Scores(["y", "z"], np.array([1.0, 2.0]), np.array([0.5, 0.5])), votes)
        >>> found.votes.ids, found.gap.tolist(), found.unscored, found.unvoted
        (['y'], [0.5], 1, 1)
    """
    place = {name: row for row, name in enumerate(scores.ids)}
    ids = votes.ids
    if twice := [name for name, count in Counter(ids).items() if count > 1]:
        raise DataError(
            f"{len(twice)} ids occur more than once in the votes (first: {_first(twice)}), so that scores cannot be "
            "matched; give every vote an id of its own"
        )
    rows = np.array([place.get(name, -1) for name in ids], dtype=np.int64)
    known = np.flatnonzero(rows >= 0)
    if not len(known):
        raise DataError(
            f"no id is in both files: the scores have {_first(scores.ids)}, the votes {_first(ids)}; both need the "
            "same ids for the same rows"
        )
    found, gap, swapped = votes.take(known), scores.gap[rows[known]], np.zeros(len(known), dtype=bool)
    if scores.content is not None:
        swapped = _find_swapped([scores.content[row] for row in rows[known]], found, trust_ids=trust_ids)
    elif not trust_ids:
        _refuse_doubtful_ids(scores, votes)
    gap = np.where(swapped, -gap, gap)
    return Matched(found, gap, len(ids) - len(known), len(scores) - len(known), int(swapped.sum()))


def _find_swapped(content: Sequence[str], votes: Battles, *, trust_ids: bool) -> Bools:
    """Return which votes show their answers in the other order than when they were scored, shape (n,)."""
    same, other = (np.array(content) == np.array(each.content_hashes()) for each in (votes, votes.swapped()))
    if (strange := np.flatnonzero(~(same | other))).size and not trust_ids:
        raise DataError(
            f"{len(strange)} of {len(votes)} votes have the id of a scored row with other texts (first ids: "
            f"{_first(votes.take(strange[:_NAMED]).ids)}); give the votes that were scored, or join by id alone with "
            "--trust-ids (trust_ids)"
        )
    return np.asarray(other & ~same)


def _refuse_doubtful_ids(scores: Scores, votes: Battles) -> None:
    """Refuse to join by ids that do not say which texts were scored, or in which order."""
    cure = "score with votecast score, or pass --trust-ids (trust_ids)"
    if votes.report is not None and (kind := FORMATS.get(votes.report.format)) and kind.always_voted:
        raise DataError(
            "the scores have no content hashes, and the sides of chosen and rejected answers are drawn by the seed, so "
            f"that score_a may be of either; {cure} if the rows were read with the same --seed"
        )
    if any(_are_row_numbers(ids) for ids in (scores.ids, votes.ids)):
        raise DataError(
            f"the ids are row numbers ({_first(votes.ids)}) and the scores have no content hashes, so that files of "
            f"other texts would be joined, too; {cure} if the same rows have the same numbers in both files"
        )


def _are_row_numbers(ids: Sequence[str]) -> bool:
    """Return whether ids are the numbers of rows from 0 or 1, in any order.

    Example:
        >>> _are_row_numbers(["2", "0", "1"]), _are_row_numbers(["1", "2"]), _are_row_numbers(["7", "8"])
        (True, True, False)
    """
    return any(set(map(str, range(start, start + len(ids)))) == set(ids) for start in (0, 1))


def link_judge(
    scores: Scores,
    votes: Battles,
    *,
    method: str = "davidson",
    length: bool = False,
    bare: bool = False,
    name: str | None = None,
    seed: int = 42,
    trust_ids: bool = False,
) -> tuple[TrainedJudge, Matched]:
    """Fit a link from scores to votes, and make a judge of it; return it with the joined rows.

    Where the scores name the reward model that made them, the judge scores texts with it; else it predicts only battles
    that bring score_a and score_b.

    Args:
        scores: Scores of both answers; rows without a vote are ignored.
        votes: Votes; rows without scores are ignored.
        method: A name in `votecast.calibration.score_link.METHODS`.
        length: Whether the link reads the difference in length, which removes a length bias of the scores.
        bare: Take the scores as bare numbers, although the model that made them is known.
        name: Name of the judge; "reward" or "scores" where None.
        seed: Seed of the folds.
        trust_ids: Join by id alone; see `match`.

    Raises:
        DataError: If the scores or votes do not suffice; each fault has its own message.
        LeakError: If votes share prompts with the training of the model that made the scores.
        ArtifactError: If the reward model is not the one that made the scores.
    """
    matched = match(scores, votes, trust_ids=trust_ids)
    battles, described = matched.votes, scores.described or {}
    trained_on = PromptHashes.from_dict(described["trained_on"]) if described.get("trained_on") is not None else None
    refuse_seen_votes(trained_on, battles, "the reward model")
    settings = LinkSettings.parse({"method": method, "length": length}, origin="link")

    targets, weights = battles.targets(), battles.weights()
    clusters = prompt_clusters(battles, seed=seed)
    form = length_gap(battles) if length else None
    fitted = fit_link(matched.gap, targets, weights, method=settings.method, form=form, groups=clusters)
    # figures come from links fitted on other prompts; the judge keeps the one fitted on all votes
    folds = group_folds(clusters, seed=seed)
    raw = crossfit_link(matched.gap, targets, weights, folds, method=settings.method, form=form)
    held = OutOfFold.of_battles(battles, raw, fold=folds, clusters=clusters)

    member: Model
    if bare or not described or described.get("family", REWARD) != REWARD:
        described = {}
        model = {"link": settings.dump()}
        recipe = load_recipe(_LINKED | {"family": BARE, "name": name or BARE, "seed": seed, "model": model})
        member = ScoredModel(recipe.model, seed=recipe.seed)
    elif isinstance(described.get("judge"), Mapping):
        recipe, member = _trained_reward_model(described["judge"], settings, name)
    else:
        recipe, member = _reward_model(described, settings, name)
    member.link = fitted
    facts = describe_votes(battles, targets) | {
        "folds": {"method": "grouped", "n": int(folds.max()) + 1, "sizes": np.bincount(folds).tolist()},
        "prompt_clusters": int(clusters.max()) + 1,
    }
    hashes = PromptHashes.of(battles, seed=seed) if trained_on is None else trained_on.joined(battles)
    judge = TrainedJudge.of(recipe, Fitted([member], make_calibrator("none"), held, hashes, facts))
    made_by = {key: described[key] for key in _RECORDED if described.get(key) is not None} if described else None
    joined = {"made_by": made_by, "unscored": matched.unscored, "unvoted": matched.unvoted, "swapped": matched.swapped}
    judge.record(link=fitted.to_dict(), scores=joined, limits=[] if fitted.fitted else [_NOT_FITTED])
    return judge, matched


def _reward_model(described: Mapping[str, Any], settings: LinkSettings, name: str | None) -> tuple[Recipe, Model]:
    """Load the reward model that made some scores, by what their file records of it."""
    model = described.get("settings")
    if not isinstance(model, Mapping):  # scores of a named model without a file of settings
        text = {key: described[key] for key in ("template", "cut") if described.get(key) is not None}
        model = {"name": described.get("model")} | ({"text": text} if text else {})
        model |= {"revision": described["revision"]} if described.get("revision") is not None else {}
    values = _LINKED | {"family": REWARD, "name": name or REWARD, "seed": described.get("seed", 42)}
    try:
        recipe = load_recipe(values | {"model": dict(model) | {"link": settings.dump()}})
    except ConfigError as error:
        raise DataError(f"the scores do not record in full what made them ({error}); {_OTHERWISE}") from error
    member = family(REWARD)(recipe.model, seed=recipe.seed)
    expected, found = described.get("sha256"), (member.base or {}).get("sha256")
    if expected is not None and expected != found:
        raise ArtifactError(
            f"the scores were made by weights of SHA-256 {expected}, and {described.get('model')} has {found}; "
            f"{_OTHERWISE}"
        )
    return recipe, member


def _trained_reward_model(judge: Mapping[str, Any], settings: LinkSettings, name: str | None) -> tuple[Recipe, Model]:
    """Load a reward model that was trained here: its judge folder holds the weights."""
    folder = str(judge.get("folder"))
    if not Path(folder).is_dir():
        raise ArtifactError(
            f"the scores were made by the judge {judge.get('name')!r} in {folder}, which is missing; run where it "
            f"was scored, or {_OTHERWISE}"
        )
    found = load_judge(folder)
    if found.hash != judge.get("hash"):
        raise ArtifactError(
            f"the judge in {folder} has the hash {found.hash[:12]}, and the scores were made by "
            f"{str(judge.get('hash'))[:12]}; {_OTHERWISE}"
        )
    values = found.recipe.dump()
    values |= _LINKED | {"name": name or found.name, "model": values["model"] | {"link": settings.dump()}}
    return load_recipe(values | {"folds": {}}), found.fitted.members[0]


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED]))
