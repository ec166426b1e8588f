import re
from collections import Counter

import numpy as np
import py3langid
import pytest

from votecast.data.battles import Battles
from votecast.data.simulation import MODELS, Truth, simulate
from votecast.errors import ConfigError

ROWS = 5000


@pytest.fixture(scope="module")
def arena():
    parts = list(simulate(ROWS, seed=0))
    return Battles.concat([battles for battles, _ in parts]), Truth.concat([truth for _, truth in parts])


@pytest.fixture(scope="module")
def prompts(arena):
    return arena[0].column("prompt").to_pylist()


@pytest.fixture(scope="module")
def answers(arena):
    return [arena[0].column(name).to_pylist() for name in ("response_a", "response_b")]


def skewness(values):
    return np.mean(((values - values.mean()) / values.std()) ** 3)


def test_any_batch_size_gives_the_same_rows():
    whole = list(simulate(50, seed=3, batch=50))
    parts = list(simulate(50, seed=3, batch=7))
    assert [len(battles) for battles, _ in parts] == [7] * 7 + [1]
    assert Battles.concat([b for b, _ in parts]).table.equals(whole[0][0].table)
    np.testing.assert_array_equal(Truth.concat([t for _, t in parts]).probabilities, whole[0][1].probabilities)


def test_a_later_start_continues_the_same_arena():
    whole, truth = next(simulate(30, seed=3))
    rest, its_truth = next(simulate(10, seed=3, start=20))
    assert rest.table.equals(whole[20:].table)
    np.testing.assert_array_equal(its_truth.qualities, truth.qualities[20:])


def test_another_seed_is_another_arena_without_shared_prompts(prompts):
    others = [turns for battles, _ in simulate(1000, seed=1) for turns in battles.column("prompt").to_pylist()]
    assert not {turns[0] for turns in prompts if turns[0]} & {turns[0] for turns in others if turns[0]}


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"seed": -1}, {"batch": 0}, {"start": -5}])
def test_numbers_out_of_range_are_refused_before_the_first_row(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be at least"):
        simulate(**{"rows": 5, **wrong})


def test_turns_from_one_to_ten(arena, prompts, answers):
    turns = Counter(map(len, prompts))
    assert set(turns) == set(range(1, 11))
    assert turns[1] > 0.7 * ROWS
    assert [list(map(len, side)) for side in answers] == [list(map(len, prompts))] * 2


def test_lengths_are_about_log_normal_around_1500_characters(prompts, answers):
    sizes = [sum(len(t) for side in row for t in side if t) for row in zip(prompts, *answers, strict=True)]
    assert 1300 < np.median(sizes) < 1700
    assert skewness(np.array(sizes)) > 5
    assert 0.6 < np.log(sizes).std() < 1.0
    assert abs(skewness(np.log(sizes))) < 1.0


def test_null_turns_in_prompts_and_answers(prompts, answers):
    for column in (prompts, *answers):
        assert 0 < sum(None in turns for turns in column) < 0.03 * ROWS


def test_lists_code_headings_tables_refusals_and_wrong_sums(answers):
    texts = ["\n".join(t for t in turns if t) for side in answers for turns in side]
    for pattern in (
        r"(?m)^- ",
        r"(?m)^2\. ",
        "```",
        r"(?m)^## ",
        r"(?m)^\|---",
        r"\*\*",
        "I can't help",
        "je ne peux pas",
    ):
        assert sum(bool(re.search(pattern, text)) for text in texts) > 5, pattern
    sums = [
        (int(a) + int(b) == int(c)) for text in texts for a, b, c in re.findall(r"(?m)^(\d+) \+ (\d+) = (\d+)$", text)
    ]
    assert 0.6 < np.mean(sums) < 0.95


def test_six_languages_that_a_detector_recognises(arena, prompts):
    languages = np.array(arena[1].languages)
    assert arena[0].column("language").to_pylist() == arena[1].languages
    for code in ("en", "de", "fr", "es", "ru", "zh"):
        texts = [turns[0] for turns, language in zip(prompts, languages, strict=True) if language == code and turns[0]][
            :100
        ]
        assert len(texts) == 100
        assert sum(py3langid.classify(text)[0] == code for text in texts) >= 90, code


def test_prompts_repeat_exactly_and_nearly(prompts):
    counts = Counter(turns[0] for turns in prompts)
    repeated = sum(count for count in counts.values() if count > 1)
    assert 0.05 * ROWS < repeated < 0.2 * ROWS
    plain = Counter(re.sub(r"\W+", " ", text.lower()).strip() for text in counts if text)
    assert sum(count > 1 for count in plain.values()) > 50


def test_a_model_answers_a_popular_prompt_in_few_ways(arena, prompts, answers):
    popular = Counter(turns[0] for turns in prompts).most_common(1)[0][0]
    openings = {}
    for turns, text, model in zip(prompts, answers[0], arena[0].column("model_a").to_pylist(), strict=True):
        if turns[0] == popular:
            openings.setdefault(model, []).append(text[0])
    assert max(map(len, openings.values())) > 2
    assert all(len(set(texts)) <= 2 for texts in openings.values())


def test_sixty_models_of_different_strength(arena):
    battles, truth = arena
    first, second = (battles.column(name).to_pylist() for name in ("model_a", "model_b"))
    assert len(MODELS) == 60
    assert set(first) == set(second) == {model.name for model in MODELS}
    assert all(a != b for a, b in zip(first, second, strict=True))
    skill = {model.name: model.skill for model in MODELS}
    gap = np.array([skill[a] - skill[b] for a, b in zip(first, second, strict=True)])
    assert np.std(list(skill.values())) > 0.8
    assert np.corrcoef(gap, truth.qualities[:, 0] - truth.qualities[:, 1])[0, 1] > 0.3


def test_labels_are_shared_out_as_in_the_contest(arena):
    a, b, tie = arena[0].targets().mean(axis=0)
    assert abs(a - 0.35) < 0.02
    assert abs(b - 0.34) < 0.02
    assert abs(tie - 0.31) < 0.02


def test_ids_are_unique_within_and_beyond_a_file():
    ids = [name for start in (0, 3000) for battles, _ in simulate(500, start=start) for name in battles.ids]
    assert len(set(ids)) == 1000
    assert all(name.isdigit() for name in ids)


def test_the_prior_is_far_above_the_best_possible(arena):
    battles, truth = arena
    p, share = truth.probabilities, battles.targets().mean(axis=0)
    assert -(p * np.log(share)).sum(axis=1).mean() + (p * np.log(p)).sum(axis=1).mean() > 0.10


def test_length_predicts_little(arena, answers):
    q = arena[1].qualities[:, 0] - arena[1].qualities[:, 1]
    longer = np.array(
        [
            np.log(max(sum(len(t) for t in a if t), 1) / max(sum(len(t) for t in b if t), 1))
            for a, b in zip(*answers, strict=True)
        ]
    )
    assert 0 < np.corrcoef(q, longer)[0, 1] < 0.5
