from __future__ import annotations

import pytest

from votecast.text.tokenization import FastTokenizer, tiny_tokenizer

CORPUS = [
    "Why is the sky blue? Because the air scatters blue light more than red light.",
    "Write a short poem about the sea. The sea is wide, the sea is deep, the sea will sing the world to sleep.",
    "How do I sort a list in Python? Call sorted(values), which returns a new list, or values.sort() in place.",
]


@pytest.fixture(scope="session")
def tiny() -> FastTokenizer:
    return tiny_tokenizer()


@pytest.fixture
def words() -> FastTokenizer:
    """Return a byte-level BPE with multi-letter tokens, so that splits matter."""
    import tokenizers
    import transformers

    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS * 20, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    return FastTokenizer(fast)
