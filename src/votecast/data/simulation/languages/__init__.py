"""Six languages, each a handful of templates and topics written for the simulator."""

from __future__ import annotations

from votecast.data.simulation.languages.chinese import CHINESE
from votecast.data.simulation.languages.english import ENGLISH
from votecast.data.simulation.languages.french import FRENCH
from votecast.data.simulation.languages.german import GERMAN
from votecast.data.simulation.languages.phrases import Phrases
from votecast.data.simulation.languages.russian import RUSSIAN
from votecast.data.simulation.languages.spanish import SPANISH

LANGUAGES: tuple[Phrases, ...] = (ENGLISH, GERMAN, FRENCH, SPANISH, RUSSIAN, CHINESE)
"""All of them; the first is the one most prompts are written in."""

SHARES = (0.66, 0.08, 0.07, 0.08, 0.06, 0.05)
"""How often each language is asked in."""

__all__ = ["LANGUAGES", "SHARES", "Phrases"]
