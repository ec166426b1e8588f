"""The best of 8 answers to each of 50 prompts by a reward model: all pairs, against scoring each pair anew.

    python benchmarks/rerank.py [--model small|smollm2|FOLDER] [--prompts 50] [--candidates 8] [--characters 160]
                                [--rounds 2]

Both contenders use the same weights, the same token ids, the same engine and the same number of pairs at a time, in
turns; the best round counts.

- votecast: `votecast.rerank`, from texts to rankings
- each pair anew: the two answers of every pair are scored, whether or not they were scored before; from texts that are
  paired already to probabilities

With n candidates an answer stands in n - 1 pairs, so that n - 1 is the most that can be gained. Before any speed is
shown the probabilities of both are compared, which bounds the difference of the scores.

small is a Llama of four layers drawn at random that reads bytes, and smollm2 stands under a random head: what is
computed does not depend on what the weights hold. Prompts and answers are simulated and cut to a number of characters.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REACH, AIM = 6.0, 7.0
CLOSE = 1e-4
AT_ONCE = 1024
SMALL = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}


def rows(prompts: int, candidates: int, characters: int) -> list[dict[str, Any]]:
    """Simulated prompts, each with as many different answers."""
    from votecast import simulate

    battles, _ = next(simulate(rows=prompts * candidates, seed=0, batch=prompts * candidates))
    texts = [text[:characters] for name in ("response_a", "response_b") for text in battles.text(name)]
    answers = list(dict.fromkeys(text for text in texts if text.strip()))
    asked = [text[:characters] for text in battles.text("prompt")]
    return [
        {"prompt": asked[place], "candidates": answers[place * candidates : (place + 1) * candidates]}
        for place in range(prompts)
    ]


def write_model(name: str, folder: Path) -> str:
    """Where the reward model lies."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from votecast.judges.neural.backbone import Source
    from votecast.judges.neural.quiet import quietly

    if name not in ("small", "smollm2"):
        return name
    torch.manual_seed(0)
    source = Source.of("tiny:llama" if name == "small" else name)
    tokenizer = source.tokenizer(eos_as_padding=True)
    if name == "small":
        facts = SMALL | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_id, "num_labels": 1}
        model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("llama", **facts))
    else:
        model = source.load("classifier", labels=("reward",))
    torch.nn.init.normal_(model.score.weight, std=1.0)
    with quietly():
        model.save_pretrained(folder)
    tokenizer.save(folder)
    return str(folder)


def reward_judge(place: str, folder: Path) -> Any:
    """A judge of a reward model, without a vote."""
    from votecast import load_judge

    recipe = folder / "reward.yaml"
    recipe.write_text(json.dumps({"name": "reward", "family": "reward", "model": {"name": place}}))
    return load_judge(f"recipe:{recipe}")


def forecast_anew(judge: Any, battles: Any) -> Floats:
    """Forecasts by the judge's own engine and link, both answers of every pair scored whatever was scored before."""
    from votecast.text.sequences import Sequences

    (model,) = judge.fitted.members
    views = [part.sequences for part in model.encoded(model.prepare(battles))]
    found = model._encode(Sequences.concat(views))[:, 0].astype(np.float64)
    return model.link.predict(found[: len(battles)] - found[len(battles) :])


def all_pairs(given: list[dict[str, Any]]) -> Any:
    """Every pair of every prompt's candidates."""
    from votecast import Battles

    return Battles.from_rows(
        [
            {"prompt": row["prompt"], "response_a": one, "response_b": other}
            for row in given
            for one, other in combinations(row["candidates"], 2)
        ]
    )


def scores_of(p: Floats, given: list[dict[str, Any]]) -> Floats:
    """Expected win rates of all candidates, from the forecasts of all pairs."""
    wins, found, start = p[:, 0] + p[:, 2] / 2, [], 0
    for row in given:
        n = len(row["candidates"])
        rates, pairs = np.zeros((n, n)), n * (n - 1) // 2
        rates[np.triu_indices(n, 1)] = wins[start : start + pairs]
        found.append((rates + np.triu(1 - rates, 1).T).sum(axis=1) / (n - 1))
        start += pairs
    return np.concatenate(found)


def timed(work: Callable[[], Floats]) -> tuple[float, float, Floats]:
    """Seconds, seconds of CPU, and what came of it."""
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - start, time.process_time() - cpu, found


def measure(judge: Any, given: list[dict[str, Any]], rounds: int) -> tuple[dict[str, float], dict[str, Floats]]:
    """Best seconds and scores of both, in turns."""
    from votecast import rerank

    pairs = all_pairs(given)

    def anew() -> Floats:
        parts = [pairs[start : start + AT_ONCE] for start in range(0, len(pairs), AT_ONCE)]
        return scores_of(np.concatenate([forecast_anew(judge, part) for part in parts]), given)

    def once() -> Floats:
        return np.concatenate([ranking.scores for ranking in rerank(judge, given)])

    forecast_anew(judge, pairs[:4])  # warm
    best: dict[str, float] = {}
    scores: dict[str, Floats] = {}
    for turn in range(rounds):
        for name, work in {"votecast": once, "each pair anew": anew}.items():
            took, cpu, scores[name] = timed(work)
            best[name] = min(best.get(name, np.inf), took)
            print(f"  round {turn + 1}: {name}: {took:.2f} s, {cpu:.2f} s of CPU", flush=True)
    return best, scores


def main() -> int:
    """Print the figures; the exit code says whether the mark is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small", help="small, smollm2, or the folder of a reward model")
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--characters", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    given = rows(asked.prompts, asked.candidates, asked.characters)
    with tempfile.TemporaryDirectory() as folder:
        judge = reward_judge(write_model(asked.model, Path(folder)), Path(folder))
        count = asked.prompts * asked.candidates * (asked.candidates - 1) // 2
        print(
            f"{asked.model}: {asked.prompts} x {asked.candidates} answers, {count} pairs; load {os.getloadavg()[0]:.1f}"
        )
        seconds, scores = measure(judge, given, asked.rounds)
    gap = float(np.abs(scores["votecast"] - scores["each pair anew"]).max())
    spread = float(scores["votecast"].std())
    print(
        f"scores differ by {gap:.1e}, at most {CLOSE:.0e}: {'reached' if gap <= CLOSE else 'MISSED'}; "
        f"their deviation over the candidates is {spread:.2f}"
    )
    ratio = seconds["each pair anew"] / seconds["votecast"]
    for name, took in seconds.items():
        print(f"{name:16} {took:8.2f} s {count / took:9.1f} pairs/s")
    word = "reached" if ratio >= REACH else "MISSED"
    print(f"votecast against each pair anew: {ratio:.2f} x; reach {REACH:g}, aim {AIM:g}: {word}")
    return int(gap > CLOSE or ratio < REACH)


if __name__ == "__main__":
    raise SystemExit(main())
