"""How many bytes the layers of a network keep between the pass forwards and the pass backwards.

`training_memory` adds them to weights, gradients and moments. Every term is a tensor that autograd keeps, or that lives
while a layer is computed; `benchmarks/training_memory.py` measures them.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PretrainedConfig

from votecast.models.sizing.network_size import NetworkSize

BLOCK = 128
"""Queries of a block of attention in plain steps, as in `inference.block_attention`."""


@dataclass(frozen=True)
class Pass:
    """One pass through a network.

    Args:
        sequences: Sequences of the pass.
        length: Tokens of each.
        states: Bytes of a number between the layers.
        product: Bytes of a number in matrix products: 2 under autocast.
        on_cpu: Whether it runs on a CPU, where dropout keeps numbers and not bits, and softmax the precision it has.
    """

    sequences: int
    length: int
    states: int = 4
    product: int = 4
    on_cpu: bool = False

    @property
    def tokens(self) -> int:
        """Tokens of the pass, padding included."""
        return self.sequences * self.length


@dataclass(frozen=True)
class Activations:
    """Bytes of one pass.

    Args:
        layer: Kept by each layer that learns, or lies above one that does.
        last: Kept by the last layer.
        unlearned: What the lowest of these layers does not keep, because nothing below it learns.
        states: The input of a layer, all that it keeps with gradient checkpointing.
        work: Lives besides while a layer is run backwards, or forwards once more.
        shared: Kept once for all layers.
        forward: Kept by each layer until the pass forwards ends, and not for the pass backwards.
    """

    layer: float
    last: float
    unlearned: float
    states: float
    work: float
    shared: float = 0.0
    forward: float = 0.0

    def peak(self, layers: int, *, checkpointing: bool) -> float:
        """Return the most bytes that live at once, with this many layers that keep something."""
        if layers == 0:
            return self.shared + self.states + self.work
        below = layers - 1
        if checkpointing:
            whole = self.layer - (self.unlearned if below == 1 and self.last < self.layer else 0)
            return self.shared + below * self.states + max(whole + self.work, self.last)
        kept = below * self.layer + self.last - self.unlearned
        forward = kept + layers * self.forward
        # where the last layer is small, the most lives when the one below it is run backwards
        backward = below * self.layer - self.unlearned + (self.work if below else 0.0)
        return self.shared + max(forward, backward, kept + (self.work if self.last >= self.layer else 0.0))


def decoder_activations(
    config: PretrainedConfig, size: NetworkSize, work: Pass, *, dropout: float, few_bits: bool
) -> Activations:
    """Count the activations of a causal backbone over packed sequences (`models.neural.last_states`).

    Args:
        config: Of the backbone.
        size: Of the network.
        work: The pass.
        dropout: Of the adapters.
        few_bits: Whether products take weights of 4 or 8 bits, which are expanded for every product and not kept.
    """
    h, f, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    width = int(getattr(config, "head_dim", None) or h // heads)
    q, kv = heads * width, (config.num_key_value_heads or heads) * width
    r, c, tokens = work.states, work.product, work.tokens
    gemma = config.model_type.startswith("gemma")
    adapters, noise = _adapter_bytes(size, work, dropout)
    # without a fused kernel the attention keeps q, k and v alone, and computes the scores again
    in_blocks = work.on_cpu and (gemma or c == 2)
    inputs = 2 * r * h + (2 * c * h if gemma else 0)  # of the norms; Gemma has four
    mixed = 0 if in_blocks else c * q + 4 * heads
    if size.lowest < 0:  # the weights learn: the inputs of all products are kept, and three arrays of every norm
        inputs += 2 * (r + c) * h + (2 * (r + c) * h if gemma else 0)
        inputs += c * f + (c * q if in_blocks or work.on_cpu else 0)
    keys = c * 2 * kv
    per_token = inputs + c * q + keys + mixed + 2 * c * f + adapters + noise
    # weights in fp32 are rounded for products in half precision, and the rounded ones are kept
    copies = 0 if few_bits or c == r else 2 * size.layer_linear
    expanded = c * size.largest_linear if few_bits else 0
    gated = 3 * c * f + r * h
    # once the attention is run backwards, the feed-forward part is gone
    blocks = 5 * c * q + 4 * c * kv - 2 * c * f - r * h if in_blocks else 0
    # weights, scores and the gradients of both; with capped scores the cap and a step of its derivative too
    arrays = 6 if getattr(config, "attn_logit_softcapping", None) else 4
    scores = arrays * c * heads * min(BLOCK, work.length) * work.length if in_blocks else 0
    return Activations(
        layer=per_token * tokens + copies,
        last=(r * h + keys + (adapters + noise) * 2 / 3) * tokens + copies,
        unlearned=(r * h + noise) * tokens if size.lowest == 0 else noise * tokens,
        states=r * h * tokens,
        work=max(gated * tokens, blocks * tokens + scores) + expanded,
    )


def encoder_activations(config: PretrainedConfig, size: NetworkSize, work: Pass, *, dropout: float) -> Activations:
    """Count the activations of an encoder over padded sequences, as transformers computes it.

    DeBERTa's disentangled attention (He et al. 2021, eq. 4) has no fused kernel: scores, their softmax, its dropout and
    the two gathered tables of relative positions are kept, for every head.

    Args:
        config: Of the backbone.
        size: Of the network.
        work: The pass.
        dropout: Of the adapters.
    """
    h, f, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    m, length, c, tokens = work.sequences, work.length, work.product, work.tokens
    whole = c == 4
    scores = m * heads * length * length
    mask = c if work.on_cpu else 1
    dropped = float(getattr(config, "hidden_dropout_prob", 0.0) or 0.0) > 0
    dropped_scores = float(getattr(config, "attention_probs_dropout_prob", 0.0) or 0.0) > 0
    adapters, noise = _adapter_bytes(size, work, dropout)
    # norms compute in fp32 and keep their input; a product keeps its input in its own precision
    inputs = (4 * h if whole else 3 * c * h) + c * h + (4 * h if whole else c * h)
    per_token = inputs + 3 * c * h + 8 * h + 2 * c * f + (2 * mask * h if dropped else 0) + adapters + noise
    by_layer, shared, living = 0.0, 0.0, 0.0
    softmax = c if work.on_cpu else 4
    kept_scores = softmax + (softmax if work.on_cpu else 1) + c if dropped_scores else softmax + (0 if whole else c)
    if config.model_type in ("deberta-v2", "deberta"):
        positions = 2 * _buckets(config)
        tables = len(config.pos_att_type or ()) if config.relative_attention else 0
        per_token += c * h  # keys, divided by the scale
        by_layer += (kept_scores + 1 / heads) * scores
        by_layer += tables * (c * m * heads * length * positions + c * m * positions * h + 8 * length * length)
        shared += 8 * m * length * length + 16 * length * length  # mask of pairs, in int64; relative positions
        # the scores before the softmax live while the layer is run forwards, and its feed-forward part does not yet
        living = 2 * c * scores - (8 * h + 2 * c * f + c * h) * tokens
    elif work.on_cpu and dropped_scores:
        by_layer += kept_scores * scores  # torch's fused attention has no dropout on a CPU
        living = c * scores
    else:
        per_token += c * h + 4 * heads
    copies = 0 if whole else 2 * size.layer_linear
    layer = per_token * tokens + by_layer + copies
    return Activations(
        layer=layer,
        last=layer,
        unlearned=(4 * h + noise) * tokens if size.lowest >= 0 else 0,
        states=4 * h * tokens,
        work=max(living, (2 * c * f + 8 * h) * tokens),
        shared=shared + 3 * 4 * h * tokens,
        forward=0 if whole else 4 * h * tokens,  # transformers returns the states of all layers
    )


def _adapter_bytes(size: NetworkSize, work: Pass, dropout: float) -> tuple[float, float]:
    """Return the bytes of a token that the adapters of a layer keep: their inputs, and the mask of their dropout."""
    inputs, noise = 0.0, 0.0
    for width, rank in size.adapted:
        inputs += work.product * rank
        if dropout or work.product != 4:
            inputs += work.product * width  # each adapter has an input of its own
        if dropout:
            noise += (4 if work.on_cpu else 1) * width
    if size.adapted and not (dropout or work.product != 4):
        inputs += work.product * size.adapted[0][0]  # the output of the norm, which they share
    return inputs, noise


def _buckets(config: PretrainedConfig) -> int:
    buckets = int(getattr(config, "position_buckets", -1))
    largest = int(getattr(config, "max_relative_positions", -1))
    return buckets if buckets > 0 else largest if largest > 0 else int(config.max_position_embeddings)
