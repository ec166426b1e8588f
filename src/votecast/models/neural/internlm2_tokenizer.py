"""InternLM2's tokenizer: its sentencepiece model, its special tokens, and chats that end with the reward token.

The reward family reads it in place of the code that such checkpoints bring.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from transformers.utils.chat_template_utils import render_jinja_template

from votecast.config.extras import need
from votecast.errors import ArtifactError, JudgeError
from votecast.models.neural.internlm2 import REWARD_TOKEN
from votecast.text.templates import chatml

MODEL, SETTINGS, ADDED = "tokenizer.model", "tokenizer_config.json", "added_tokens.json"
OPENS, CLOSES = "<|im_start|>", "<|im_end|>"

_NO_PREFIX = b"\x1a\x02\x18\x00"
"""Merged into a serialised model: normalizer_spec.add_dummy_prefix is false (fields 3 and 3, a varint 0)."""


@dataclass(frozen=True)
class Special:
    """Tokens with a meaning.

    Args:
        tokens: Their spelling and ids.
        bos: The token that opens a text.
        eos: The token that closes one.
        pad: The token that pads.
        reward: The token at whose position the reward is read.
        template: The chat template of the tokenizer; None for ChatML.
    """

    tokens: Mapping[str, int]
    bos: str = "<s>"
    eos: str = "</s>"
    pad: str = "</s>"
    reward: int = REWARD_TOKEN
    template: str | None = None


def is_internlm2_tokenizer(folder: Path) -> bool:
    """Return whether a folder holds a tokenizer that `InternLM2Tokenizer.save` wrote."""
    try:
        return "reward_token_id" in json.loads((folder / SETTINGS).read_text("utf-8"))
    except (OSError, ValueError):
        return False


class InternLM2Tokenizer:
    """A tokenizer of sentencepiece with chat tokens beside it.

    Texts of people and models give no special token: neither those that were added, nor the pieces of sentencepiece
    for them.

    Args:
        proto: The content of tokenizer.model.
        special: Its special tokens.

    Raises:
        ArtifactError: If this is not a model of sentencepiece.
        JudgeError: If a special token is not known.
    """

    has_types = False
    cls_id: int | None = None

    def __init__(self, proto: bytes, special: Special) -> None:
        self._proto, self.special = proto, special
        try:
            kind = need("sentencepiece").SentencePieceProcessor
            self._model, self._inner = kind(model_proto=proto), kind(model_proto=proto + _NO_PREFIX)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ArtifactError(f"{MODEL} is no model of sentencepiece: {error}; copy the folder again") from error
        size, unknown = int(self._model.vocab_size()), self._model.unk_id()
        self._ids = {**special.tokens}
        for token in (special.bos, special.eos, special.pad):
            if token in self._ids:
                continue
            self._ids[token] = int(self._model.piece_to_id(token))
            if self._ids[token] == unknown and self._model.id_to_piece(unknown) != token:
                raise JudgeError(f"the tokenizer has no token {token!r}; mend the special tokens in {SETTINGS}")
        self.bos_id: int | None = self._ids[special.bos]
        self.eos_id: int | None = self._ids[special.eos]
        self.pad_id: int | None = self._ids[special.pad]
        self.sep_id: int | None = special.reward
        self._reward = next((token for token, id_ in self._ids.items() if id_ == special.reward), "")
        if not self._reward:
            if not 0 <= special.reward < size:
                raise JudgeError(
                    f"reward_token_id is {special.reward} and the tokenizer has {size} tokens; take both from one "
                    "checkpoint"
                )
            self._reward = str(self._model.id_to_piece(special.reward))
            self._ids[self._reward] = special.reward
        if special.template is None and not {OPENS, CLOSES} <= set(self._ids):
            raise JudgeError(
                f"the tokenizer has neither a chat template nor the tokens {OPENS} and {CLOSES} for ChatML; put "
                f"{SETTINGS} of the model beside {MODEL}"
            )
        longest_first = sorted(self._ids, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    @property
    def reach(self) -> int:
        """One more than the largest id that it gives."""
        return max(int(self._model.vocab_size()), *(id_ + 1 for id_ in self._ids.values()))

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:
        """Return token ids of each text without special tokens; `specials` reads those spelled out in the text."""
        found: list[list[int]] = []
        for text in texts:
            if not specials and not self._split.search(text):
                found.append(self._inner.encode(text))
                continue
            model = self._model if specials else self._inner  # the frame of a chat begins with a dummy prefix
            parts = self._pieces(text, specials=specials)
            rows = (model.encode(part) if known is None else [known] for part, known in parts)
            found.append([id_ for row in rows for id_ in row])
        return found

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:
        """Return the same as `encode`, each with the ends of its tokens in the text, in characters."""
        found = []
        for text in texts:
            ids: list[int] = []
            ends: list[int] = []
            start = 0
            for part, id_ in self._pieces(text, specials=specials):
                if id_ is not None:
                    ids, ends = [*ids, id_], [*ends, start + len(part)]
                else:
                    row = self._inner.encode(part, return_type="offset_mapping")
                    ids += row["ids"]
                    ends += [start + end for _, end in row["offsets"]]
                start += len(part)
            found.append((ids, ends))
        return found

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:
        """Return a chat by the tokenizer's template or ChatML, with the reward token last.

        Raises:
            JudgeError: If the template refuses the chat.
        """
        special = self.special
        if special.template is None:
            return f"{special.bos}{chatml(turns)}{self._reward}"
        messages = [
            {"role": role, "content": text}
            for turn in turns
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        names = {"bos_token": special.bos, "eos_token": special.eos}
        try:
            rendered, _ = render_jinja_template([messages], chat_template=special.template, **names)
        except Exception as error:  # a template raises whatever it likes
            raise JudgeError(
                f"the chat template of this tokenizer cannot be used: {error}; mend chat_template in {SETTINGS}, or "
                "remove it for ChatML"
            ) from error
        return f"{rendered[0]}{self._reward}"

    def save(self, folder: str | Path) -> None:
        """Write its files into a folder."""
        Path(folder, MODEL).write_bytes(self._proto)
        added = {str(id_): {"content": token, "special": True} for token, id_ in self._ids.items()}
        names = {"bos_token": self.special.bos, "eos_token": self.special.eos, "pad_token": self.special.pad}
        values = {"added_tokens_decoder": added, **names, "reward_token_id": self.special.reward}
        if self.special.template is not None:
            values["chat_template"] = self.special.template
        Path(folder, SETTINGS).write_text(json.dumps(values, indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, object]) -> Self:
        """Read the files of a checkpoint.

        Args:
            folder: Holds tokenizer.model, and tokenizer_config.json or added_tokens.json.
            config: What its config.json says.

        Raises:
            ArtifactError: If a file is missing or damaged.
            JudgeError: If a special token is not known.
        """
        try:
            values, added = (
                json.loads((folder / name).read_text("utf-8")) if (folder / name).is_file() else {}
                for name in (SETTINGS, ADDED)
            )
            tokens = {str(token): int(id_) for token, id_ in added.items()}
            for id_, described in values.get("added_tokens_decoder", {}).items():
                tokens[str(described["content"])] = int(id_)
            reward = config.get("reward_token_id", values.get("reward_token_id", REWARD_TOKEN))
            template = found if isinstance(found := values.get("chat_template"), str) else None
            # a special token is written as its spelling or as an object with more about it
            named = {name: values[f"{name}_token"] for name in ("bos", "eos", "pad") if values.get(f"{name}_token")}
            spelled = {name: str(v["content"] if isinstance(v, dict) else v) for name, v in named.items()}
            special = Special(tokens, **spelled, reward=int(str(reward)), template=template)
            return cls((folder / MODEL).read_bytes(), special)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ArtifactError(
                f"the tokenizer in {folder} cannot be read: {error}; it needs {MODEL} and {SETTINGS}"
            ) from error

    def _pieces(self, text: str, *, specials: bool) -> list[tuple[str, int | None]]:
        """Split a text at its special tokens, or within them, so that sentencepiece does not see them."""
        parts = self._split.split(text)  # texts and special tokens alternate
        if specials:
            return [(part, self._ids[part] if place % 2 else None) for place, part in enumerate(parts) if part]
        cuts = [
            part for place, found in enumerate(parts) for part in ((found[:1], found[1:]) if place % 2 else (found,))
        ]
        return [(part, None) for part in cuts if part]
