"""What each field means, for the description of the routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "BattleBody": {
        "id": "Name of the battle, given back with its forecast; by default its place in the request.",
        "prompt": "What the user wrote: a text, or a list of turns.",
        "response_a": "The first answer: a text, or as many turns as the prompt has (null for one never written).",
        "response_b": "The second answer, in the same form.",
        "language": "Language of the prompt, for judges that were calibrated by language.",
        "source": "Where the battle comes from, for judges that were calibrated by source.",
        "winner": "Is not looked at.",
        "probabilities": "Is not looked at.",
        "model_a": "Is not looked at.",
        "model_b": "Is not looked at.",
        "weight": "Is not looked at.",
    },
    "CompareBody": {
        "judge": "Name of the judge, as GET /v1/judges lists them; by default the first.",
        "order": "both: the forecast as votecast compare gives it; given: by the order as sent alone.",
        "explain": "Whether to tell the forecast of each order, and what spoke for either answer.",
    },
    "BatchBody": {"battles": "The battles, each with the fields that /v1/compare takes of one."},
    "RerankBody": {
        "id": "Name of the request, given back.",
        "prompt": "What the user wrote: a text, or a list of turns.",
        "candidates": "The answers to choose from: texts, which answer the last turn, or lists of turns.",
    },
    "LeaderboardBody": {
        "games": "Who met whom, with the vote or its forecast.",
        "method": "How strengths are fitted.",
    },
    "GameBody": {
        "model_a": "Name of the first model.",
        "model_b": "Name of the second model.",
        "winner": "The vote; or give probabilities.",
        "probabilities": "The forecast of the vote; or give the winner.",
    },
}
"""By class of body and field."""

BELOW: Final[Mapping[str, tuple[str, ...]]] = {
    "CompareBody": ("BattleBody",),
    "BatchBody": ("CompareBody",),
    "RerankBody": ("CompareBody",),
}
"""Whose meanings a class takes over where it has none of its own."""


def meaning(body: str, field: str) -> str | None:
    """What a field of a body means; None where nobody says.

    Example:
        >>> meaning("RerankBody", "judge")
        'Name of the judge, as GET /v1/judges lists them; by default the first.'
    """
    for name in (body, *BELOW.get(body, ())):
        if field in MEANINGS.get(name, {}):
            return MEANINGS[name][field]
    return None
