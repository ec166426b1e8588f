import string

import pytest

from votecast.data.simulation.phrases import LANGUAGES
from votecast.data.simulation.questions import KINDS

each = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)


def fields(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_six_languages_with_shares():
    assert [language.code for language in LANGUAGES] == ["en", "de", "fr", "es", "ru", "zh"]
    assert sum(language.share for language in LANGUAGES) == pytest.approx(1)


@each
def test_templates_use_only_known_fields(language):
    assert set(language.requests) == set(KINDS)
    for kind, requests in language.requests.items():
        for request in requests:
            assert {"x", "y"} <= fields(request) <= {"x", "y", "z", "n", "m"}
            assert {"n", "m"} <= fields(request) or kind != "sum"
    assert set().union(*map(fields, language.contexts)) == {"name", "place", "n", "x"}
    assert all(clause.count("%s") == 2 for clause in language.clauses)


@each
def test_every_topic_has_eight_nouns_of_its_own(language):
    nouns = [noun for topic in language.topics for noun in topic]
    assert [len(topic) for topic in language.topics] == [8] * 12
    assert len(set(nouns)) == 96


@each
def test_empty_phrases_name_no_noun(language):
    nouns = {noun for topic in language.topics for noun in topic if len(noun) > 4}
    for sentence in (*language.vague, *language.refusals):
        assert sentence.endswith((".", "。"))
        assert not any(noun in sentence for noun in nouns)
