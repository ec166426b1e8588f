"""A judge on its way to other machines: by name or path where they lead to it, else as the bytes of its files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from votecast.artifacts import CONFIG_NAME
from votecast.errors import ArtifactError, VotecastError
from votecast.judges.load import BUNDLED, load_judge
from votecast.judges.trained import TrainedJudge


@dataclass(frozen=True)
class SentJudge:
    """How an actor comes by its judge.

    Args:
        name: A bundled judge, or the path of a folder.
        hash: Hash the judge must have.
        files: The files of the folder in Ray's object store, for machines that do not see it.
    """

    name: str
    hash: str
    files: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> TrainedJudge:
        """The judge, checked against its hash.

        Raises:
            ArtifactError: If it cannot be had here.
        """
        if self.name.startswith(BUNDLED) or (Path(self.name) / CONFIG_NAME).is_file():
            try:
                judge = load_judge(self.name)
            except ArtifactError:
                if not self.files:
                    raise
            else:
                if judge.hash == self.hash:
                    return judge
        if not self.files:
            raise ArtifactError(
                f"{self.name} is not the judge {self.hash[:12]} on every machine of the cluster; install the same "
                "votecast everywhere"
            )
        with tempfile.TemporaryDirectory(prefix="votecast-") as folder:
            for name, ref in self.files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(ray.get(ref))
            return load_judge(folder)


def sendable(judge: TrainedJudge, name: str, folder: Path) -> SentJudge:
    """The judge by its name if that leads to it, else by a folder it is saved in.

    Args:
        judge: The judge.
        name: What it was loaded from.
        folder: A folder that lasts as long as the work.

    Raises:
        VotecastError: If it cannot be saved.
    """
    if name.startswith(BUNDLED):
        return SentJudge(name, judge.hash)
    path = Path(name).expanduser().absolute()
    if not (path / CONFIG_NAME).is_file():
        path = folder / "judge"
        judge.save_pretrained(path)
        try:
            saved = load_judge(path)
        except VotecastError as error:
            raise ArtifactError(
                f"{judge.name} cannot be sent to actors: {error}; save it and name its folder"
            ) from error
        return SentJudge(str(path), saved.hash)
    return SentJudge(str(path), judge.hash)


def with_files(sent: SentJudge, put: Callable[[bytes], Any]) -> SentJudge:
    """The same, with the files of its folder for machines that do not see it; each is put into the store once."""
    folder = Path(sent.name)
    if sent.name.startswith(BUNDLED):
        return sent
    files = {path.relative_to(folder).as_posix(): put(path.read_bytes()) for path in _files(folder)}
    return SentJudge(sent.name, sent.hash, files)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
