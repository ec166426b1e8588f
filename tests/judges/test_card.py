"""Test the model card: data, metrics, training and limits."""

from votecast.judges.card import model_card

CONFIG = {
    "name": "mine",
    "family": "baseline",
    "recipe": {"seed": 42},
    "calibration": {"method": "temperature"},
    "members": 1,
    "facts": {
        "rows": 1200,
        "labels": {"a": 0.35, "b": 0.34, "tie": 0.31},
        "sources": {"arena|one": 1200},
        "folds": {"method": "grouped", "n": 5},
    },
    "figures": {},
    "notes": {},
    "made_with": {"votecast": "0.1.0"},
}
FIGURES = {
    "metrics": {"log_loss": {"value": 1.0123, "low": 0.99, "high": 1.03}, "flip_rate": {"value": None}},
    "baselines": {"class_prior": {"log_loss": {"value": 1.09}}},
}


def test_a_card_without_metrics_reports_it():
    card = model_card(CONFIG)
    assert card.startswith("# mine\n")
    assert "1,200 rows; votes: a 35.0%, b 34.0%, tie 31.0%." in card
    assert "| arena\\|one | 1,200 |" in card
    assert "None were measured" in card
    assert "were not given to votecast" in card
    assert "## Intended use and limits" in card


def test_metrics_are_shown_beside_the_null_baselines():
    card = model_card(CONFIG | {"figures": FIGURES, "members": 5})
    assert "| log loss | 1.0123 | 0.9900 to 1.0300 |" in card
    assert "| log loss of class prior, for comparison | 1.0900 | |" in card
    assert "flip rate" not in card
    assert "5 models, averaged" in card


def test_origins_are_a_table_with_their_licences():
    origins = [{"source": "arena", "licence": "CC BY 4.0"}, {"source": "other"}]
    card = model_card(CONFIG | {"notes": {"data_sources": origins}})
    assert "| source | licence |" in card
    assert "| arena | CC BY 4.0 |" in card
    assert "were not given to votecast" not in card


def test_the_card_lists_general_and_specific_limits():
    limits = ["It prefers a long refusal\nto a short answer.", "It leans on length."]
    card = model_card(CONFIG | {"notes": {"limits": limits}})
    assert card.endswith(
        "Do not use it to decide about people.\n\nKnown of this judge:\n\n"
        "- It prefers a long refusal to a short answer.\n- It leans on length.\n"
    )
    assert "Known of this judge" not in model_card(CONFIG)


def test_the_card_lists_optional_parts():
    facts = CONFIG["facts"] | {
        "folds": {"method": "grouped", "n": 10, "only": 3},
        "cut": {"rows": 1200, "rows_cut": 300, "kept": {"prompt": 0.9, "a": 0.5, "b": 1.0}},
    }
    base = {"name": "paper", "revision": None, "licence": "Apache-2.0"}
    card = model_card(CONFIG | {"facts": facts, "base": base, "notes": {"drawn": {"rows": 1200, "of": 5000}}})
    assert "folds: grouped, 10; only fold 3 was trained and measured" in card
    assert "kept: one model\n" in card
    assert "rows: 1,200 of 5,000, stratified by label" in card
    assert (
        "truncated: 300 of 1,200 rows are too long for it; tokens kept: 90.0% of prompt, 50.0% of a, 100.0% of b\n"
        in card
    )
    assert "weights that are not in this folder: name paper; licence Apache-2.0" in card
    card = model_card(CONFIG | {"recipe": {"seed": 1, "final": "average_weights"}})
    assert "one model with the mean of the weights of 5" in card
    assert "one model trained on all rows" in model_card(CONFIG)
