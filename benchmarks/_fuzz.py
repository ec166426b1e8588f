"""Send valid and invalid requests generated from a service's OpenAPI description."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

BUSY = (429, 503, 504)
"""Statuses of an overloaded service: an error of neither the request nor the service."""
UNSAID = (
    "of a response and",  # a prompt and its responses have as many turns
    "cannot meet itself",
    "neither winner nor probabilities",
    "winner and probabilities are both given",
    "shares sum to",
    "a ranking needs at least two",
    "connect",  # models that never met, even through others
)
"""Messages about rules that a JSON schema cannot express."""


@dataclass
class Findings:
    """Results of fuzzing.

    Args:
        statuses: Answers by operation, kind of data and status.
        faults: What was wrong with answers, each with the request.
        waits: Requests that the service was too busy for.
    """

    statuses: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)

    def count(self, *, status: int | None = None, mode: str | None = None) -> int:
        """Count responses with this status and kind of data."""
        return sum(n for (_, kind, code), n in self.statuses.items() if status in (None, code) and mode in (None, kind))

    @property
    def server_errors(self) -> int:
        """Count 5xx responses other than those of a busy service."""
        return sum(n for (_, _, code), n in self.statuses.items() if code >= 500 and code not in BUSY)

    @property
    def busy(self) -> int:
        """Count responses of a service that was overloaded."""
        return sum(self.count(status=status) for status in BUSY)


def fuzz(url: str, *, examples: int, seed: int | None = None) -> Findings:
    """Fuzz a service and check every response against its OpenAPI description.

    Args:
        url: Address of the service.
        examples: Most requests that are made up for each operation, beside the examples and edge cases that its
            description has.
        seed: Seed of what is made up; None makes up the same for the same description.
    """
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=_config(examples, seed))
    found = Findings()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _take_in(event, found)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.faults.append(f"schemathesis: {getattr(event, 'value', None) or event.exception!r}")
    return found


def _config(examples: int, seed: int | None) -> Any:
    generation: dict[str, Any] = {"max-examples": examples, "mode": "all", "database": "none", "no-shrink": True}
    settings: dict[str, Any] = {
        "generation": generation | {"deterministic": seed is None},
        "phases": {"stateful": {"enabled": False}},
        "checks": {
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503", "504"]},
            "positive_data_acceptance": {"enabled": False},  # `_wrongly_refused` looks closer
        },
        "continue-on-failure": True,
        "request-timeout": 60,
    }
    return SchemathesisConfig.from_dict(settings | ({} if seed is None else {"seed": seed}))


def _take_in(event: events.ScenarioFinished, found: Findings) -> None:
    label, recorder = str(event.label), event.recorder
    for case_id, interaction in recorder.interactions.items():
        case, answer = recorder.cases[case_id].value, interaction.response
        mode = case.meta.generation.mode.value if case.meta else "other"
        found.statuses[label, mode, answer.status_code if answer else 0] += 1
        faults = list(_failed(recorder.checks.get(case_id, ())))
        if answer is None:
            faults.append("no answer")
        elif mode == "positive" and _wrongly_refused(answer):
            faults.append(f"a request that fits the description was refused: {answer.text[:300]}")
        for fault in faults:
            body = (interaction.request.body or b"")[:500]
            found.faults.append(
                f"{label}: {fault}\n    {interaction.request.method} {interaction.request.uri} {body!r}"
            )


def _describe(interaction: Any) -> str:
    asked, answer, body = interaction.request, interaction.response, interaction.request.body or b""
    got = f"{answer.status_code} {answer.content[:300]!r}" if answer else "nothing"
    return f"    {asked.method} {asked.uri} {len(body):,} bytes: {body[:400]!r}\n    -> {got}"


def _failed(checks: Any) -> Iterator[str]:
    for check in checks:
        if check.failure_info is not None:
            yield f"{check.name}: {check.failure_info.failure}"


def _wrongly_refused(answer: Any) -> bool:
    if answer.status_code < 400 or answer.status_code in BUSY:
        return False
    if answer.status_code != 422:
        return True
    places = json.loads(answer.content)["error"]["errors"]
    return not all(any(words in place["message"] for words in UNSAID) for place in places)
