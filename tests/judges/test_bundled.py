"""Test the bundled judges: small, complete, without texts, plausible."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from votecast import load_judge
from votecast.data import Battles
from votecast.judges.trained import TrainedJudge

BUNDLED = Path(__file__).parents[2] / "src" / "votecast" / "bundled"
MOST = {"baseline": 2_000_000, "encoder": 6_000_000}


@pytest.fixture(scope="module", params=MOST)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str) -> Path:
    return BUNDLED / name


@pytest.fixture(scope="module")
def bundled(name: str) -> TrainedJudge:
    return load_judge(f"bundled:{name}")


def test_it_is_small_and_of_safe_formats(name: str, folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST[name]
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".safetensors", ".txt", ".md", ".parquet"}


SKY = "Sunlight is scattered by the air, and blue light is scattered most. That is why the sky looks blue."
HAIKU = "Soft rain on the roof,\nthe garden drinks in silence;\nmorning smells of earth."
REFUSAL = "I'm sorry, but as an AI language model I cannot help with that."
CODE = "Here it is:\n\n```python\ndef add(a, b):\n    return a + b\n```\n\nCall it as `add(1, 2)`."
EGG = "1. Boil water.\n2. Add the egg for eight minutes.\n3. Cool it in cold water."


@pytest.mark.parametrize(
    ("prompt", "good", "bad"),
    [
        ("Why is the sky blue?", SKY, "Because."),
        ("Write a haiku about rain.", HAIKU, ""),
        ("Write a function that adds two numbers.", CODE, REFUSAL),
        ("How do I boil an egg?", EGG, "egg egg egg egg egg egg"),
    ],
)
def test_the_better_answer_is_likely_to_win(bundled: TrainedJudge, prompt: str, good: str, bad: str) -> None:
    p = bundled.predict_proba([{"prompt": prompt, "response_a": good, "response_b": bad}])
    assert p[0, 0] > p[0, 1]


def test_the_card_names_every_source_with_licence_and_thanks(folder: Path) -> None:
    card = (folder / "README.md").read_text("utf-8")
    for needed in (
        "dustalov/llmfao",
        "CC BY 4.0",
        "Ustalov",
        "bcdnlp/PRD",
        "artidoro/qlora",
        "FineGrainedRLHF",
        "hh-rlhf",
        "open-instruct",
    ):
        assert needed in card


def test_the_card_lists_known_failures(name: str, folder: Path) -> None:
    card = (folder / "README.md").read_text("utf-8")
    known = {
        "baseline": ("leans on form and length", "long refusal", "checks no facts", "calibrated on the crowds"),
        "encoder": ("leans on length and form", "not on dev_autoj", "checks no facts", "knows English"),
    }
    for needed in known[name]:
        assert needed in card


def test_it_holds_no_text_of_the_votes(folder: Path, outside_votes: Path) -> None:
    held = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()).decode("utf-8", "replace")
    with gzip.open(outside_votes / "votes_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [text for row in rows for name in ("prompt", "response_a", "response_b") for text in row[name] if text]
    pieces = {text[:40] for text in texts if len(text) >= 25 and not re.fullmatch(r"[\W\d]*", text)}
    assert not [piece for piece in pieces if piece in held]


def test_predictions_do_not_depend_on_response_order(bundled: TrainedJudge) -> None:
    battles = Battles.from_rows([{"prompt": "Hi", "response_a": "Hello there.", "response_b": "No."}])
    swapped = bundled.predict_proba(battles.swapped())[:, [1, 0, 2]]
    assert np.allclose(swapped, bundled.predict_proba(battles), rtol=0, atol=1e-6)


def test_the_encoder_builds_on_weights_that_it_names_and_does_not_hold() -> None:
    base = json.loads((BUNDLED / "encoder" / "config.json").read_text("utf-8"))["base"]
    assert (base["sha256"][:10], base["licence"]) == ("53aa51172d", "Apache-2.0")
