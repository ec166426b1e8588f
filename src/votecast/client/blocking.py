"""The client for programs that wait."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from votecast.client.answers import Forecast, Leaderboard, Reranked, ServedJudge
from votecast.client.calls import Calls, Steps, T, Text, Wait, settings
from votecast.types import Battle


class Client:
    """A client of `votecast serve`; close it, or use it in a `with` statement.

    It asks for one forecast (`compare`), any number of them (`compare_batch`), the best of several answers (`rerank`),
    a ranking of models (`leaderboard`), which judges there are (`judges`), and whether they are loaded (`ready`). A
    service with a key is called by `Client(url, key=...)`.

    A request is sent again, with growing pauses, if the service is busy or loading and says when to come back, or if
    the connection broke before an answer. That is safe: no request changes anything.

    Args:
        url: Address of the service, such as "http://127.0.0.1:8000".
        key: Its API key, if it has one.
        timeout: Seconds to wait for an answer.
        retries: How many times a request is sent again.
        transport: An httpx transport to send through; None for the network.

    Raises:
        MissingExtraError: If httpx is not installed.
        ConfigError: If the address or the key cannot be used.

    Example:
        >>> import httpx
        >>> said = {"id": "", "probabilities": {"a": 0.7, "b": 0.2, "tie": 0.1}, "decision": "a"}
        >>> said["judge"] = {"name": "baseline", "hash": "0"}
        >>> fake = httpx.MockTransport(lambda request: httpx.Response(200, json=said))
        >>> with Client("http://127.0.0.1:8000", transport=fake) as client:
        ...     client.compare("Why is the sky blue?", "Rayleigh scattering.", "No idea.").decision
        'a'
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 60.0, retries: int = 5, transport: Any = None
    ) -> None:
        self._calls = Calls(url, key, timeout, retries, transport)
        self._client = self._calls.httpx.Client(**self._calls.options)

    def compare(
        self,
        prompt: Text,
        response_a: Text,
        response_b: Text,
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> Forecast:
        """Forecast the vote between two answers.

        Args:
            prompt: The prompt, or the user's turns.
            response_a: The first answer, or one for each turn.
            response_b: The second answer, or one for each turn.
            judge: Which judge, by its name there; None for the first.
            order: Whether a judge that goes by the order of the answers is asked for both orders, or for the given one.
            explain: Whether to tell the forecasts of both orders, and the reasons where the judge has such.

        Raises:
            ServiceError: If the service refused the request or could not be reached; see its attributes.
        """
        battle = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
        return self._run(self._calls.compare(battle, settings(judge=judge, order=order, explain=explain)))

    def compare_batch(
        self,
        battles: Iterable[Battle | Mapping[str, Any]],
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> list[Forecast]:
        """Forecast any number of votes, in their order; so many are sent at once as the service takes.

        Args:
            battles: Battles, or dicts with prompt, response_a and response_b.
            judge: As for `compare`.
            order: As for `compare`.
            explain: As for `compare`.

        Raises:
            ServiceError: If the service refused a request or could not be reached; its `errors` name the battles.
            DataError: If a battle cannot be sent at all.
        """
        return self._run(self._calls.compare_batch(battles, settings(judge=judge, order=order, explain=explain)))

    def rerank(
        self, prompt: Text, candidates: Sequence[Text], *, id: str | None = None, judge: str | None = None
    ) -> Reranked:
        """Rank several answers to one prompt, best first.

        Args:
            prompt: The prompt, or the user's turns.
            candidates: The answers.
            id: Name of the prompt, to be found in the answer.
            judge: As for `compare`.

        Raises:
            ServiceError: If the service refused the request or could not be reached.
        """
        return self._run(self._calls.rerank(settings(id=id, prompt=prompt, candidates=list(candidates), judge=judge)))

    def leaderboard(
        self,
        games: Iterable[Mapping[str, Any]],
        *,
        method: Literal["bradley_terry", "davidson", "rao_kupper"] = "bradley_terry",
    ) -> Leaderboard:
        """Rank models by votes, or by forecasts of votes.

        Args:
            games: Each with model_a, model_b, and either the winner ("a", "b" or "tie") or probabilities, which may be
                those of a `Forecast`.
            method: How strengths are fitted.

        Raises:
            ServiceError: If the service refused the request or could not be reached.
        """
        return self._run(self._calls.leaderboard({"games": list(games), "method": method}))

    def judges(self) -> list[ServedJudge]:
        """The judges of the service; the first is the one that is asked where none is named.

        Raises:
            ServiceError: If the service refused the request or could not be reached.
        """
        return self._run(self._calls.judges())

    def ready(self) -> bool:
        """Whether the judges are loaded; False also where no service can be reached."""
        return self._run(self._calls.ready())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[T]) -> T:
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                    answer = None
                    continue
                try:
                    answer = self._client.request(step.method, self._calls.url + step.path, content=step.body)
                except self._calls.httpx.TransportError as error:
                    answer = error
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
