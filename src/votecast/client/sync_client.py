"""The blocking client of `votecast serve`, exported as `votecast.Client`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

from votecast.client.calls import BaseClient, Send, Steps, T, Text
from votecast.client.service_responses import Judges, Prediction, Reranked, ServedJudge, ServedLeaderboard
from votecast.types import Battle

if TYPE_CHECKING:
    import httpx


class Client(BaseClient):
    """A client of `votecast serve`; close it, or use it in a `with` statement.

    Busy or loading services that name the seconds to wait, and dropped connections, are retried with growing pauses.

    Args:
        url: Address of the service, such as "http://127.0.0.1:8000".
        key: Its API key, if it has one.
        timeout: Seconds to wait for a response.
        retries: How many times a request is retried.
        transport: An httpx transport to send through; None for the network.

    Raises:
        MissingExtraError: If httpx is not installed.
        ConfigError: If the address or the key is invalid.

    Example:
        >>> import httpx
        >>> response = {"id": "", "probabilities": {"a": 0.7, "b": 0.2, "tie": 0.1}, "decision": "a"}
        >>> response["judge"] = {"name": "baseline", "hash": "0"}
        >>> fake = httpx.MockTransport(lambda request: httpx.Response(200, json=response))
        >>> with Client("http://127.0.0.1:8000", transport=fake) as client:
        ...     client.compare("Why is the sky blue?", "Rayleigh scattering.", "No idea.").decision
        'a'
    """

    @cached_property
    def _client(self) -> httpx.Client:
        client: httpx.Client = self._httpx.Client(**self._options)
        return client

    def compare(
        self,
        prompt: Text,
        response_a: Text,
        response_b: Text,
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> Prediction:
        """Predict the vote between two responses.

        Args:
            prompt: The prompt, or the user's turns.
            response_a: The first response, or one for each turn.
            response_b: The second response, or one for each turn.
            judge: Name of the judge; None for the first.
            order: Average the predictions of both orders, or predict for the given order alone.
            explain: Whether to return the predictions of both orders, and reasons if the judge gives any.

        Raises:
            ServiceError: If the service refused the request or could not be reached; so do the other methods.
        """
        options = {"judge": judge, "order": order, "explain": explain}
        battle = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
        return self._run(self._post(Prediction, "/v1/compare", **battle, **options))

    def compare_batch(
        self,
        battles: Iterable[Battle | Mapping[str, object]],
        *,
        judge: str | None = None,
        order: Literal["both", "given"] = "both",
        explain: bool = False,
    ) -> list[Prediction]:
        """Predict any number of votes, in order.

        As few requests are sent as the limits of the service allow.

        Args:
            battles: Battles, or dicts with prompt, response_a and response_b.
            judge: As for `compare`.
            order: As for `compare`.
            explain: As for `compare`.

        Raises:
            ServiceError: If the service refused a request; its `errors` name the battles.
            DataError: If a battle cannot be written as JSON.
        """
        return self._run(self._compare_batch(battles, judge=judge, order=order, explain=explain))

    def rerank(
        self, prompt: Text, candidates: Sequence[Text], *, id: str | None = None, judge: str | None = None
    ) -> Reranked:
        """Rank several responses to one prompt, best first.

        Args:
            prompt: The prompt, or the user's turns.
            candidates: The responses.
            id: Id of the prompt, returned in the result.
            judge: As for `compare`.
        """
        return self._run(self._rerank(candidates, id=id, prompt=prompt, judge=judge))

    def leaderboard(
        self,
        games: Iterable[Mapping[str, object]],
        *,
        method: Literal["bradley_terry", "davidson", "rao_kupper"] = "bradley_terry",
    ) -> ServedLeaderboard:
        """Rank models by votes, or by predictions of votes.

        Args:
            games: Each with model_a, model_b, and either the winner ("a", "b" or "tie") or probabilities, such as
                those of a `Prediction`.
            method: How strengths are fitted.
        """
        return self._run(self._leaderboard(list(games), method=method))

    def judges(self) -> list[ServedJudge]:
        """List the judges of the service; requests that name no judge get the first."""
        return (self._run(self._send(Judges, "/v1/judges"))).judges

    def ready(self) -> bool:
        """Return whether the judges are loaded; False also if the service cannot be reached."""
        return self._run(self._check_ready())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(self, step: Send) -> httpx.Response:
        """Send a request, and receive no more of the response than is allowed."""
        body = bytearray()
        with self._client.stream(step.method, step.url, content=step.body) as response:
            self._take(response, 0)
            for part in response.iter_bytes():
                body += part
                self._take(response, len(body))
        return self._whole(response, bytes(body))

    def _run(self, steps: Steps[T]) -> T:
        answer: object = None
        try:
            while True:
                step = steps.send(answer)
                if not isinstance(step, Send):
                    time.sleep(step)
                    continue
                try:
                    answer = self._request(step)
                except self._httpx.TransportError as error:
                    answer = error
        except StopIteration as end:
            result: T = end.value
            return result
