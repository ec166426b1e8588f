"""Score both responses of every row of a file with a reward model.

`votecast score` calls it; `votecast link` turns the scores into probabilities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from votecast import __version__
from votecast.artifacts import CONFIG_NAME, KIND
from votecast.config import merge_settings
from votecast.data.battles import Battles
from votecast.data.outputs.score_files import ScoreWriter, described_of
from votecast.data.outputs.table_writer import container_of
from votecast.data.reader import VoteReader
from votecast.data.shards import SHARD_ROWS, Shard, Shards, fingerprint, in_shards
from votecast.errors import ConfigError, DataError
from votecast.jobs.file_run import ROWS_DIGEST, FileRun, json_values
from votecast.judges.load import RECIPE
from votecast.judges.predict_batch import add_truncations, truncation_shares, unscored_path
from votecast.judges.recipe import load_recipe
from votecast.models.registry import family

if TYPE_CHECKING:
    from votecast.models.reward import RewardModel

_REASONS = "reasons"
_SPEED_ONLY = ("devices", "threads", "max_tokens")
"""Settings of inference that change speed and memory but no score."""


def score_file(
    model: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    small: bool = False,
    cache: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    reader: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Score both responses of every row of a file with a reward model, in flat memory.

    Each response is scored once in every `SHARD_ROWS` rows, however many pairs it stands in, and once in all with a
    cache. After a kill the same call with `resume` gives the same bytes as an undisturbed one.

    Args:
        model: A folder or hub name of a reward model, `recipe:NAME`, or the folder of a reward judge.
        source: File of battles; votes in it are ignored.
        out: File of `id, score_a, score_b`; its suffix chooses the container. The settings of the scores are kept with
            it.
        settings: Settings of `RewardSettings`, nested, beside the name.
        small: Take the small form of a recipe.
        cache: A file of rewards that is looked up first and added to; several runs can share it.
        overwrite: Whether an existing file may be replaced and partial output discarded.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `VoteReader`.
        progress: Called with the rows done, and about how many there are (None if unknown).

    Returns:
        Rows, rows that could not be scored (`<out>.unscored.jsonl` lists them with reasons; they are not in the file),
        what made the scores, the reader's report, what was truncated, and how many rows an earlier run had done.

    Raises:
        ConfigError: If there is no such model, it gives no rewards, or a setting is not allowed.
        DataError: If a row cannot be read, or no row can be scored.
        ArtifactError: If `out` or partial output is in the way, or the partial output is of other rows.
    """
    container_of(out)  # an unknown suffix is an error before any work
    scorer, about = reward_model(model, settings or {}, small=small)
    run = _ScoreRun(source, out, reader, progress)
    run.model, run.about, run.cache = scorer, about, cache
    report = run.run(resume=resume, overwrite=overwrite).report
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
    model: str | Path, settings: Mapping[str, Any], *, small: bool = False
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
        return _of_judge(name, settings)
    base: dict[str, Any] = {}
    if name.startswith(RECIPE):
        recipe = load_recipe(name.removeprefix(RECIPE), small=small)
        if recipe.family != "reward":
            raise ConfigError(f"{name} is of the family {recipe.family}, which gives no rewards; name a reward recipe")
        base = recipe.model.dump()
    else:
        base = {"name": name}
    kind: Any = family("reward")
    found = kind(kind.settings_type.parse(merge_settings(base, settings), origin="settings of the reward model"))
    if found.is_trained:
        raise ConfigError(
            f"{name} with model.adapter has a network that is yet to be trained; train it with votecast train and give "
            "the judge's folder, or set model.adapter to null"
        )
    return found, found.about_scores()


def _of_judge(folder: str, settings: Mapping[str, Any]) -> tuple[RewardModel, dict[str, Any]]:
    from votecast.judges.load import load_judge

    judge = load_judge(folder)
    members: list[Any] = judge.fitted.members
    if judge.recipe.family != "reward":
        raise ConfigError(
            f"{folder} is a judge of the family {judge.recipe.family}, which gives no rewards; name a judge of the "
            "family reward, or a reward model"
        )
    if len(members) > 1 and members[0].is_trained:
        raise ConfigError(
            f"{folder} has {len(members)} members with a scale of their own each; name a judge that was trained with "
            "final refit or on a single fold"
        )
    if beside := {key: value for key, value in settings.items() if key != "inference"}:
        raise ConfigError(f"{folder} is a judge with settings of its own; drop {', '.join(beside)}")
    if "inference" in settings:
        members[0].run_with(**settings["inference"])
    about = members[0].about_scores()
    if members[0].is_trained:
        hashes = judge.prompt_hashes
        about |= {"judge": {"folder": str(Path(folder).expanduser().resolve()), "name": judge.name, "hash": judge.hash}}
        about |= {"trained_on": hashes.to_dict()} if hashes is not None else {}
    return members[0], about


class _ScoreRun(FileRun[VoteReader, Battles]):
    model: RewardModel
    about: dict[str, Any]
    cache: str | Path | None
    described: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return the hash of what the scores depend on."""
        return hashlib.sha256(json.dumps(self._settled(), sort_keys=True, default=str).encode()).hexdigest()

    def _settled(self) -> dict[str, object]:
        return _without_speed(self.about) | {"computes_in": self.model.computes_in}

    def identity(self) -> dict[str, object]:
        """Return model and reader options."""
        reader = {name: value for name, value in self.reader_options.items() if name != "overwrite"}
        return {"votecast": __version__, "model": self.key, "shard_rows": SHARD_ROWS, "reader": reader}

    def recorded(self) -> Mapping[str, Any] | None:
        """Return the description of a finished output of the same model."""
        try:
            written = described_of(self.out) or {}
        except (DataError, OSError):
            return None
        about = json_values(self.about)
        return written if {name: written.get(name) for name in about} == about else None

    def restore(self, recorded: Mapping[str, Any]) -> None:
        """Take over the description."""
        self.described = recorded

    def read(self, options: Mapping[str, Any]) -> VoteReader:
        """Open the battles; votes are ignored."""
        return VoteReader(self.source, **{"labels": "ignored", "lean": True, **options})

    def batches(self, rows: VoteReader) -> Iterator[Battles]:
        """Divide the rows into shards."""
        return in_shards(rows, SHARD_ROWS)

    def fingerprint(self, batch: Battles) -> str:
        """Hash a shard."""
        return fingerprint(batch)

    def compute(self, batch: Battles, before: int) -> Shard:  # noqa: ARG002 - reasons are kept by their row in the batch
        """Score both responses of a shard."""
        if self.cache is not None and self.model.cache is None:
            from votecast.models.reward.score_cache import ScoreCache

            self.model.cache = ScoreCache(self.cache, self._settled())
        found = self.model.answers(self.model.prepare(batch))
        kept, full = found.cut.kept.sum(axis=0).tolist(), found.cut.full.sum(axis=0).tolist()
        cut = {"rows": len(found.cut), "rows_cut": found.cut.rows_cut, "kept": kept, "full": full}
        reasons = {str(row): reason for row, reason in found.reasons.items()}
        return Shard(batch.ids, found.scores, cut | {_REASONS: reasons})

    def keep(self, batch: Battles, shard: Shard, before: int) -> None:  # noqa: ARG002 - the shard has the ids
        """List unscored rows and add up truncations."""
        cut = dict(shard.cut or {})
        for row, reason in cut.pop(_REASONS, {}).items():
            self.unscored.append({"id": shard.ids[int(row)], "row": before + int(row) + 1, "reason": reason})
        self.truncations = add_truncations(self.truncations, cut)

    def check_unscored(self) -> None:
        """Refuse an output where no row can be scored."""
        if self.unscored and len(self.unscored) == self.rows:
            raise DataError(
                f"none of the {self.rows:,} rows of {self.source} can be scored; the first: "
                f"{self.unscored[0]['reason']}"
            )

    def write(self, shards: Shards, path: Path) -> None:
        """Write the scores with their description."""
        self.described = self.about | {
            "votecast": __version__,
            "scored": {"rows": self.rows - len(self.unscored), "unscored": len(self.unscored)},
            "cut_away": truncation_shares(self.truncations),
            ROWS_DIGEST: self.rows_digest,
        }
        with ScoreWriter(path, self.described, overwrite=True) as writer:
            for number in range(self.shards):
                shard = shards.read(number)
                known = np.flatnonzero(np.isfinite(shard.probabilities).all(axis=1))
                a, b = shard.probabilities[known].T
                writer.add([shard.ids[row] for row in known], a, b)


def _without_speed(about: Mapping[str, Any]) -> dict[str, object]:
    """Return what scores depend on: without the link and settings that change speed only."""
    settings = dict(about["settings"])
    settings.pop("link", None)
    settings["inference"] = {name: value for name, value in settings["inference"].items() if name not in _SPEED_ONLY}
    return {**about, "settings": settings}


def _is_judge(folder: Path) -> bool:
    try:
        config = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("kind") == KIND
