"""Best of n: compare every candidate response of a prompt with every other by a judge's predictions.

`votecast.rerank` and `votecast rerank` call it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from votecast.data.candidates import CandidateReader, Candidates, candidates_of
from votecast.data.outputs.ranking_files import kind_of, write_rankings
from votecast.data.outputs.table_writer import as_json, container_of
from votecast.data.work_folder import work_folder
from votecast.errors import ConfigError, JudgeError
from votecast.jobs.file_run import ROWS_DIGEST, FileRun, RowProgress, json_values, read_side_file
from votecast.judges.predict_batch import (
    Shard,
    add_truncations,
    cite,
    set_inference,
    truncation_shares,
    unscored_path,
    write_unscored,
)
from votecast.judges.rank_candidates import (
    GROUP,
    PairPredictions,
    PairPredictor,
    Ranking,
    group_candidates,
    rank_group,
)
from votecast.types import Judge

Top = int | str | None
"""How many of the best candidates to list: a number, "all", or None for none."""


def rerank(judge: Judge, rows: Iterable[Mapping[str, object]]) -> list[Ranking]:
    """Rank the candidate responses of prompts by predictions for all their pairs.

    The result does not depend on the order of the candidates.

    Args:
        judge: The judge; one with position bias predicts both orders.
        rows: Each with `prompt` (a text, a list of turns, or messages), `candidates` (a list of such responses) and
            optionally `id`.

    Returns:
        One ranking per row.

    Raises:
        DataError: If a row has no prompt, no candidates, or a candidate without an answer; the message names the row.
        JudgeError: If the judge cannot score a pair.

    Example:
        >>> from votecast import load_judge
        >>> answers = ["no", "Water boils at 100 °C at sea level; higher up it boils earlier.", "no"]
        >>> (ranking,) = rerank(
        ...     load_judge("bundled:baseline"), [{"prompt": "When does water boil?", "candidates": answers}]
        ... )
        >>> ranking.index, ranking.scores[0] == ranking.scores[2], round(sum(ranking.scores), 9)
        (1, True, 1.5)
    """
    predictor, found = PairPredictor(judge), list[Ranking]()
    for group in group_candidates(candidates_of(rows)):
        for row, ranking in zip(group, rank_group(group, predictor.predict(group)), strict=True):
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
    reader: Mapping[str, object] | None = None,
    inference: Mapping[str, object] | None = None,
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Choose the best candidate of every row of a file, in its order, in flat memory.

    Prompts are grouped until they make `GROUP` pairs. Predictions are kept in the folder `.NAME.work` beside the output
    until all are done: after a kill the same call with `resume` gives the same bytes as an undisturbed one.

    Args:
        judge: The judge.
        source: File of prompts with candidates, as `CandidateReader` takes it.
        out: File of rankings: id, prompt, best, index (of the best, from 0), scores (see `Ranking`), judge. Its suffix
            chooses the container.
        top: Also list this many of the best candidates, or "all", best first, as `top`: index, answer and score.
        overwrite: Whether an existing file may be replaced and partial output discarded.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `CandidateReader`.
        inference: Settings of inference for the judge, such as `{"precision": "bf16"}`.
        progress: Called with the rows done, and about how many there are (None if unknown).

    Returns:
        rows, candidates, pairs, out, judge, reading, cut, how many rows are unranked because a pair cannot be scored
        (unranked_file lists them with reasons) and reused from an earlier run.

    Raises:
        DataError: If a row cannot be used; nothing is written.
        JudgeError: If no row can be ranked.
        ArtifactError: If `out` or partial output is in the way, or the partial output is of other rows.
        ConfigError: If the partial output is of another call, or an option is not allowed.
    """
    if not (top is None or top == "all" or (isinstance(top, int) and top >= 1)):
        raise ConfigError(f"top is {top}; allowed are whole numbers from 1 up, and all")
    container_of(out)  # an unknown suffix is an error before any work
    set_inference(judge, inference or {})
    run = _RerankRun(
        judge=judge, source=source, out=Path(out), top=top, reader=reader, inference=inference, progress=progress
    )
    report = run.run(resume=resume, overwrite=overwrite)
    return {
        "rows": run.rows,
        "candidates": run.candidates,
        "pairs": run.pairs,
        "unranked": run.unranked,
        "unranked_file": str(unscored_path(out)) if run.unranked else None,
        "out": str(run.out),
        "judge": cite(judge),
        "reading": report.to_dict(),
        "cut": run.cut,
        "reused": run.reused,
    }


@dataclass(kw_only=True)
class _RerankRun(FileRun[list[Candidates]]):
    """The run behind `rerank_file`: the rankings are collected as JSON lines in the work folder."""

    shard_rows = None

    judge: Judge
    top: Top
    inference: Mapping[str, object] | None

    def __post_init__(self) -> None:
        super().__post_init__()
        with_inference = {"inference": dict(self.inference)} if self.inference else {}
        self.key = self.judge.hash
        self.identity = {"judge": cite(self.judge), "group": GROUP, **with_inference}
        settings = {"input": str(self.source), "top": self.top, "reader": self.reader_options, **with_inference}
        self.settings = json_values(settings)
        self.predictor = PairPredictor(self.judge)
        self.lines = work_folder(self.out) / ".rankings.jsonl"
        self.kinds = {"prompt": "text", "best": "text"}
        self.candidates = self.pairs = self.unranked = 0
        self.cut: object = None

    def restore(self) -> str | None:
        """Restore the counts from a finished output of the same call."""
        found = read_side_file(self.out, cite(self.judge))
        if ROWS_DIGEST not in found or {name: found.get(name) for name in self.settings} != self.settings:
            return None
        self.pairs, self.unranked, self.cut = int(found["pairs"]), int(found["unranked"]), found["cut"]
        return str(found[ROWS_DIGEST])

    def read(self, *, overwrite: bool) -> tuple[CandidateReader, Iterable[list[Candidates]]]:
        """Open the prompts with candidates, in groups; a new run has no rankings yet."""
        self.lines.open("w").close()  # an interrupted run has left some
        rows = CandidateReader(self.source, **self.reader_options, overwrite=overwrite)
        return rows, group_candidates(rows)

    def fingerprint(self, batch: list[Candidates]) -> str:
        """Hash a group; note whether texts, turns or messages are given."""
        digest = hashlib.sha256()
        for row in batch:
            digest.update(json.dumps([row.id, row.given_prompt, row.given], default=str).encode())
            self.kinds["prompt"] = kind_of(row.given_prompt, self.kinds["prompt"])
            for answer in row.given:
                self.kinds["best"] = kind_of(answer, self.kinds["best"])
        self.candidates += sum(len(row.given) for row in batch)
        self.rows_digest.update(digest.digest())
        return digest.hexdigest()

    def compute(self, batch: list[Candidates], before: int) -> Shard:  # noqa: ARG002 - places are counted in pairs
        """Predict all pairs of a group."""
        return self.predictor.predict(batch, after=self.pairs).shard()

    def keep(self, batch: list[Candidates], shard: Shard, before: int) -> None:
        """Rank the candidates, a line for each row that can be ranked."""
        found = PairPredictions.of(shard)
        self.pairs += len(found.ids)
        self.truncations = add_truncations(self.truncations, found.cut)
        # groups come in the order of the file, whether computed or found, so the lines need no sorting
        with self.lines.open("a", encoding="utf-8") as file:
            for place, (row, ranking) in enumerate(zip(batch, rank_group(batch, found), strict=True), start=before + 1):
                if isinstance(ranking, str):
                    self.unscored.append({"id": row.id, "row": place, "reason": ranking})
                else:
                    file.write(as_json(self._line(row, ranking)) + "\n")

    def write(self, shards: Iterator[Shard], *, overwrite: bool) -> None:  # noqa: ARG002 - the lines hold all of them
        """Write the rankings in the container of the output; raise if no row can be ranked."""
        self.unranked = len(self.unscored)
        if self.unranked and self.unranked == self.rows:
            raise JudgeError(f"none of the {self.rows:,} rows can be ranked; the first: {self.unscored[0]['reason']}")
        write_unscored(self.out, self.unscored)
        self.cut = truncation_shares(self.truncations)
        counts = {"candidates": self.candidates, "pairs": self.pairs, "unranked": self.unranked}
        digest = {ROWS_DIGEST: self.rows_digest.hexdigest(), "cut": self.cut}
        rows, settings = self.rows - self.unranked, self.settings | digest | counts
        cited = cite(self.judge)
        write_rankings(self.lines, self.out, self.kinds, judge=cited, metadata=settings, rows=rows, overwrite=overwrite)

    def _line(self, row: Candidates, ranking: Ranking) -> dict[str, object]:
        line: dict[str, object] = {
            "id": row.id,
            "prompt": row.given_prompt,
            "best": row.given[ranking.index],
            "index": ranking.index,
            "scores": ranking.scores,
            "judge": cite(self.judge),
        }
        if self.top is None:
            return line
        shown = ranking.order if self.top == "all" else ranking.order[: int(self.top)]
        return line | {"top": [{"index": i, "answer": row.given[i], "score": ranking.scores[i]} for i in shown]}
