"""Check that killed commands, run again, give the same bytes and leave nothing else.

    python benchmarks/random_kills.py [--kills 200] [--recipe cross_encoder] [--only train predict] [--seed 0]

Each command is first run undisturbed, which gives its bytes and its time. Then it is started again and again and killed
after a random share of that time, until it comes to its end; its folder is compared, file by file, hidden ones too, and
removed, and the next round begins, until so many kills are done, the same share of them in each command. `train`,
`predict` and `score` are run with --resume; `convert`, `calibrate` and `rank` with --overwrite: a kill may come when
the output is in place.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

VOTES, ROWS = 240, 6000
VERBS = ["train", "predict", "score", "convert", "calibrate", "rank"]
SCORE = "score --model recipe:internlm2_reward --small --input {folder}/votes.csv --out scores.parquet"


@dataclass(frozen=True)
class Command:
    """A command that writes into its own folder.

    Args:
        words: The words after `votecast`; outputs are named relative to its round, in which it runs.
        folder: Where its rounds are made.
        again: The word that lets it run again after a kill.
    """

    words: list[str]
    folder: Path
    again: tuple[str, ...] = ()

    def start(self, out: Path) -> subprocess.Popen[bytes]:
        """Start the command in a child process, in the folder of a round."""
        command = [sys.executable, "-m", "votecast", *self.words, *self.again]
        with (self.folder / "complaints.txt").open("wb") as complaints:
            return subprocess.Popen(command, cwd=out, stdout=subprocess.DEVNULL, stderr=complaints)

    def complaints(self) -> str:
        """Return the standard error of the last child."""
        return (self.folder / "complaints.txt").read_text("utf-8", "replace")


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def undisturbed(command: Command) -> tuple[dict[str, bytes], float]:
    """Return the bytes and seconds of an undisturbed run."""
    out, begun = command.folder / "quiet", time.monotonic()
    out.mkdir(parents=True)
    if command.start(out).wait():
        raise SystemExit(command.complaints())
    return bytes_of(out), time.monotonic() - begun


def killed_rounds(command: Command, kills: int, dice: random.Random) -> tuple[int, int, int]:
    """Kill and resume repeatedly; return rounds, kills and rounds that differ."""
    expected, seconds = undisturbed(command)
    rounds = done = wrong = 0
    while done < kills:
        out = command.folder / f"round{rounds}"
        out.mkdir()
        done += one_round(command, out, seconds, kills - done, dice)
        found = bytes_of(out)
        differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        if differing:
            print(f"  round {rounds}: {', '.join(differing[:5])} differ", flush=True)
        wrong += bool(differing)
        rounds += 1
        shutil.rmtree(out)
    return rounds, done, wrong


def one_round(command: Command, out: Path, seconds: float, most: int, dice: random.Random) -> int:
    """Start, kill and resume until the command finishes; return the kills."""
    kills = 0
    while True:
        child = command.start(out)
        try:
            patience = None if kills == most else dice.uniform(0, seconds)
            if child.wait(patience):
                raise SystemExit(f"the command failed after {kills} kills:\n{command.complaints()}")
            return kills
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1


def commands(folder: Path, recipe: str, only: list[str]) -> dict[str, Command]:
    """Return the commands by verb; each writes below its own folder."""

    def make(line: str) -> None:
        subprocess.run([sys.executable, "-m", "votecast", *line.split()], check=True, capture_output=True)

    def command(line: str, *again: str) -> Command:
        return Command(line.split(), folder / line.split(maxsplit=1)[0], again)

    make(f"simulate --rows {VOTES} --out {folder}/votes.csv")
    make(f"simulate --rows {VOTES} --seed 1 --out {folder}/fresh.csv")
    make(f"simulate --rows {ROWS} --no-votes --out {folder}/test.csv")
    make(f"train baseline --small --train {folder}/votes.csv --out {folder}/judge")
    made = {
        "train": command(f"train {recipe} --small --train {folder}/votes.csv --out judge", "--resume"),
        "predict": command(f"predict --input {folder}/test.csv --out predictions.parquet", "--resume"),
        "score": command(SCORE.format(folder=folder), "--resume"),
        "convert": command(f"convert {folder}/test.csv votes.parquet", "--overwrite"),
        "calibrate": command(f"calibrate --judge {folder}/judge --input {folder}/fresh.csv --out judge", "--overwrite"),
        "rank": command(f"rank --input {folder}/votes.csv --out leaderboard.csv --json ranks.json", "--overwrite"),
    }
    return {verb: made[verb] for verb in only}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--recipe", default="cross_encoder")
    parser.add_argument("--only", nargs="+", choices=VERBS, default=VERBS)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    dice, failed = random.Random(asked.seed), 0
    with tempfile.TemporaryDirectory() as name:
        for verb, command in commands(Path(name), asked.recipe, asked.only).items():
            rounds, kills, wrong = killed_rounds(command, -(-asked.kills // len(asked.only)), dice)
            print(
                f"{verb:9} {kills} kills in {rounds} rounds, {rounds - wrong} of them with the same bytes", flush=True
            )
            failed += wrong
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
