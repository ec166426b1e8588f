"""Time reranking 8 responses to 50 prompts with a reward model.

    python benchmarks/rerank.py [--model small|smollm2|FOLDER] [--prompts 50] [--candidates 8] [--characters 120]
                                [--rounds 2]

All contenders use the same weights, the same token ids and the same engine, in turns; the best round counts.

- votecast: `votecast.rerank`, from texts to rankings; each answer is scored once, and the prompt that the answers share
  is computed once
- without shared prefixes: the same with `inference.shared_prefixes: false`
- each pair anew: both answers of every pair are scored, whether or not they were scored before, in batches of similar
  length as ever, and without shared prefixes; the pairs are made beforehand

With n candidates an answer stands in n - 1 pairs, which is all that can be gained by scoring each answer once. Before
any speed is shown the scores are compared.

small is a Llama of four layers drawn at random that reads bytes, and smollm2 stands under a random head: how long it
takes does not depend on what the weights hold. Prompts and answers are simulated and cut to a number of characters.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REACH, AIM = 6.0, 7.0
CLOSE = 1e-4
AT_ONCE = 1024
ANEW = "each pair anew"
Best = dict[str, float]
SMALL = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}


def rows(prompts: int, candidates: int, characters: int) -> list[dict[str, Any]]:
    """Return simulated prompts, each with several distinct responses."""
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
    """Write the reward model and return its folder."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from votecast.models.neural.backbone import Source
    from votecast.models.neural.hub import silence_transformers

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
    with silence_transformers():
        model.save_pretrained(folder)
    tokenizer.save(folder)
    return str(folder)


def reward_judge(place: str, folder: Path, *, shared: bool = True) -> Any:
    """Return a reward judge with the default link."""
    from votecast import load_judge

    recipe = folder / "reward.yaml"
    model = {"name": place, "inference": {"shared_prefixes": shared}}
    recipe.write_text(json.dumps({"name": "reward", "family": "reward", "model": model}))
    return load_judge(f"recipe:{recipe}")


class Anew:
    """Predict with a judge's network and link, without reusing scores."""

    def __init__(self, judge: Any) -> None:
        from votecast.inference.engine import Engine

        (self.model,) = judge.fitted.members
        self.engine = Engine(self.model.fitted, self.model.settings.inference)

    def __call__(self, battles: Any) -> Floats:
        """Probabilities of shape (n, 3)."""
        from votecast.text.sequences import Sequences

        views = [part.sequences for part in self.model.encode_battles(self.model.prepare(battles))]
        found = self.engine.encode(Sequences.concat(views), pad_id=self.model.pad_id)[:, 0].astype(np.float64)
        return self.model.link.predict(found[: len(battles)] - found[len(battles) :])


def all_pairs(given: list[dict[str, Any]]) -> Any:
    """Return every pair of every prompt's candidates."""
    from votecast import Battles

    return Battles.from_rows(
        [
            {"prompt": row["prompt"], "response_a": one, "response_b": other}
            for row in given
            for one, other in combinations(row["candidates"], 2)
        ]
    )


def scores_of(p: Floats, given: list[dict[str, Any]]) -> Floats:
    """Return expected win rates of all candidates from predictions of all pairs."""
    wins, found, start = p[:, 0] + p[:, 2] / 2, [], 0
    for row in given:
        n = len(row["candidates"])
        rates, pairs = np.zeros((n, n)), n * (n - 1) // 2
        rates[np.triu_indices(n, 1)] = wins[start : start + pairs]
        found.append((rates + np.triu(1 - rates, 1).T).sum(axis=1) / (n - 1))
        start += pairs
    return np.concatenate(found)


def timed(work: Callable[[], Floats]) -> tuple[float, float, Floats]:
    """Return seconds, CPU seconds and the result."""
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - start, time.process_time() - cpu, found


def measure(place: str, folder: Path, given: list[dict[str, Any]], rounds: int) -> tuple[Best, dict[str, Floats]]:
    """Return best seconds and scores of all contenders, in turns."""
    from votecast import rerank

    plain = reward_judge(place, folder, shared=False)
    judges = {"votecast": reward_judge(place, folder), "without shared prefixes": plain}
    pairs, anew = all_pairs(given), Anew(plain)

    def ranked(judge: Any) -> Floats:
        return np.concatenate([ranking.scores for ranking in rerank(judge, given)])

    def scored_anew() -> Floats:
        parts = [pairs[start : start + AT_ONCE] for start in range(0, len(pairs), AT_ONCE)]
        return scores_of(np.concatenate([anew(part) for part in parts]), given)

    work = {name: partial(ranked, judge) for name, judge in judges.items()} | {ANEW: scored_anew}
    anew(pairs[:4])  # warm
    for judge in judges.values():
        rerank(judge, given[:1])
    best: Best = {}
    scores: dict[str, Floats] = {}
    for turn in range(rounds):
        for name, call in work.items():
            took, cpu, scores[name] = timed(call)
            best[name] = min(best.get(name, np.inf), took)
            print(f"  round {turn + 1}: {name}: {took:.2f} s, {cpu:.2f} s of CPU", flush=True)
    return best, scores


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small", help="small, smollm2, or the folder of a reward model")
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--characters", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    given = rows(asked.prompts, asked.candidates, asked.characters)
    with tempfile.TemporaryDirectory() as folder:
        count = asked.prompts * asked.candidates * (asked.candidates - 1) // 2
        shape = f"{asked.prompts} x {asked.candidates} answers, {count} pairs"
        print(f"{asked.model}: {shape}; load {os.getloadavg()[0]:.1f}", flush=True)
        place = write_model(asked.model, Path(folder))
        seconds, scores = measure(place, Path(folder), given, asked.rounds)
    fine = True
    print(f"the deviation of scores over the candidates is {scores[ANEW].std():.2f}")
    for name, took in seconds.items():
        gap = float(np.abs(scores[name] - scores[ANEW]).max())
        fine &= gap <= CLOSE
        message = f"scores differ by {gap:.1e}, at most {CLOSE:.0e}: {_word(gap <= CLOSE)}"
        print(f"{name:24} {took:8.2f} s {count / took:9.1f} pairs/s {seconds[ANEW] / took:6.2f} x   {message}")
    ratio = seconds[ANEW] / seconds["votecast"]
    print(f"votecast against each pair anew: {ratio:.2f} x; reach {REACH:g}, aim {AIM:g}: {_word(ratio >= REACH)}")
    return int(not fine or ratio < REACH)


def _word(reached: bool) -> str:
    return "reached" if reached else "MISSED"


if __name__ == "__main__":
    raise SystemExit(main())
