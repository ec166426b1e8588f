"""Measure pairs scored per second by the inference engine and its peers.

    python benchmarks/inference_speed.py --data DIR [--rows 1000] [--rounds 2] [--threads 2]

MiniLM with a head of three labels, drawn by a fixed seed, reads `[CLS] P [SEP] A [SEP] B` of at most 512 tokens, one
order, on two cores. Every contender runs in a process of its own, warmed up on 16 rows, with token ids made beforehand;
the best round counts. Before any speed is shown the logits are compared.

- trainer: `transformers.Trainer.predict`, every row padded to 512, batches of 8
- sentence-transformers: `CrossEncoder.predict` with its defaults: sorted by length, batches of 32 padded to the longest
- votecast, and votecast in bf16, whose log loss is shown beside that of fp32

The head is random and wide, so that its logits spread over the rows as those of a trained judge do; for log loss their
mean is taken off. Two shifts are shown: on the votes, and expected if the fp32 prediction were exact.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _votes import data_parser, folder_or_leave

Floats = NDArray[Any]
LENGTH, THREADS, WARM, HEAD = 512, 2, 16, 1.3
CLOSE, KEPT = 1e-4, 0.001
MARKS = {  # file, who, against whom: reach, aim
    ("dev_autoj", "votecast", "trainer"): (1.7, 2.5),
    ("dev_autoj", "votecast", "sentence-transformers"): (1.3, 1.7),
    ("dev_autoj", "fastest", "sentence-transformers"): (2.2, 4.0),
    ("dev_pandalm", "fastest", "trainer"): (6.0, 12.0),
}
CONTENDERS = {
    "dev_autoj": ("votecast", "votecast bf16", "sentence-transformers", "trainer"),
    "dev_pandalm": ("votecast", "votecast bf16", "trainer"),
}


def prepare(work: Path, data: Path, rows: int) -> None:
    """Write the model and each file's token ids and votes."""
    import torch

    from votecast.data import read_votes
    from votecast.models.neural.backbone import Source
    from votecast.text.encoder import TextEncoder
    from votecast.text.settings import TextSettings

    source = Source.of("minilm")
    tokenizer = source.tokenizer()
    torch.manual_seed(0)
    model = source.load("classifier")
    torch.nn.init.normal_(model.classifier.weight, std=HEAD)
    model.save_pretrained(work / "model")
    tokenizer.save(work / "model")
    text = TextEncoder(tokenizer, TextSettings(cut="balanced", max_length=LENGTH))
    for name in CONTENDERS:
        battles = read_votes(data / f"{name}.jsonl.gz", labels="required")[:rows]
        made = text.pairs(text.tokenize(battles)).sequences
        types = np.minimum(made.types, 1)  # BERT knows two segments
        np.savez(work / f"{name}.npz", ids=made.ids, offsets=made.offsets, types=types, targets=battles.targets())


def contender(name: str, work: Path, file: str) -> Callable[[int | None], Floats]:
    """Return a function that scores the first rows, or all."""
    import torch
    from transformers import AutoTokenizer

    from votecast.text.sequences import Sequences

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    stored = np.load(work / f"{file}.npz")
    sequences = Sequences(stored["ids"], stored["offsets"], stored["types"])
    if name.startswith("votecast"):
        return votecast(work, sequences, "bf16" if name.endswith("bf16") else "fp32")
    tokenizer = AutoTokenizer.from_pretrained(work / "model")
    return trainer(work, sequences) if name == "trainer" else sentence_transformers(work, sequences, tokenizer)


def votecast(work: Path, sequences: Any, precision: Any) -> Callable[[int | None], Floats]:
    """Score with votecast's engine, rebuilt in every call."""
    from votecast.inference.engine import Engine
    from votecast.inference.settings import InferenceSettings
    from votecast.models.cross_encoder import CrossNetwork
    from votecast.models.neural.backbone import Source

    network = CrossNetwork(Source.of(str(work / "model")).load("classifier"), both_orders=False)
    settings = InferenceSettings(precision=precision)

    def score(rows: int | None) -> Floats:
        part = sequences.take(np.arange(len(sequences))[:rows])
        return Engine(network, settings).encode(part, pad_id=0)

    return score


def trainer(work: Path, sequences: Any) -> Callable[[int | None], Floats]:
    """`Trainer.predict` on rows padded to the longest length."""
    from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

    model = AutoModelForSequenceClassification.from_pretrained(work / "model")
    arguments = TrainingArguments(
        output_dir=str(work / "trainer"),
        per_device_eval_batch_size=8,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    padded = sequences.padded(np.arange(len(sequences)), pad_id=0, to=LENGTH)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        for ids, mask, types in zip(padded.ids, padded.mask, padded.types, strict=True)
    ]
    predictor = Trainer(model=model, args=arguments)
    return lambda count: np.asarray(predictor.predict(rows[:count]).predictions)


def sentence_transformers(work: Path, sequences: Any, tokenizer: Any) -> Callable[[int | None], Floats]:
    """Score with `CrossEncoder.predict`, replacing tokenization by a lookup."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(work / "model"), device="cpu")
    keys = [(str(row), tokenizer.decode(sequences[row])) for row in range(len(sequences))]

    def look_up(batch: list[tuple[str, str]], **_: Any) -> dict[str, Any]:
        rows = sequences.padded([int(key) for key, _ in batch], pad_id=0, multiple=1)
        arrays = {"input_ids": rows.ids, "attention_mask": rows.mask, "token_type_ids": rows.types}
        return {name: torch.from_numpy(array) for name, array in arrays.items()} | {"modality": "text"}

    model.preprocess = look_up
    return lambda count: np.asarray(model.predict(keys[:count], show_progress_bar=False))


def run_contender(name: str, work: Path, file: str, out: Path) -> None:
    """Score in this process; write logits and seconds."""
    warnings.simplefilter("ignore")
    score = contender(name, work, file)
    score(WARM)
    start, cpu = time.perf_counter(), time.process_time()
    logits = score(None)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    np.save(out.with_suffix(".npy"), logits)
    out.with_suffix(".json").write_text(json.dumps({"seconds": seconds, "cpu": cpu}))


def measure(work: Path, file: str, rounds: int, threads: int) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return best seconds and logits of every contender over interleaved rounds."""
    best: dict[str, float] = {}
    logits: dict[str, Floats] = {}
    for turn in range(rounds):
        for name in CONTENDERS[file]:
            out = work / f"{file} {name}"
            command = [sys.executable, __file__, "--contender", name, "--work", str(work), "--file", file]
            found = subprocess.run(
                command, check=False, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)}
            )
            if found.returncode:
                raise SystemExit(f"{name} failed:\n{found.stderr[-3000:]}")
            took = json.loads(out.with_suffix(".json").read_text())
            logits[name] = np.load(out.with_suffix(".npy"))
            best[name] = min(best.get(name, np.inf), took["seconds"])
            print(f"  round {turn + 1}: {name}: {took['seconds']:.1f} s, {took['cpu']:.1f} s of CPU", flush=True)
    return best, logits


def log_losses(logits: Floats, exact: Floats, targets: Floats) -> tuple[float, float]:
    """Return the log loss shift: on votes, and expected under exact predictions."""
    from votecast.metrics import log_loss

    p, true = (_softmax(x.astype(np.float64) - exact.mean(axis=0)) for x in (logits, exact))
    return log_loss(targets, p) - log_loss(targets, true), float((true * np.log(true / p)).sum(axis=1).mean())


def report(work: Path, file: str, rounds: int, threads: int) -> bool:
    """Measure one file and print the results; return whether marks are reached."""
    stored = np.load(work / f"{file}.npz")
    tokens, rows = len(stored["ids"]), len(stored["offsets"]) - 1
    print(f"\n{file}: {rows} pairs, {tokens / rows:.0f} tokens a pair; load {os.getloadavg()[0]:.1f}", flush=True)
    seconds, logits = measure(work, file, rounds, threads)
    exact, fine = logits["votecast"], True
    print(f"logits of votecast have a deviation of {exact.std(axis=0).mean():.2f} over the rows")
    for name in set(logits) - {"votecast", "votecast bf16"}:
        gap = float(np.abs(logits[name] - exact).max())
        fine &= gap <= CLOSE
        print(f"logits of {name} and votecast differ by {gap:.1e}, at most {CLOSE:.0e}: {_word(gap <= CLOSE)}")
    real, expected = log_losses(logits["votecast bf16"], exact, stored["targets"])
    kept = abs(real) <= KEPT and expected <= KEPT
    print(
        f"bf16 moves the log loss by {real:+.5f} on the votes, {expected:+.5f} expected: {'kept' if kept else 'LOST'}"
    )
    seconds["fastest"] = min(seconds["votecast"], seconds["votecast bf16"] if kept else np.inf)
    for name, time_taken in seconds.items():
        print(f"{name:24} {rows / time_taken:8.2f} pairs/s {tokens / time_taken:8,.0f} tokens/s")
    for (where, who, against), (reach, aim) in MARKS.items():
        if where == file:
            ratio = seconds[against] / seconds[who]
            fine &= ratio >= reach
            print(f"{who} against {against}: {ratio:.2f} x; reach {reach}, aim {aim}: {_word(ratio >= reach)}")
    return fine


def _softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _word(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = data_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    for internal in ("--contender", "--work", "--file"):
        parser.add_argument(internal, help="for the processes that this one starts")
    asked = parser.parse_args()
    if asked.contender:
        work = Path(asked.work)
        run_contender(asked.contender, work, asked.file, work / f"{asked.file} {asked.contender}")
        return 0
    data = folder_or_leave(asked.data)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), data, asked.rows)
        reached = [report(Path(folder), file, asked.rounds, asked.threads) for file in asked.only]
    return int(not all(reached))


if __name__ == "__main__":
    raise SystemExit(main())
