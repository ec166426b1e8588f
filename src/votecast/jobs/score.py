"""Score both responses of every row of a file with a reward model.

`votecast score` calls it; `votecast link` turns the scores into probabilities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from votecast import __version__
from votecast.artifacts import CONFIG_NAME, KIND, read_json
from votecast.config import merge_settings
from votecast.data.battles import Battles
from votecast.data.outputs.score_files import CONTENT, SCORES, ScoreWriter, described_of
from votecast.data.outputs.table_writer import container_of
from votecast.errors import ConfigError, DataError
from votecast.jobs.file_run import ROWS_DIGEST, BattlesRun, RowProgress, json_values
from votecast.jobs.shards import SHARD_ROWS
from votecast.judges.load import RECIPE, load_judge
from votecast.judges.predict_batch import Shard, add_truncations, truncation_shares, unscored_path, write_unscored
from votecast.judges.recipe import load_recipe, warn_of_random_weights
from votecast.models.registry import family

if TYPE_CHECKING:
    from votecast.models.reward.reward_model import RewardModel

_SPEED_ONLY = ("devices", "threads", "max_tokens")
"""Settings of inference that change speed and memory but no score."""


def score_file(
    model: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    settings: Mapping[str, object] | None = None,
    small: bool = False,
    cache: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    reader: Mapping[str, object] | None = None,
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Score both responses of every row of a file with a reward model, in flat memory.

    Each response is scored once in every `SHARD_ROWS` rows, and once in all with a cache. After a kill the same call
    with `resume` gives the same bytes as an undisturbed one.

    Args:
        model: A folder or hub name of a reward model, `recipe:NAME`, or the folder of a reward judge.
        source: File of battles; votes in it are ignored.
        out: File of `id, score_a, score_b, content_sha256`; its suffix chooses the container. The settings of the
            scores are kept with it.
        settings: Settings of `RewardSettings`, nested, beside the name.
        small: Take the small form of a recipe.
        cache: A file of rewards that is looked up first and added to; several runs can share it.
        overwrite: Whether an existing file may be replaced and partial output discarded.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `VoteReader`.
        progress: Called with the rows done, and about how many there are (None if unknown).

    Returns:
        rows, out, made_by, reading, cut, how many rows are unscored (not in the file; unscored_file lists them with
        reasons) and reused from an earlier run.

    Raises:
        ConfigError: If there is no such model, it gives no rewards, or a setting is not allowed.
        DataError: If a row cannot be read, or no row can be scored.
        ArtifactError: If `out` or partial output is in the way, or the partial output is of other rows.
    """
    container_of(out)  # an unknown suffix is an error before any work
    scorer, about = reward_model(model, settings or {}, small=small)
    run = _ScoreRun(
        model=scorer, about=about, cache=cache, source=source, out=Path(out), reader=reader, progress=progress
    )
    report = run.run(resume=resume, overwrite=overwrite)
    unscored = run.described["scored"]["unscored"]
    return {
        "rows": run.rows,
        "unscored": unscored,
        "unscored_file": str(unscored_path(run.out)) if unscored else None,
        "out": str(run.out),
        "made_by": {name: about.get(name) for name in ("model", "revision", "sha256", "template", "cut")},
        "reading": report.to_dict(),
        "cut": run.described["cut_away"],
        "reused": run.reused,
    }


def reward_model(
    model: str | Path, settings: Mapping[str, object], *, small: bool = False
) -> tuple[RewardModel, dict[str, Any]]:
    """Load a reward model and list what its scores depend on.

    Args:
        model: A folder or hub name of a reward model, `recipe:NAME`, or the folder of a reward judge.
        settings: Settings of `RewardSettings`, nested, beside the name.
        small: Take the small form of a recipe.

    Raises:
        ConfigError: If it gives no rewards, settings are given to a judge that has its own, or the small form of a
            model that is no recipe is wanted.
    """
    name = str(model)
    if small and not name.startswith(RECIPE):
        raise ConfigError(f"small is for a recipe, and {name!r} is a model; name {RECIPE}NAME, or drop it")
    if _is_judge(Path(name).expanduser()):
        return _model_of_judge(name, settings)
    base: dict[str, object] = {"name": name}
    if name.startswith(RECIPE):
        recipe = load_recipe(name.removeprefix(RECIPE), small=small)
        if recipe.family != "reward":
            raise ConfigError(f"{name} is of the family {recipe.family}, which gives no rewards; name a reward recipe")
        base = recipe.model.dump()
    kind = cast("type[RewardModel]", family("reward"))
    found = kind(kind.settings_type.parse(merge_settings(base, settings), origin="settings of the reward model"))
    warn_of_random_weights(found.settings)
    if found.is_trained:
        raise ConfigError(
            f"{name} with model.adapter has a network that is yet to be trained; train it with votecast train and give "
            "the judge's folder, or set model.adapter to null"
        )
    return found, found.about_scores()


def _model_of_judge(folder: str, settings: Mapping[str, object]) -> tuple[RewardModel, dict[str, Any]]:
    judge = load_judge(folder)
    if judge.recipe.family != "reward":
        raise ConfigError(
            f"{folder} is a judge of the family {judge.recipe.family}, which gives no rewards; name a judge of the "
            "family reward, or a reward model"
        )
    members = cast("list[RewardModel]", judge.fitted.members)
    if len(members) > 1 and members[0].is_trained:
        raise ConfigError(
            f"{folder} has {len(members)} members with a scale of their own each; name a judge that was trained with "
            "final refit or on a single fold"
        )
    if beside := {key: value for key, value in settings.items() if key != "inference"}:
        raise ConfigError(f"{folder} is a judge with settings of its own; drop {', '.join(beside)}")
    if isinstance(inference := settings.get("inference"), dict):
        members[0].set_inference(**inference)
    about = members[0].about_scores()
    if members[0].is_trained:
        hashes = judge.prompt_hashes
        about |= {"judge": {"folder": str(Path(folder).expanduser().resolve()), "name": judge.name, "hash": judge.hash}}
        about |= {"trained_on": hashes.to_dict()} if hashes is not None else {}
    return members[0], about


@dataclass(kw_only=True)
class _ScoreRun(BattlesRun):
    """The run behind `score_file`."""

    model: RewardModel
    about: dict[str, Any]
    cache: str | Path | None

    def __post_init__(self) -> None:
        super().__post_init__()
        # The link and settings that change speed only leave scores as they are.
        settings = {name: value for name, value in self.about["settings"].items() if name != "link"}
        settings["inference"] = {k: v for k, v in settings["inference"].items() if k not in _SPEED_ONLY}
        self.depends_on = {**self.about, "settings": settings, "computes_in": self.model.computes_in}
        self.key = hashlib.sha256(json.dumps(self.depends_on, sort_keys=True, default=str).encode()).hexdigest()
        self.identity = {"model": self.key, "shard_rows": SHARD_ROWS, "columns": [*SCORES, CONTENT]}
        self.described: dict[str, Any] = {}

    def restore(self) -> str | None:
        """Restore the description from a finished output of the same model."""
        try:
            written = described_of(self.out) or {}
        except (DataError, OSError):
            return None
        about = json_values(self.about)
        if {name: written.get(name) for name in about} != about:
            return None
        self.described = written
        return str(written.get(ROWS_DIGEST))

    def compute(self, batch: Battles, before: int) -> Shard:  # noqa: ARG002 - reasons are kept by their row in the batch
        """Score both responses of a shard."""
        # opened late: a finished output needs no cache
        if self.cache is not None and self.model.cache is None:
            from votecast.models.reward.score_cache import ScoreCache

            self.model.cache = ScoreCache(self.cache, self.depends_on)
        found = self.model.answers(self.model.prepare(batch))
        kept, full = found.cut.kept.sum(axis=0).tolist(), found.cut.full.sum(axis=0).tolist()
        cut = {"rows": len(found.cut), "rows_cut": found.cut.rows_cut, "kept": kept, "full": full}
        reasons = {str(row): reason for row, reason in found.reasons.items()}
        return Shard(batch.ids, found.scores, cut | {"reasons": reasons, CONTENT: batch.content_hashes()})

    def keep(self, batch: Battles, shard: Shard, before: int) -> None:  # noqa: ARG002 - the shard has the ids
        """List unscored rows and add up truncations."""
        cut = {name: value for name, value in (shard.cut or {}).items() if name != CONTENT}
        for row, reason in cut.pop("reasons", {}).items():
            self.unscored.append({"id": shard.ids[int(row)], "row": before + int(row) + 1, "reason": reason})
        self.truncations = add_truncations(self.truncations, cut)

    def write(self, shards: Iterator[Shard], *, overwrite: bool) -> None:
        """Write the scores with their description; raise if no row can be scored."""
        if self.unscored and len(self.unscored) == self.rows:
            raise DataError(
                f"none of the {self.rows:,} rows of {self.source} can be scored; the first: "
                f"{self.unscored[0]['reason']}"
            )
        write_unscored(self.out, self.unscored)
        self.described = self.about | {
            "votecast": __version__,
            "scored": {"rows": self.rows - len(self.unscored), "unscored": len(self.unscored)},
            "cut_away": truncation_shares(self.truncations),
            ROWS_DIGEST: self.rows_digest.hexdigest(),
        }
        with ScoreWriter(self.out, self.described, overwrite=overwrite) as writer:
            for shard in shards:
                # scores stand where other shards have probabilities: (n, 2), NaN where a row has none
                known = np.flatnonzero(np.isfinite(shard.probabilities).all(axis=1))
                a, b = shard.probabilities[known].T
                content = (shard.cut or {})[CONTENT]
                writer.add([shard.ids[row] for row in known], a, b, [content[row] for row in known])


def _is_judge(folder: Path) -> bool:
    try:
        config = read_json(folder / CONFIG_NAME)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("kind") == KIND
