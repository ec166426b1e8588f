import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from votecast.calibration import Grouped
from votecast.calibration.logit_scalers import Shift
from votecast.calibration.tie_models import davidson_probabilities
from votecast.data.battles import Battles
from votecast.data.simulation import simulate
from votecast.features import extract
from votecast.judges.explain import GROUPS, MEASURES, Reason, explain, group_of, looks
from votecast.judges.load import load_judge
from votecast.judges.trained import TrainedJudge
from votecast.models.baseline import BaselineModel

PROMPT = "Give me three tips for sleeping better."
LISTED = "# Sleep\n1. **Dark** room\n2. No screens\n3. Same hour every day"
REFUSED = "Sorry, I cannot help with that."
FRANCE = "¿Cuál es la capital de Francia?"
CODE = "`x = 1 + 1 = 2`\n```py\npass\n```"
SKY: dict[str, Any] = {
    "prompt": "Why is the sky blue?",
    "response_a": "Air scatters blue light most.",
    "response_b": "Because it mirrors the sea.",
}
ROWS: list[dict[str, Any]] = [
    {"prompt": PROMPT, "response_a": LISTED, "response_b": REFUSED},
    {"prompt": FRANCE, "response_a": "The capital of France is Paris.", "response_b": "Es París."},
    {"prompt": "今天天气怎么样", "response_a": "今天很好，适合散步。", "response_b": CODE},
    {"prompt": ["Hi", "Why?"], "response_a": ["Hello", ""], "response_b": ["Yes", None]},
    {"prompt": "x", "response_a": "the same", "response_b": "the same"},
]


@pytest.fixture(scope="module")
def bundled() -> TrainedJudge:
    judge = load_judge("bundled:baseline")
    assert isinstance(judge, TrainedJudge)
    return judge


def reasons_of(judge: object, battles: Battles) -> list[list[Reason]]:
    found = explain(judge, battles)
    assert found is not None
    return found


def effects(reasons: list[Reason]) -> dict[str, float]:
    return {reason.name: reason.effect for reason in reasons}


def check_sums_and_swap(judge: TrainedJudge, battles: Battles) -> None:
    p, found = judge.predict_proba(battles), reasons_of(judge, battles)
    for row, reasons, swapped in zip(p, found, reasons_of(judge, battles.swapped()), strict=True):
        assert sum(effects(reasons).values()) == pytest.approx(row[0] - row[1], abs=1e-9)
        assert effects(swapped) == {name: -effect for name, effect in effects(reasons).items()}


def test_effects_add_up_to_the_lead_and_change_sides_with_the_answers(bundled: TrainedJudge) -> None:
    check_sums_and_swap(bundled, Battles.from_rows(ROWS))


def test_effects_go_through_folds_and_calibration_by_groups() -> None:
    battles, _ = next(simulate(rows=200, seed=3, batch=200))
    overrides = {"folds.n": 2, "model.inner_folds": 2, "model.trees.rounds": 20, "calibration.method": "isotonic"}
    fitted = TrainedJudge("baseline", overrides).fit(battles)
    check_sums_and_swap(fitted, battles[:30])
    grouped = Grouped(
        "turns", fitted.fitted.calibrator, {"1": Shift().fit(fitted.fitted.out_of_fold.raw, battles.targets())}
    )
    judge = TrainedJudge.of(fitted.recipe, replace(fitted.fitted, calibrator=grouped))
    assert not np.array_equal(judge.predict_proba(battles), fitted.predict_proba(battles))
    check_sums_and_swap(judge, battles[:30])


def test_contributions_sum_to_the_prediction(bundled: TrainedJudge) -> None:
    model, prepared = bundled.fitted.members[0], extract(Battles.from_rows(ROWS))
    assert isinstance(model, BaselineModel)
    parts = model.contributions(prepared)
    made = davidson_probabilities(parts.strength.sum(axis=1), parts.base + parts.closeness.sum(axis=1))
    assert np.allclose(made, model.predict(prepared), atol=1e-9)


def test_a_model_without_trees_or_rows_is_explained_too() -> None:
    rows = [{"prompt": str(i), "response_a": "No.", "response_b": "Yes, " * i, "winner": "b"} for i in range(12)]
    battles = Battles.from_rows(rows)
    judge = TrainedJudge("baseline", {"folds.n": 2, "calibration.method": "none"}).fit(battles)
    check_sums_and_swap(judge, battles)
    assert explain(judge, battles[:0]) == []


def test_explanations_do_not_depend_on_other_rows(bundled: TrainedJudge) -> None:
    battles = Battles.from_rows(ROWS * 9)
    assert reasons_of(bundled, battles)[1] == reasons_of(bundled, battles[1:2])[0]


def test_equal_answers_have_no_reasons(bundled: TrainedJudge) -> None:
    assert set(effects(reasons_of(bundled, Battles.from_rows(ROWS[-1:]))[0]).values()) == {0.0}


def test_the_strongest_reason_comes_first(bundled: TrainedJudge) -> None:
    for reasons in reasons_of(bundled, Battles.from_rows(ROWS)):
        sizes = [abs(reason.effect) for reason in reasons]
        assert sizes == sorted(sizes, reverse=True)
        assert {reason.name for reason in reasons} == {group.name for group in GROUPS}


def test_reasons_are_given_in_plain_words(bundled: TrainedJudge) -> None:
    first, second, third, *_ = reasons_of(bundled, Battles.from_rows(ROWS))
    sentences = [{reason.name: reason.text for reason in reasons} for reasons in (first, second, third)]
    assert sentences[0]["Length"].endswith("Answer A has 12 words, answer B has 6 words.")
    assert sentences[0]["Layout"].endswith("Answer A: 3 list items, 1 heading, 1 bold phrase; answer B: none of it.")
    assert sentences[0]["Refusals and cautions"].endswith("A: none of it; answer B: 2 phrases of refusal, 1 apology.")
    assert sentences[0]["The prompt"].startswith("The prompt has 7 words and seems to ask for list")
    assert sentences[1]["Language"].endswith("The answers are too short to recognise their languages.")
    assert sentences[2]["Length"].endswith("Answer A has 10 characters, answer B has 30 characters.")
    assert sentences[2]["Code and figures"].endswith("none of it; answer B: 1 code block, 2 backticks, 1 correct sum.")
    assert all(text.endswith(".") and "_" not in text for texts in sentences for text in texts.values())


def test_equal_numbers_explain_no_large_effect(bundled: TrainedJudge) -> None:
    rows = [
        {"prompt": "Why is the sky blue?", "response_a": "Air scatters blue light most.", "response_b": other}
        for other in ("Because it mirrors the sea.", "Nobody has yet seen why.", "The sky mirrors the sea.")
    ]
    for reasons in reasons_of(bundled, Battles.from_rows(ROWS[:2] + rows)):
        for reason in reasons:
            pairs = re.findall(r"A\D*([\d.]+\d|\d).*?B\D*([\d.]+\d|\d)", reason.text)
            assert not pairs or abs(reason.effect) < 0.01 or any(a != b for a, b in pairs), reason


def test_a_group_lists_its_strongest_feature_first() -> None:
    closeness = next(group for group in GROUPS if group.name == "Closeness to the prompt")
    (shown,) = looks(extract(Battles.from_rows([SKY])))
    sentences = closeness.text(shown, {"prompt_words_in": 0.1, "prompt_long_words_in": 0.4, "on_topic": 0.2})
    assert sentences.startswith(
        "Answer A repeats 100% of the longer words of the prompt, answer B 0%. Answer A repeats"
    )
    sentences = closeness.text(shown, {"prompt_words_in": 0.9, "on_topic": 0.2})
    assert sentences.startswith("In answer A, 100% of the sentences share a word with the prompt; in answer B, 0%.")


def test_languages_are_detected_in_texts_that_are_long_enough(bundled: TrainedJudge) -> None:
    english = "The sky is blue because the air scatters the blue part of the light more than the red."
    spanish = "El cielo es azul porque el aire dispersa la parte azul de la luz más que la parte roja."
    rows = [
        {"prompt": "Why?", "response_a": english, "response_b": b} for b in (spanish, english + " It is.", "Sí, claro.")
    ]
    sentences = [
        {r.name: r.text for r in reasons}["Language"] for reasons in reasons_of(bundled, Battles.from_rows(rows))
    ]
    assert sentences[0].endswith("nswer A seems to be in English; answer B seems to be in Spanish.")
    assert sentences[1].endswith("Both answers seem to be in English.")
    assert sentences[2].endswith("nswer A seems to be in English; answer B is too short to recognise its language.")


def test_every_feature_belongs_to_one_group() -> None:
    features = extract(Battles.from_rows(ROWS[:1]))
    named = [name for group in GROUPS for name in group.features]
    assert len(named) == len(set(named))
    assert set(features.names) <= set(named)
    assert set(MEASURES) <= set(features.names)
    assert {GROUPS[group_of(name)].name for name in features.shared_names} == {"Likeness of the answers", "The prompt"}
    assert {group_of(f"gap_{kind}_{n}") for kind in ("words", "characters") for n in range(3)} == {group_of("terms")}


def test_other_judges_are_not_explained(bundled: TrainedJudge) -> None:
    class Coin:
        name, hash = "coin", ""

    assert explain(Coin(), Battles.from_rows(ROWS)) is None
    other = replace(bundled.fitted, members=[bundled.fitted.members[0], Coin()])  # type: ignore[list-item]
    assert explain(TrainedJudge.of(bundled.recipe, other), Battles.from_rows(ROWS)) is None
