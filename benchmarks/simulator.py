"""Measure the excess log loss of simple judges on the simulated arena.

Three judges, cross-validated over the same five folds, beside the Bayes-optimal log loss: the class prior, a
multinomial logistic regression on lengths alone, and boosted trees on what can be counted in the texts.

    python benchmarks/simulator.py [--rows 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import zlib
from collections.abc import Callable

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from votecast.data.battles import Battles
from votecast.data.simulation import Truth, bayes_log_loss, simulate
from votecast.data.simulation.phrases import LANGUAGES

Floats = NDArray[np.float64]
Learner = Callable[[Floats, NDArray[np.int64], Floats], Floats]

PRIOR_ABOVE, LENGTH_ABOVE, FEATURES_WITHIN, AIM = 0.10, 0.04, 0.04, 0.02
_WORDS = re.compile(r"[\u4e00-\u9fff]{2}|[^\W\d_]{3,}")
_REFUSALS = tuple(sentence for language in LANGUAGES for sentence in language.refusals)
_SUM = re.compile(r"(\d+) \+ (\d+) = (\d+)")


def words(text: str) -> list[str]:
    """Return lower-case words; Chinese as overlapping pairs of characters."""
    found = _WORDS.findall(text.lower())
    han = re.findall(r"[\u4e00-\u9fff]+", text)
    return [word for word in found if word < "\u4e00"] + [run[i : i + 2] for run in han for i in range(len(run) - 1)]


def counts(prompt: str, turns: list[str | None]) -> list[float]:
    """Return counts of one response from its text alone."""
    text = "\n\n".join(turn for turn in turns if turn)
    used, asked = words(text), set(words(prompt))
    shared = [word for word in used if word in asked]
    sentences = re.split(r"[.!?。]\s*", text)
    raw = text.encode()
    latin, cyrillic, han = (len(re.findall(f"[{span}]", text)) for span in ("a-zA-Z", "\u0400-\u04ff", "\u4e00-\u9fff"))
    return [
        np.log1p(len(text)),
        len(shared) / max(len(used), 1),
        len(set(shared)) / max(len(asked), 1),
        sum(word in asked and len(word) > 4 for word in used) / max(len(sentences), 1),
        len(set(used)) / max(len(used), 1),
        len(set(sentences)) / len(sentences),
        len(zlib.compress(raw, 1)) / max(len(raw), 1),
        sum(text.count(sentence) for sentence in _REFUSALS) / len(turns),
        len(re.findall(r"(?m)^(?:-|\d+\.) ", text)) / len(turns),
        len(re.findall(r"(?m)^#+ ", text)) / len(turns),
        text.count("**") / len(turns),
        text.count("```") / len(turns),
        len(re.findall(r"(?m)^\|", text)) / len(turns),
        sum(turn is None for turn in turns),
        sum(int(a) + int(b) != int(c) for a, b, c in _SUM.findall(text)),
        latin / max(len(text), 1),
        cyrillic / max(len(text), 1),
        han / max(len(text), 1),
        sum(used.count(word) for word in ("the", "and", "les", "des", "los", "und", "die")) / max(len(used), 1),
    ]


def pair_features(battles: Battles) -> Floats:
    """Return counts of both responses and differences, shape (n, 3k + 2)."""
    rows = [battles.column(name).to_pylist() for name in ("prompt", "response_a", "response_b")]
    asked = ["\n".join(turn for turn in turns if turn) for turns in rows[0]]
    a = np.array([counts(prompt, turns) for prompt, turns in zip(asked, rows[1], strict=True)])
    b = np.array([counts(prompt, turns) for prompt, turns in zip(asked, rows[2], strict=True)])
    sizes = np.array([[np.log1p(len(text)), len(turns)] for text, turns in zip(asked, rows[0], strict=True)])
    return np.hstack([a, b, a - b, sizes])


def length_features(features: Floats) -> Floats:
    """Return length features, shape (n, 5)."""
    k = (features.shape[1] - 2) // 3
    difference = features[:, 2 * k]
    return np.column_stack(
        [features[:, 0], features[:, k], difference, abs(difference), difference**2, features[:, -2:]]
    )


def swapped(features: Floats) -> Floats:
    """Return the features with the responses swapped."""
    k = (features.shape[1] - 2) // 3
    return np.hstack([features[:, k : 2 * k], features[:, :k], -features[:, 2 * k : 3 * k], features[:, 3 * k :]])


def by_length(train: Floats, votes: NDArray[np.int64], test: Floats) -> Floats:
    """Fit multinomial logistic regression on lengths."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return np.asarray(model.fit(length_features(train), votes).predict_proba(length_features(test)))


def by_features(train: Floats, votes: NDArray[np.int64], test: Floats) -> Floats:
    """Fit boosted trees on both orders of every pair; average both."""
    settings = {"objective": "multiclass", "num_class": 3, "num_leaves": 15, "learning_rate": 0.04, "lambda_l2": 20.0}
    settings |= {
        "min_data_in_leaf": 60,
        "feature_fraction": 0.5,
        "verbosity": -1,
        "seed": 0,
        "deterministic": True,
        "num_threads": 2,
    }
    data = lgb.Dataset(np.vstack([train, swapped(train)]), np.concatenate([votes, np.array([1, 0, 2])[votes]]))
    model = lgb.train(settings, data, num_boost_round=350)
    return np.asarray((model.predict(test) + model.predict(swapped(test))[:, [1, 0, 2]]) / 2)


def cross_validated(learner: Learner, features: Floats, votes: NDArray[np.int64], groups: NDArray[np.int64]) -> Floats:
    """Return out-of-fold probabilities over five folds grouped by prompt."""
    out = np.empty((len(votes), 3))
    for train, test in GroupKFold(5).split(features, votes, groups):
        out[test] = learner(features[train], votes[train], features[test])
    return out


def measure(rows: int, seed: int) -> dict[str, float]:
    """Return log losses of all judges, label shares and simulation seconds."""
    begin = time.perf_counter()
    parts = list(simulate(rows, seed))
    seconds = time.perf_counter() - begin
    battles, truth = Battles.concat([b for b, _ in parts]), Truth.concat([t for _, t in parts])
    targets = battles.targets()
    votes = targets.argmax(axis=1)
    features = pair_features(battles)
    groups = np.unique(
        ["\n".join(t or "" for t in turns) for turns in battles.column("prompt").to_pylist()], return_inverse=True
    )[1]
    loss = lambda p: float(-(targets * np.log(p)).sum(axis=1).mean())  # noqa: E731
    return {
        "seconds": seconds,
        "share_a": targets[:, 0].mean(),
        "share_b": targets[:, 1].mean(),
        "share_tie": targets[:, 2].mean(),
        "bayes": bayes_log_loss(truth, targets),
        "expected_bayes": bayes_log_loss(truth, truth.probabilities),
        "prior": loss(np.broadcast_to(targets.mean(axis=0), targets.shape)),
        "length": loss(cross_validated(by_length, features, votes, groups)),
        "features": loss(cross_validated(by_features, features, votes, groups)),
    }


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = measure(options.rows, options.seed)
    above = {name: found[name] - found["bayes"] for name in ("prior", "length", "features")}
    print(f"rows {options.rows}, seed {options.seed}, simulated in {found['seconds']:.1f} s")
    print(f"labels a / b / tie  {found['share_a']:.3f} / {found['share_b']:.3f} / {found['share_tie']:.3f}")
    print(f"Bayes-optimal       {found['bayes']:.4f}  (expected {found['expected_bayes']:.4f})")
    reached = {
        "prior": (above["prior"] >= PRIOR_ABOVE, f"at least +{PRIOR_ABOVE}"),
        "length": (above["length"] >= LENGTH_ABOVE, f"at least +{LENGTH_ABOVE}"),
        "features": (above["features"] <= FEATURES_WITHIN, f"at most +{FEATURES_WITHIN}, aim +{AIM}"),
    }
    for name, (fine, mark) in reached.items():
        print(f"{name:<19} {found[name]:.4f}  {above[name]:+.4f}  {mark}: {'reached' if fine else 'MISSED'}")
    return 0 if all(fine for fine, _ in reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
