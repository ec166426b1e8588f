"""Best of n: every candidate answer of a prompt against every other, as a judge forecasts the votes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from votecast import __version__
from votecast.artifacts import check_free, digest_of
from votecast.data.candidates import CandidateReader, Candidates, candidates_of
from votecast.data.outputs import side_path
from votecast.data.outputs.ranking_files import kind_of, write_rankings
from votecast.data.outputs.table_writer import as_json, container_of
from votecast.data.shards import Shards
from votecast.errors import ArtifactError, ConfigError, JudgeError
from votecast.judges.asking import add_cuts, cite, cut_shares, set_inference
from votecast.judges.ranking import GROUP, Asker, Forecast, Ranking, in_groups, ranked
from votecast.judges.unfinished import RUN, at_work, take_up
from votecast.judges.unscored import unscored_path, write_unscored
from votecast.types import Judge

Top = int | Literal["all"] | None

_FINAL, _LINES, _DIGEST, _CUT = "final", ".rankings.jsonl", "rows_sha256", "cut"


def rerank(judge: Judge, rows: Iterable[Mapping[str, Any]]) -> list[Ranking]:
    """Rank the candidate answers of prompts: all pairs of each prompt's candidates are forecast.

    The order in which candidates are given plays no part.

    Args:
        judge: Any judge; one that goes by the order of the two answers is asked for both.
        rows: Each with `prompt` (a text, a list of turns, or messages) and `candidates` (a list of such answers), and
            perhaps `id`.

    Returns:
        One ranking a row.

    Raises:
        DataError: If a row has no prompt, no candidates, or a candidate without an answer; the message names it.
        JudgeError: If the judge cannot score a pair.

    Example:
        >>> from votecast.judges.load import load_judge
        >>> answers = ["no", "Water boils at 100 °C at sea level; higher up it boils earlier.", "no"]
        >>> (ranking,) = rerank(
        ...     load_judge("bundled:baseline"), [{"prompt": "When does water boil?", "candidates": answers}]
        ... )
        >>> ranking.index, ranking.scores[0] == ranking.scores[2], round(sum(ranking.scores), 9)
        (1, True, 1.5)
    """
    asker, found = Asker(judge), list[Ranking]()
    for group in in_groups(candidates_of(rows)):
        for row, ranking in zip(group, ranked(group, asker.forecast(group)), strict=True):
            if isinstance(ranking, str):
                raise JudgeError(f"row {row.id!r} cannot be ranked: {ranking}; leave out what cannot be scored")
            found.append(ranking)
    return found


def rerank_file(
    judge: Judge,
    source: str | Path,
    out: str | Path,
    *,
    top: Top = None,
    overwrite: bool = False,
    resume: bool = False,
    reader: Mapping[str, Any] | None = None,
    inference: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Choose the best candidate of every row of a file, in its order; memory stays flat whatever its length.

    The pairs of as many prompts as make `GROUP` pairs are asked for at once, so that a judge that scores single answers
    scores each one once. Forecasts are kept in the folder `.NAME.work` beside the output until all is done. After a
    kill the same call with `resume` gives the same bytes as an undisturbed one.

    Args:
        judge: Any judge.
        source: File of prompts with candidates, as `CandidateReader` takes it.
        out: File of rankings: id, prompt, best, index (of the best, from 0), scores (see `Ranking`), judge. Its ending
            chooses the container.
        top: Also give this many of the best candidates, or "all", best first, as `top`: index, answer and score.
        overwrite: Whether an existing file may be replaced, and unfinished work on it discarded.
        resume: Go on with what a killed run of the same call has left.
        reader: Options of `CandidateReader`.
        inference: Settings of inference the judge is to run with, such as `{"precision": "bf16"}`.
        progress: Called with the number of rows done, if given, from the first row on that must be forecast.

    Returns:
        Rows, candidates, pairs, how many rows were left out because a pair of theirs cannot be scored
        (`<out>.unscored.jsonl` tells why), judge, what the reader found, what the judge cut from the texts, and how
        many rows an earlier run had done.

    Raises:
        DataError: If a row cannot be used; nothing is written.
        JudgeError: If no row can be ranked.
        ArtifactError: If `out` or unfinished work on it is in the way, or that work is of other rows; it is kept.
        ConfigError: If the unfinished work is of another judge or was read in another way, or an option is unfit.
    """
    if top is not None and top != "all" and top < 1:
        raise ConfigError(f"top is {top}; allowed are whole numbers from 1 up, and all")
    container_of(out)  # an unknown ending is an error before any work
    job = _Job(judge, source, Path(out), top, dict(reader or {}), dict(inference or {}), progress or _unheard)
    set_inference(judge, job.inference)
    made_before = resume and not overwrite and job.may_be_made()
    check_free(out, overwrite=overwrite or made_before)
    with at_work(out, resume=resume, overwrite=overwrite) as folder:
        again = made_before or (folder / RUN).exists()
        take_up(folder, job.identity())
        rows = job.rows(again=again)
        if made_before:
            job.check_made(rows)
        else:
            job.rank(rows, folder)
            job.write(folder, overwrite=overwrite)
    return job.summary(rows)


@dataclass
class _Job:
    """One call of `rerank_file`."""

    judge: Judge
    source: str | Path
    out: Path
    top: Top
    reader: dict[str, Any]
    inference: dict[str, Any]
    progress: Callable[[int], None]
    done: int = 0
    candidates: int = 0
    pairs: int = 0
    groups: int = 0
    reused: int = 0
    left_out: int = 0
    unranked: list[dict[str, Any]] = field(default_factory=list)
    cut: dict[str, Any] | None = None
    kinds: dict[str, str] = field(default_factory=lambda: {"prompt": "text", "best": "text"})
    _digest: Any = field(default_factory=hashlib.sha256)

    def rows(self, *, again: bool) -> CandidateReader:
        """The prompts; what an earlier run of this call has set aside may be set aside again."""
        return CandidateReader(self.source, **(self.reader | {"overwrite": True} if again else self.reader))

    def settings(self) -> dict[str, Any]:
        """What the rankings were asked with."""
        reader = {name: value for name, value in self.reader.items() if name != "overwrite"}
        asked = {"input": str(self.source), "top": self.top, "reader": reader}
        asked |= {"inference": self.inference} if self.inference else {}
        return dict(json.loads(json.dumps(asked, default=str)))

    def identity(self) -> dict[str, Any]:
        """What the shards depend on, beside the rows."""
        settings = {name: value for name, value in self.settings().items() if name in ("reader", "inference")}
        return {"votecast": __version__, "judge": cite(self.judge), "group": GROUP} | settings

    def rank(self, rows: CandidateReader, folder: Path) -> None:
        """Ask the judge for every group that is not on disk yet, and rank the candidates."""
        shards, asker, cut = Shards(folder, self.judge.hash, rows=None), Asker(self.judge), None
        with (folder / _LINES).open("w", encoding="utf-8") as lines:
            for group in in_groups(rows):
                number, before = self.groups, self.done
                rows_hash = self._take_in(group)
                shard = shards.find(number, rows_hash)
                if shard is None:
                    self.progress(before)
                    shard = asker.forecast(group, after=self.pairs).shard()
                    shards.write(number, rows_hash, shard)
                    self.progress(self.done)
                else:
                    self.reused += len(group)
                found = Forecast.of(shard)
                self.pairs += len(found.ids)
                cut = add_cuts(cut, found.cut)
                for place, (row, ranking) in enumerate(zip(group, ranked(group, found), strict=True), start=before + 1):
                    if isinstance(ranking, str):
                        self.unranked.append({"id": row.id, "row": place, "reason": ranking})
                    else:
                        lines.write(as_json(self._line(row, ranking)) + "\n")
        shards.end(self.groups)
        self.cut = cut_shares(cut)

    def write(self, folder: Path, *, overwrite: bool) -> None:
        """Put the file in its place."""
        unranked = self.left_out = len(self.unranked)
        if unranked and unranked == self.done:
            raise JudgeError(f"none of the {self.done:,} rows can be ranked; the first: {self.unranked[0]['reason']}")
        try:
            (folder / _FINAL).mkdir(exist_ok=True)
            whole = folder / _FINAL / self.out.name
            counts = {"candidates": self.candidates, "pairs": self.pairs, "unranked": unranked}
            settings = self.settings() | {_DIGEST: self._digest.hexdigest(), _CUT: self.cut} | counts
            rows, told = self.done - unranked, cite(self.judge)
            write_rankings(folder / _LINES, whole, self.kinds, judge=told, metadata=settings, rows=rows)
            check_free(self.out, overwrite=overwrite)
            write_unscored(self.out, self.unranked)
            side_path(whole).replace(side_path(self.out))
            whole.replace(self.out)
        except OSError as error:
            raise ArtifactError(f"{self.out} could not be written: {error}; nothing was left behind") from error

    def may_be_made(self) -> bool:
        """Whether the output is whole and was made by this call, so that only its rows need to be compared."""
        side, asked = self._side(), self.settings()
        written = side.get("settings", {})
        said = {name: written[name] for name in asked if name in written and _DIGEST in written}
        try:
            return (side.get("judge"), said) == (cite(self.judge), asked) and side.get("sha256") == digest_of(self.out)
        except OSError:
            return False

    def check_made(self, rows: CandidateReader) -> None:
        """Refuse an output that was made of other rows than the input has now.

        Raises:
            ArtifactError: If it was.
        """
        for group in in_groups(rows):
            self._take_in(group)
        said = self._side()["settings"]
        self.reused, self.pairs, self.cut = self.done, said["pairs"], said[_CUT]
        self.left_out = said["unranked"]
        if said.get(_DIGEST) != self._digest.hexdigest():
            raise ArtifactError(
                f"{self.out} is whole but was made of other rows than {self.source} has now; pass --overwrite to "
                "replace it, or name another output"
            )

    def summary(self, rows: CandidateReader) -> dict[str, Any]:
        """What `rerank_file` returns."""
        return {
            "rows": self.done,
            "candidates": self.candidates,
            "pairs": self.pairs,
            "unranked": self.left_out,
            "unranked_file": str(unscored_path(self.out)) if self.left_out else None,
            "out": str(self.out),
            "judge": cite(self.judge),
            "reading": rows.report.to_dict(),
            "cut": self.cut,
            "reused": self.reused,
        }

    def _take_in(self, group: list[Candidates]) -> str:
        """Count the rows of a group; their fingerprint."""
        digest = hashlib.sha256()
        for row in group:
            digest.update(json.dumps([row.id, row.given_prompt, row.given], default=str).encode())
            self.kinds["prompt"] = kind_of(row.given_prompt, self.kinds["prompt"])
            for answer in row.given:
                self.kinds["best"] = kind_of(answer, self.kinds["best"])
        self._digest.update(digest.digest())
        self.done += len(group)
        self.candidates += sum(len(row.given) for row in group)
        self.groups += 1
        return digest.hexdigest()

    def _line(self, row: Candidates, ranking: Ranking) -> dict[str, Any]:
        line = {"id": row.id, "prompt": row.given_prompt, "best": row.given[ranking.index], "index": ranking.index}
        line |= {"scores": ranking.scores, "judge": cite(self.judge)}
        if self.top is None:
            return line
        shown = ranking.order if self.top == "all" else ranking.order[: self.top]
        return line | {"top": [{"index": i, "answer": row.given[i], "score": ranking.scores[i]} for i in shown]}

    def _side(self) -> dict[str, Any]:
        try:
            side = json.loads(side_path(self.out).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return side if isinstance(side, dict) and isinstance(side.get("settings"), dict) else {}


def _unheard(done: int) -> None:
    """Progress that nobody follows."""
