"""Raw rewards for a whole file: read in parts, kept in shards, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from votecast import __version__
from votecast.artifacts import CONFIG_NAME, KIND, check_free
from votecast.config import merge_settings
from votecast.data.battles import Battles
from votecast.data.outputs import side_path
from votecast.data.outputs.score_files import ScoreWriter, described_of
from votecast.data.outputs.table_writer import container_of
from votecast.data.reader import VoteReader
from votecast.data.shards import SHARD_ROWS, Shard, Shards, fingerprint, in_shards
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.judges.asking import add_cuts, cut_shares
from votecast.judges.load import RECIPE
from votecast.judges.recipe import load_recipe
from votecast.judges.unfinished import RUN, at_work, take_up
from votecast.judges.unscored import unscored_path, write_unscored
from votecast.models.registry import family

if TYPE_CHECKING:
    from votecast.models.reward import RewardModel

_REASONS, _DIGEST, _FINAL = "reasons", "rows_sha256", "final"
_IDLE = ("devices", "threads", "max_tokens")


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
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Score both answers of every row of a file with a reward model; memory stays flat whatever its length.

    Each answer is scored once in every `SHARD_ROWS` rows, however many pairs it stands in, and once in all with a
    cache. After a kill the same call with `resume` gives the same bytes as an undisturbed one.

    Args:
        model: A folder or hub name of a reward model, `recipe:NAME`, or the folder of a reward judge.
        source: File of battles; votes in it are not looked at.
        out: File of `id, score_a, score_b`; its ending chooses the container. What made the scores is kept with it.
        settings: Settings of `RewardSettings`, nested, beside the name.
        small: Take the small form of a recipe.
        cache: A file of rewards that is asked first and added to; several runs can share it.
        overwrite: Whether an existing file may be replaced, and unfinished work on it discarded.
        resume: Go on with what a killed run of the same call has left.
        reader: Options of `VoteReader`.
        progress: Called with the number of rows done.

    Returns:
        Rows, rows that could not be scored (`<out>.unscored.jsonl` tells why; they are not in the file), what made the
        scores, what the reader found, what was cut from the texts, and how many rows an earlier run had done.

    Raises:
        ConfigError: If there is no such model, it gives no rewards, or a setting is unfit.
        DataError: If a row cannot be read, or not a single one can be scored.
        ArtifactError: If `out` or unfinished work on it is in the way, or that work is of other rows.
    """
    container_of(out)  # an unknown ending is an error before any work
    scorer, about = reward_model(model, settings or {}, small=small)
    job = _Job(scorer, about, source, Path(out), dict(reader or {}), progress or _unheard)
    made_before = resume and not overwrite and job.may_be_made()
    check_free(out, overwrite=overwrite or made_before)
    with at_work(out, resume=resume, overwrite=overwrite) as folder:
        again = made_before or (folder / RUN).exists()
        take_up(folder, job.identity())
        votes = job.votes(again=again)
        if made_before:
            return job.check_made(votes)
        if cache is not None:
            from votecast.models.reward.cache import ScoreCache

            scorer.cache = ScoreCache(cache, _settled(about) | {"computes_in": scorer.computes_in})
        shards = Shards(folder, job.key)
        job.score(votes, shards)
        return job.write(votes, shards, folder / _FINAL, overwrite=overwrite)


def reward_model(
    model: str | Path, settings: Mapping[str, Any], *, small: bool = False
) -> tuple[RewardModel, dict[str, Any]]:
    """A reward model and what its scores depend on.

    Args:
        model: A folder or hub name of a reward model, `recipe:NAME`, or the folder of a reward judge.
        settings: Settings of `RewardSettings`, nested, beside the name.
        small: Take the small form of a recipe.

    Raises:
        ConfigError: If it gives no rewards, settings are given to a judge that has its own, or the small form is asked
            of what is no recipe.
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


@dataclass
class _Job:
    """One call of `score_file`."""

    model: Any
    about: dict[str, Any]
    source: str | Path
    out: Path
    reader: dict[str, Any]
    progress: Callable[[int], None]
    rows: int = 0
    shards: int = 0
    reused: int = 0
    reasons: list[dict[str, Any]] = field(default_factory=list)
    cut: dict[str, Any] | None = None
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def key(self) -> str:
        """Hash of what the scores depend on."""
        settled = _settled(self.about) | {"computes_in": self.model.computes_in}
        return hashlib.sha256(json.dumps(settled, sort_keys=True, default=str).encode()).hexdigest()

    def identity(self) -> dict[str, Any]:
        """What the shards depend on, beside the rows."""
        reader = {name: value for name, value in self.reader.items() if name != "overwrite"}
        return {"votecast": __version__, "model": self.key, "shard_rows": SHARD_ROWS, "reader": reader}

    def votes(self, *, again: bool) -> VoteReader:
        """The battles; what an earlier run of this call has set aside may be set aside again."""
        options: dict[str, Any] = {"labels": "ignored", "lean": True} | self.reader
        return VoteReader(self.source, **(options | {"overwrite": True} if again else options))

    def score(self, votes: VoteReader, shards: Shards) -> None:
        """Score every shard that is not on disk yet."""
        for battles in in_shards(votes, SHARD_ROWS):
            number, done = self.shards, self.rows
            key = self._take_in(battles)
            shard = shards.find(number, key)
            if shard is None:
                self.progress(done)
                shard = self._scored(battles)
                shards.write(number, key, shard)
                self.progress(self.rows)
            else:
                self.reused += len(battles)
            self._note(shard, done)
            del battles, shard  # before the next rows are read
        shards.end(self.shards)

    def write(self, votes: VoteReader, shards: Shards, folder: Path, *, overwrite: bool) -> dict[str, Any]:
        """Put the shards together, and the file in its place."""
        if self.reasons and len(self.reasons) == self.rows:
            raise DataError(
                f"none of the {self.rows:,} rows of {self.source} can be scored; the first: {self.reasons[0]['reason']}"
            )
        described = self.about | {
            "votecast": __version__,
            "scored": {"rows": self.rows - len(self.reasons), "unscored": len(self.reasons)},
            "cut_away": cut_shares(self.cut),
            _DIGEST: self._digest.hexdigest(),
        }
        try:
            folder.mkdir(exist_ok=True)
            whole = folder / self.out.name
            with ScoreWriter(whole, described, overwrite=True) as writer:
                for number in range(self.shards):
                    shard = shards.read(number)
                    known = np.flatnonzero(np.isfinite(shard.probabilities).all(axis=1))
                    a, b = shard.probabilities[known].T
                    writer.add([shard.ids[row] for row in known], a, b)
            check_free(self.out, overwrite=overwrite)
            write_unscored(self.out, self.reasons)
            if side_path(whole).exists():
                side_path(whole).replace(side_path(self.out))
            whole.replace(self.out)
        except OSError as error:
            raise ArtifactError(f"{self.out} could not be written: {error}; what was scored is kept") from error
        return self.summary(votes, described)

    def may_be_made(self) -> bool:
        """Whether the output is whole and was made by this call, so that only its rows need to be compared."""
        try:
            said = described_of(self.out) or {}
        except (DataError, OSError):
            return False
        asked: dict[str, Any] = json.loads(json.dumps(self.about, default=str))
        return {name: said.get(name) for name in asked} == asked

    def check_made(self, votes: VoteReader) -> dict[str, Any]:
        """Refuse an output that was made of other rows than the input has now.

        Raises:
            ArtifactError: If it was.
        """
        for battles in in_shards(votes, SHARD_ROWS):
            self._take_in(battles)
            self.reused += len(battles)
        said = described_of(self.out) or {}
        if said.get(_DIGEST) != self._digest.hexdigest():
            raise ArtifactError(
                f"{self.out} is whole but was made of other rows than {self.source} has now; pass --overwrite to "
                "replace it, or name another output"
            )
        return self.summary(votes, said)

    def summary(self, votes: VoteReader, described: Mapping[str, Any]) -> dict[str, Any]:
        """What `score_file` returns."""
        return {
            "rows": self.rows,
            "unscored": described["scored"]["unscored"],
            "unscored_file": str(unscored_path(self.out)) if described["scored"]["unscored"] else None,
            "out": str(self.out),
            "made_by": {name: self.about.get(name) for name in ("model", "revision", "sha256", "template", "cut")},
            "reading": votes.report.to_dict(),
            "cut": described["cut_away"],
            "reused": self.reused,
        }

    def _take_in(self, battles: Battles) -> str:
        key = fingerprint(battles)
        self._digest.update(key.encode())
        self.shards += 1
        self.rows += len(battles)
        return key

    def _scored(self, battles: Battles) -> Shard:
        found = self.model.answers(self.model.prepare(battles))
        kept, full = found.cut.kept.sum(axis=0).tolist(), found.cut.full.sum(axis=0).tolist()
        cut = {"rows": len(found.cut), "rows_cut": found.cut.rows_cut, "kept": kept, "full": full}
        reasons = {str(row): reason for row, reason in found.reasons.items()}
        return Shard(battles.ids, found.scores, cut | {_REASONS: reasons})

    def _note(self, shard: Shard, done: int) -> None:
        cut = dict(shard.cut or {})
        for row, reason in cut.pop(_REASONS, {}).items():
            self.reasons.append({"id": shard.ids[int(row)], "row": done + int(row) + 1, "reason": reason})
        self.cut = add_cuts(self.cut, cut)


def _settled(about: Mapping[str, Any]) -> dict[str, Any]:
    """What scores depend on, without where and how much at once they are computed, and without the link."""
    settings = dict(about["settings"])
    settings.pop("link", None)
    settings["inference"] = {name: value for name, value in settings["inference"].items() if name not in _IDLE}
    return {**about, "settings": settings}


def _is_judge(folder: Path) -> bool:
    try:
        said = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("kind") == KIND


def _unheard(done: int) -> None:
    """Progress that nobody follows."""
