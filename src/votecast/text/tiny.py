"""A tokenizer that needs no file: one token a byte, for tests and for `tiny:` models."""

from __future__ import annotations

from typing import Any

from votecast.config.extras import need
from votecast.text.tokenizer import FastTokenizer

SPECIALS = {kind: f"[{kind[:3].upper()}]" for kind in ("pad_token", "cls_token", "sep_token", "eos_token", "unk_token")}


def tiny_tokenizer(**options: Any) -> FastTokenizer:
    """A byte-level tokenizer with 261 tokens: the special ones, then one for each byte.

    Args:
        options: Handed to `PreTrainedTokenizerFast`; `sep_token=None` makes one without a separator.

    Example:
        >>> tokenizer = tiny_tokenizer()
        >>> len(tokenizer), [len(ids) for ids in tokenizer.encode(["abc", "é"])], tokenizer.pad_id
        (261, [3, 2], 0)
    """
    tokenizers, transformers = need("tokenizers"), need("transformers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate([*SPECIALS.values(), *letters])}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = tokenizers.decoders.ByteLevel()
    names = ["input_ids", "token_type_ids", "attention_mask"]
    settings = {"tokenizer_object": backend, "model_input_names": names, **SPECIALS, **options}
    return FastTokenizer(transformers.PreTrainedTokenizerFast(**settings))
