"""The reward family: a reward model scores each answer, and a link turns the gap between two scores into votes.

`votecast score` and `votecast link` use its rewards, `votecast train reward` its votes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from votecast.calibration.link_fit import fit_link
from votecast.calibration.score_link import Link
from votecast.config import Settings, current_launch
from votecast.data.battles import Battles
from votecast.errors import ConfigError, JudgeError, UnscoredRowsError
from votecast.features.style import length_gap
from votecast.inference.devices import devices_of
from votecast.inference.engine import dtype_of
from votecast.models.neural.backbone import Source
from votecast.models.neural.causal_model import CausalModel
from votecast.models.neural.examples import NeuralPrepared
from votecast.models.neural.neural_model import BASE, HEAD
from votecast.models.neural.pair_network import PairNetwork
from votecast.models.neural.quantization import compute_type, set_compute_type
from votecast.models.reward.reward_network import (
    ClassifierReward,
    RewardNetwork,
    load_reward,
    reward_source,
    save_reward,
    tokenizer_of,
)
from votecast.models.reward.reward_scores import AnswerScores, Memo, RewardPrepared, score_answers
from votecast.models.reward.score_cache import ScoreCache
from votecast.models.reward.settings import RewardSettings
from votecast.models.stacking import inner_folds
from votecast.text.encoder import Encoded, TextEncoder
from votecast.text.sequences import Sequences
from votecast.text.tokenization import Tokenizer
from votecast.text.truncation import TruncationReport
from votecast.types import Bools, Floats, Ints, Probabilities, Progress, Run, no_progress

LINK, REWARDS = "link.json", "rewards.cache"


class RewardModel(CausalModel):
    """Any reward model, with a link from the gap between two rewards to three probabilities.

    Without an adapter nothing is trained but the link, and the model is usable with a link that was not fitted, such as
    `votecast.calibration.score_link.DEFAULT_LINK`, as soon as `link` is set. Its folder then names the weights by their
    hash and does not hold them. The order of the answers does not matter, by construction.

    Args:
        settings: Settings of the family.
        seed: Seed of every draw.

    Attributes:
        holds_weights: Whether its folder holds the weights of a model that is not trained.
    """

    settings_type: ClassVar[type[Settings]] = RewardSettings
    settings: RewardSettings
    packages: ClassVar[tuple[str, ...]] = (*CausalModel.packages, "sentencepiece", "scipy")

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.cache: ScoreCache | None = None
        self.holds_weights = False
        self._progress: Progress = no_progress
        self._unused: Memo | None = None

    @cached_property
    def source(self) -> Source:
        """Where the model comes from; one from the hub stays at the commit that the judge was made with."""
        return reward_source(self.settings.name, self.revision, local=self.is_restored)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return tokenizer_of(self.source)

    @cached_property
    def text(self) -> TextEncoder:
        """The encoder of battles as chats; a chat template of the tokenizer writes the whole sequence.

        Raises:
            JudgeError: If there is neither a template nor a token that ends a text.
        """
        settings = self.settings.text
        if settings.template == "chat":
            whole = self.tokenizer.render([("", "")]) is not None
            eos = (not whole) if settings.eos is None else settings.eos
            # the template of the tokenizer writes these tokens itself
            bos = False if whole and settings.bos is None else settings.bos
            settings = settings.model_copy(update={"bos": bos, "eos": eos})
        return TextEncoder(self.tokenizer, settings)

    @property
    def base(self) -> dict[str, object] | None:
        """Name and hash of the weights that the folder of this member does not hold."""
        return None if self.holds_weights else self.source.base

    @property
    def is_trained(self) -> bool:
        """Whether the network itself learns from votes."""
        return self.settings.adapter is not None

    @property
    def shares_base(self) -> bool:
        """Whether the model stays as it was loaded: with an adapter, and where nothing is trained."""
        return True

    @property
    def can_be_averaged(self) -> bool:
        """Whether weights can be averaged: rewards and links on scales of their own have no mean."""
        return False

    @property
    def fitted(self) -> PairNetwork:
        """The network; one that is not trained is loaded at the first use.

        Raises:
            JudgeError: If it is trained, before the first `fit`.
            ArtifactError: If the weights are not those the judge was made with.
        """
        if self.network is None and not self.is_trained:
            if self.made_with:
                self.check_base(self.made_with)
            self.set_network(self.initial_network(trains=False))
        return super().fitted

    def load_backbone(self) -> PreTrainedModel:
        """Load the model as it is before training; its head, if it has one, lies on it as `reward_head` for `wrap`."""
        held = self.settings
        head_given = not self.is_trained and not self.source.tiny
        model, head = load_reward(self.source, self.load_options, dropout=held.dropout, head_given=head_given)
        model.reward_head = head
        return set_compute_type(held.compute, model)

    def wrap(self, backbone: PreTrainedModel) -> PairNetwork:
        """Make the network around the model, with the head it came with."""
        if backbone.reward_head is None:
            return ClassifierReward(backbone)
        network = RewardNetwork(backbone)
        with torch.no_grad():
            network.score.weight.copy_(backbone.reward_head)
        return network

    def prepare(self, battles: Battles) -> RewardPrepared:
        """Tokenize battles once, for all folds."""
        wanted = self.settings.link.length or (self.link is not None and self.link.has_length)
        length = length_gap(battles) if wanted else None
        tokens = self.text.tokenize(battles)
        return RewardPrepared(tokens, length=length, maker=None if self.is_trained else self)

    def encode_battles(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """Return (prompt, A) and (prompt, B) of each battle."""
        return self.text.answers(prepared.tokens, "a"), self.text.answers(prepared.tokens, "b")

    def truncation(self, prepared: NeuralPrepared) -> TruncationReport:
        """Return what was truncated of the prompt beside A, of A and of B."""
        return TruncationReport.of_answers(*(part.cut for part in self.encode_battles(prepared)))

    def watch(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats) -> None:
        """Set held-out rows, of which the decided votes measure the network as it is trained."""
        rows, won, counts = _decided_votes(targets, weights, np.ones(len(prepared), dtype=bool))
        if self.is_trained and len(rows):
            super().watch(prepared.take(rows), won, counts)

    def fit(
        self,
        prepared: NeuralPrepared,
        targets: Probabilities,
        weights: Floats,
        groups: Ints | None = None,
        run: Run = Run(),
    ) -> Self:
        """Fit the link on votes, and before it the network on those of other prompts, if there is an adapter to train.

        Raises:
            ConfigError: If the model cannot be loaded, or several processes were launched and there is no adapter.
            DataError: If there are too few votes for the link.
            JudgeError: If a battle cannot be scored, or there are no decided votes to train on.
        """
        rows = np.arange(len(prepared))
        groups = rows if groups is None else groups
        if self.is_trained:
            held = inner_folds(groups, max(2, round(1 / self.settings.link_share)), self.seed) == 0
            learns, won, counts = _decided_votes(targets, weights, ~held)
            if not len(learns):
                raise JudgeError(
                    "there are no decided votes to train a reward on; give votes of which some name a or b, or "
                    "remove model.adapter to fit the link alone"
                )
            super().fit(prepared.take(learns), won, counts, groups[learns], run)
            rows = np.flatnonzero(held)
        elif (processes := current_launch().processes) > 1:
            raise ConfigError(
                f"model.adapter is null, so that the link alone is fitted, and a launcher has started {processes} "
                "processes; start votecast without a launcher: one process takes every GPU"
            )
        part = _as_rewards(prepared.take(rows))
        with self._keeping_rewards(part, run):
            gap = self.gap(part)
        clusters = np.unique(groups[rows], return_inverse=True)[1]
        method, form = self.settings.link.method, part.length
        self.link = fit_link(gap, targets[rows], weights[rows], method=method, form=form, groups=clusters)
        return self

    @contextmanager
    def _keeping_rewards(self, prepared: RewardPrepared, run: Run) -> Iterator[None]:
        """Keep the rewards of a model that is not trained in the folder of the run, where a kill does not lose them."""
        scorer = self._scorer(prepared)
        if self.is_trained or run.folder is None or scorer.cache is not None:
            yield
            return
        scorer._progress = run.progress
        try:
            with ScoreCache(run.folder / REWARDS, scorer.about_scores()) as scorer.cache:
                yield
        finally:
            scorer.cache, scorer._progress = None, no_progress

    def predict(self, prepared: NeuralPrepared) -> Probabilities:
        """Return uncalibrated probabilities of shape (n, 3).

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
        rewards = _as_rewards(prepared)
        return self.link.predict(self.gap(rewards), rewards.length)

    def predict_views(self, prepared: NeuralPrepared) -> Floats:
        """Return the same as one view, shape (n, 1, 3)."""
        return self.predict(prepared)[:, None]

    def gap(self, prepared: RewardPrepared) -> Floats:
        """Return the reward of a minus the reward of b, shape (n,); see `answer_scores`."""
        scores = self.answer_scores(prepared)
        return np.asarray(scores[:, 0] - scores[:, 1])

    def answer_scores(self, prepared: RewardPrepared) -> Floats:
        """Return the rewards of both answers of each battle, shape (n, 2); each distinct sequence is scored once.

        Raises:
            UnscoredRowsError: If some battles cannot be scored.
        """
        found = self.answers(prepared)
        if found.reasons:
            if not self.is_trained:
                self._scorer(prepared)._unused = prepared.memo  # a caller may ask again for the other rows
            raise UnscoredRowsError(found.reasons, len(prepared))
        return found.scores

    def answers(self, prepared: RewardPrepared) -> AnswerScores:
        """Return the rewards of both answers, and the reason for each battle that cannot be scored."""
        scorer = self._scorer(prepared)
        if scorer is not self:
            return scorer.answers(prepared)
        if self._unused is not None:
            prepared.memo.rewards.update(self._unused.rewards)
            self._unused = None
        memo = Memo() if self.is_trained else prepared.memo  # every trained network has its own rewards
        return score_answers(prepared, self.encode_battles, self._encode, memo, self.cache, self._progress)

    def _scorer(self, prepared: RewardPrepared) -> RewardModel:
        """The member whose network scores: the one that prepared the battles, where both score alike."""
        maker = prepared.maker
        if maker is None or maker is self or self.is_trained or self.network is not None or self.cache is not None:
            return self
        return maker if (maker.settings, maker.seed) == (self.settings, self.seed) else self

    def _encode(self, sequences: Sequences) -> NDArray[np.float32]:
        return self.start_engine().encode(sequences, pad_id=self.pad_id)

    @property
    def computes_in(self) -> str:
        """Precision and device of the rewards, once every `auto` is resolved."""
        device = devices_of(self.settings.inference)[0]
        kind = dtype_of(self.settings.inference, device)
        return f"{kind} on {device.type}, weights of few bits in {compute_type(self.settings.compute)}"

    def about_scores(self) -> dict[str, object]:
        """Return what rewards depend on beside the texts, JSON-able."""
        held, base = self.settings, self.base or {}
        return {
            "family": "reward",
            "model": held.name,
            "revision": base.get("revision"),
            "sha256": base.get("sha256"),
            "template": held.text.template,
            "cut": held.text.cut,
            "seed": self.seed,
            "settings": held.dump() | {"revision": base.get("revision") or held.revision},
        }

    def save(self, folder: Path) -> None:
        """Write the link, and what was trained; other weights are named by their hash."""
        if self.link is None:
            raise JudgeError("this reward judge has no link from rewards to votes, so there is nothing to save")
        (folder / LINK).write_text(json.dumps(self.link.to_dict(), indent=2) + "\n", "utf-8")
        if self.is_trained:
            super().save(folder)
        elif self.holds_weights:
            save_reward(cast("ClassifierReward", self.fitted), folder)
            self.tokenizer.save(folder)
            # the classifier is read in the precision of its layers, the head in its own
            save_file({name: value.contiguous() for name, value in self.fitted.head_tensors().items()}, folder / HEAD)
        else:
            (folder / BASE).write_text(json.dumps(self.made_with or self.base, indent=2) + "\n", "utf-8")

    def _restore(self, folder: Path) -> None:
        self.is_restored = True
        self.link = Link.from_dict(json.loads((folder / LINK).read_text("utf-8")))
        if self.is_trained:
            super()._restore(folder)
        elif (folder / HEAD).is_file():
            self.holds_weights, self.source = True, reward_source(str(folder))
            network = self.initial_network(trains=False)
            network.fill_head(load_file(folder / HEAD))
            self.set_network(network)
        else:
            self.made_with = json.loads((folder / BASE).read_text("utf-8")) or {}


def _decided_votes(targets: Probabilities, weights: Floats, allowed: Bools) -> tuple[Ints, Probabilities, Floats]:
    """Return the rows that say which answer is better, with labels (m, 3) and weights (m,): a tie does not say."""
    decided = targets[:, 0] + targets[:, 1]
    rows = np.flatnonzero(allowed & (decided > 0) & (weights > 0))
    share = decided[rows, None]
    won = np.concatenate([targets[rows, :2] / share, np.zeros((len(rows), 1))], axis=1)
    return rows, won, weights[rows] * share[:, 0]


def _as_rewards(prepared: NeuralPrepared) -> RewardPrepared:
    assert isinstance(prepared, RewardPrepared), "what `RewardModel.prepare` made"
    return prepared
