"""The reward judge: a reward model gives each answer a number, and a link makes votes of the gap between two."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from votecast.calibration.score_link import Link, fit_link
from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, JudgeError, UnscoredRowsError
from votecast.features.form import length_gap
from votecast.inference.replica import devices_of, dtype_of
from votecast.models.neural.backbone import Source
from votecast.models.neural.causal_model import CausalModel
from votecast.models.neural.model import BASE
from votecast.models.neural.networks import PairNetwork, RewardNetwork
from votecast.models.neural.prepared import NeuralPrepared
from votecast.models.neural.quantized import compute_type, computing_in
from votecast.models.reward.cache import ScoreCache
from votecast.models.reward.layout import RewardPrepared, Rows, lay_out
from votecast.models.reward.network import ClassifierReward
from votecast.models.reward.scorer import Memo, rewards_of
from votecast.models.reward.settings import RewardSettings
from votecast.models.reward.sources import Scored, load_scored, reward_source, tokenizer_of
from votecast.models.stacking import inner_folds
from votecast.text.encoder import Encoded, TextEncoder
from votecast.text.report import Cut
from votecast.text.sequences import Sequences
from votecast.text.tokenizer import Tokenizer
from votecast.types import Probabilities, Run

LINK = "link.json"


@dataclass(frozen=True)
class Answers:
    """What is known of the answers of n battles.

    Args:
        scores: The rewards of a and b, shape (n, 2); not numbers where a battle cannot be scored.
        reasons: Why, for each of these battles.
        cut: What the model did not get to see of the others.
    """

    scores: NDArray[np.float64]
    reasons: dict[int, str]
    cut: Cut


class RewardModel(CausalModel):
    """Any reward model, under a link that makes three probabilities of the gap between two rewards.

    Without an adapter nothing is trained but the link, and the model is usable with a link that was not fitted, such as
    `votecast.calibration.score_link.DEFAULT_LINK`, as soon as `link` is set. Its folder then names the weights by their
    hash and does not hold them. The order of the answers plays no part, by construction.

    Args:
        settings: Settings of the family.
        seed: Seed of every draw.
    """

    settings_type: ClassVar[type[Settings]] = RewardSettings
    packages: ClassVar[tuple[str, ...]] = (*CausalModel.packages, "sentencepiece", "scipy")

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.cache: ScoreCache | None = None
        self._scored: Scored | None = None
        self._expected: dict[str, Any] | None = None
        self._left: Memo | None = None

    @cached_property
    def source(self) -> Source:
        """Where the model comes from; one from a hub stays at the commit that the judge was made with."""
        made_with = (self._expected or {}).get("revision")
        return reward_source(self.settings.name, self.settings.revision or made_with)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return tokenizer_of(self.source)

    @cached_property
    def text(self) -> TextEncoder:
        """How battles become chats: what the tokenizer's own template writes is the whole of one.

        Raises:
            JudgeError: If there is neither a template nor a token that ends a text.
        """
        settings = self.settings.text
        if settings.template == "chat":
            whole = self.tokenizer.render([("", "")]) is not None
            ends = {"bos": False, "eos": False} if whole else {"eos": True}
            settings = settings.model_copy(
                update={name: value for name, value in ends.items() if getattr(settings, name) is None}
            )
        return TextEncoder(self.tokenizer, settings)

    @property
    def base(self) -> dict[str, Any] | None:
        """Name and hash of the weights; the folder of this member does not hold them."""
        return self.source.base

    @property
    def is_trained(self) -> bool:
        """Whether the network itself learns from votes."""
        return self.settings.adapter is not None

    @property
    def can_be_averaged(self) -> bool:
        """Links and rewards on scales of their own have no mean."""
        return False

    @property
    def fitted(self) -> PairNetwork:
        """The network; one that is not trained is loaded when it is first asked for.

        Raises:
            JudgeError: If it is trained, before the first `fit`.
            ArtifactError: If the weights are not those the judge was made with.
        """
        if self.network is None and not self.is_trained:
            self._check_base()
            self.network = self._unfitted().eval()
        return super().fitted

    def backbone(self) -> Any:
        """The model as it is before training; its head, if it has one, is kept for `wrap`."""
        held = self.settings
        head_given = not self.is_trained and not self.source.tiny
        self._scored = load_scored(self.source, self.load_options, dropout=held.dropout, head_given=head_given)
        return computing_in(held.compute, self._scored.backbone)

    def wrap(self, backbone: Any) -> PairNetwork:
        """The backbone under the head it came with, or a new one."""
        head = None if self._scored is None else self._scored.head
        if head is None:
            return ClassifierReward(backbone)
        network = RewardNetwork(backbone)
        with torch.no_grad():
            network.score.weight.copy_(head)
        return network

    def prepare(self, battles: Battles) -> RewardPrepared:
        """Tokenise battles once, for all folds."""
        wanted = self.settings.link.length or (self.link is not None and self.link.has_length)
        length = length_gap(battles) if wanted else None
        tokens = self.text.tokenize(battles)
        return RewardPrepared(tokens, length=length, maker=None if self.is_trained else self)

    def encoded(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """(prompt, A) and (prompt, B) of each battle."""
        return self.text.answers(prepared.tokens, "a"), self.text.answers(prepared.tokens, "b")

    def truncation(self, prepared: NeuralPrepared) -> Cut:
        """What the cuts leave of the prompt beside A, of A and of B."""
        one, two = (part.cut for part in self.encoded(prepared))
        return Cut.of_answers(one, two)

    def fit(
        self,
        prepared: Any,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: Rows | None = None,
        run: Run = Run(),
    ) -> Self:
        """Fit the link on votes, and before it the network on others, if there is an adapter to train.

        Args:
            prepared: What `prepare` made of n battles.
            targets: Soft labels, shape (n, 3).
            weights: How much each row counts, shape (n,).
            groups: Rows of one group share a prompt; no group is seen by both the network and the link.
            run: Where checkpoints lie; those of a killed run are continued.

        Raises:
            ConfigError: If the model cannot be loaded.
            DataError: If the votes do not suffice for the link.
            JudgeError: If a battle cannot be scored, or there are no decided votes to train on.
        """
        groups = np.arange(len(prepared)) if groups is None else groups
        rows = np.arange(len(prepared))
        if self.is_trained:
            held = inner_folds(groups, max(2, round(1 / self.settings.link_share)), self.seed) == 0
            self._train(prepared, targets, weights, groups, np.flatnonzero(~held), run)
            rows = np.flatnonzero(held)
        part = prepared.take(rows)
        self.link = fit_link(
            self.gap(part),
            targets[rows],
            weights[rows],
            method=self.settings.link.method,
            form=part.length,
            groups=np.unique(groups[rows], return_inverse=True)[1],
        )
        return self

    def predict(self, prepared: Any) -> Probabilities:
        """Uncalibrated probabilities of shape (n, 3).

        Raises:
            UnscoredRowsError: If some battles cannot be scored.
            JudgeError: Without a link.
        """
        if self.link is None:
            raise JudgeError(
                "this reward judge has no link from rewards to votes; call fit, load a judge, or take recipe:NAME for "
                "the default link"
            )
        if not len(prepared):
            return np.zeros((0, 3))
        return self.link.predict(self.gap(prepared), prepared.length)

    def predict_views(self, prepared: Any) -> NDArray[np.float64]:
        """The same as one view, shape (n, 1, 3)."""
        return self.predict(prepared)[:, None]

    def gap(self, prepared: RewardPrepared) -> NDArray[np.float64]:
        """Reward of a minus reward of b, shape (n,).

        Raises:
            UnscoredRowsError: If some battles cannot be scored.
        """
        scores = self.answer_scores(prepared)
        return np.asarray(scores[:, 0] - scores[:, 1])

    def answer_scores(self, prepared: RewardPrepared) -> NDArray[np.float64]:
        """The rewards of both answers of each battle, shape (n, 2); each distinct sequence is scored once.

        Raises:
            UnscoredRowsError: If some battles cannot be scored.
        """
        found = self.answers(prepared)
        if found.reasons:
            if not self.is_trained:
                self._scorer(prepared)._left = prepared.memo  # who asks again for the others need not wait again
            raise UnscoredRowsError(found.reasons, len(prepared))
        return found.scores

    def answers(self, prepared: RewardPrepared) -> Answers:
        """As `answer_scores`, and why there is no number where there is none.

        A battle without one has no rewards at all, since one of two is of no use.
        """
        scorer = self._scorer(prepared)
        if scorer is not self:
            return scorer.answers(prepared)
        if self._left is not None:
            prepared.memo.rewards.update(self._left.rewards)
            self._left = None
        memo = Memo() if self.is_trained else prepared.memo  # every trained network has rewards of its own
        laid = lay_out(prepared, self.encoded)
        scores, reasons, m = np.full((len(prepared), 2), np.nan), dict(laid.reasons), len(laid.rows)
        if m:
            found = rewards_of(laid.sequences, self._encode, memo, self.cache)
            scores[laid.rows] = found.values.reshape(2, m).T
            for place, reason in found.reasons.items():
                reasons.setdefault(int(laid.rows[place % m]), f"answer {'ab'[place // m]}: {reason}")
        if reasons:
            scores[list(reasons)] = np.nan
        kept = np.array([row not in reasons for row in laid.rows.tolist()], dtype=np.bool_)
        return Answers(scores, reasons, laid.cut.take(np.flatnonzero(kept)))

    @property
    def computes_in(self) -> str:
        """What rewards are computed in and on, once every `auto` is settled."""
        device = devices_of(self.settings.inference)[0]
        kind = dtype_of(self.settings.inference, device)
        return f"{kind} on {device.type}, weights of few bits in {compute_type(self.settings.compute)}"

    def about_scores(self) -> dict[str, Any]:
        """What rewards depend on, beside the texts; anything JSON can hold."""
        held, base = self.settings, self.base or {}
        asked = held.text
        return {
            "family": "reward",
            "model": held.name,
            "revision": base.get("revision"),
            "sha256": base.get("sha256"),
            "template": asked.template,
            "cut": asked.cut,
            "seed": self.seed,
            "settings": held.dump() | {"revision": base.get("revision") or held.revision},
        }

    def save(self, folder: Path) -> None:
        """Write the link, and what was trained; weights that were not are named by their hash."""
        if self.link is None:
            raise JudgeError("this reward judge has no link from rewards to votes, so there is nothing to save")
        (folder / LINK).write_text(json.dumps(self.link.to_dict(), indent=2) + "\n", "utf-8")
        if self.is_trained:
            super().save(folder)
        else:
            (folder / BASE).write_text(json.dumps(self._expected or self.base, indent=2) + "\n", "utf-8")

    def _restore(self, folder: Path) -> None:
        self.link = Link.from_dict(json.loads((folder / LINK).read_text("utf-8")))
        if self.is_trained:
            super()._restore(folder)
        else:
            self._expected = json.loads((folder / BASE).read_text("utf-8"))

    def _train(
        self,
        prepared: RewardPrepared,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: Rows,
        rows: Rows,
        run: Run,
    ) -> None:
        """Train on the decided part of the votes in some rows; a tie says nothing of the order."""
        decided = targets[:, 0] + targets[:, 1]
        rows = rows[(decided[rows] > 0) & (weights[rows] > 0)]
        if not len(rows):
            raise JudgeError(
                "there are no decided votes to train a reward on; give votes of which some name a or b, or leave "
                "model.adapter away to fit the link alone"
            )
        share = decided[rows, None]
        won = np.concatenate([targets[rows, :2] / share, np.zeros((len(rows), 1))], axis=1)
        super().fit(prepared.take(rows), won, weights[rows] * share[:, 0], groups[rows], run)

    def _scorer(self, prepared: RewardPrepared) -> RewardModel:
        """The member whose network scores: the one that prepared the battles, where both score alike."""
        maker: RewardModel | None = prepared.maker
        if maker is None or maker is self or self.is_trained or self.network is not None or self.cache is not None:
            return self
        return maker if (maker.settings, maker.seed) == (self.settings, self.seed) else self

    def _encode(self, sequences: Sequences) -> NDArray[np.float32]:
        return self._start_engine().encode(sequences, pad_id=self.pad_id)

    def _check_base(self) -> None:
        if self._expected is None:
            return
        expected, found = self._expected.get("sha256"), (self.base or {}).get("sha256")
        if expected != found:
            raise ArtifactError(
                f"this judge was made with weights of SHA-256 {expected}, and {self.settings.name} has {found}; "
                "install or name the weights it was made with"
            )
