"""Check that killed and resumed training and prediction give the same bytes.

    python benchmarks/random_kills.py [--kills 50] [--recipe cross_encoder] [--only train predict] [--seed 0]

Each command is first run undisturbed, which gives its bytes and its time. Then it is started again and again and killed
after a random share of that time, until it comes to its end; its output is compared and removed, and the next round
begins, until so many kills are done, half of them in training and half in prediction.
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


@dataclass(frozen=True)
class Command:
    """A command that writes into its own folder.

    Args:
        words: The words after `votecast`; {out} stands for the folder.
        folder: Where its rounds are made.
    """

    words: list[str]
    folder: Path

    def start(self, out: Path, *further: str) -> subprocess.Popen[bytes]:
        """Start the command in a child process."""
        command = [sys.executable, "-m", "votecast", *(word.format(out=out) for word in self.words), *further]
        with (self.folder / "complaints.txt").open("wb") as complaints:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaints)

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
        child = command.start(out, "--resume")
        try:
            patience = None if kills == most else dice.uniform(0, seconds)
            if child.wait(patience):
                raise SystemExit(f"the command failed after {kills} kills:\n{command.complaints()}")
            return kills
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1


def commands(folder: Path, recipe: str) -> dict[str, Command]:
    """Return training of a small judge and prediction with the bundled baseline."""
    for words in (f"--rows {VOTES} --out {folder}/votes.csv", f"--rows {ROWS} --no-votes --out {folder}/test.csv"):
        subprocess.run([sys.executable, "-m", "votecast", "simulate", *words.split()], check=True, capture_output=True)
    train = f"train {recipe} --small --train {folder}/votes.csv --out {{out}}/judge".split()
    predict = f"predict --input {folder}/test.csv --out {{out}}/predictions.parquet".split()
    return {"train": Command(train, folder / "train"), "predict": Command(predict, folder / "predict")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--recipe", default="cross_encoder")
    parser.add_argument("--only", nargs="+", choices=["train", "predict"], default=["train", "predict"])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    dice, failed = random.Random(asked.seed), 0
    with tempfile.TemporaryDirectory() as name:
        for verb, command in commands(Path(name), asked.recipe).items():
            if verb not in asked.only:
                continue
            rounds, kills, wrong = killed_rounds(command, -(-asked.kills // len(asked.only)), dice)
            print(
                f"{verb:8} {kills} kills in {rounds} rounds, {rounds - wrong} of them with the same bytes", flush=True
            )
            failed += wrong
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
