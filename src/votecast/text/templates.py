"""The templates of the reference systems whose texts stand column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from votecast.errors import ConfigError, JudgeError
from votecast.text.settings import TextSettings
from votecast.text.tokenizer import Tokenizer

TAGS = ("<prompt>: ", "\n\n<response_a>: ", "\n\n<response_b>: ")
QUESTION = (
    "Which is the better response for the prompt? response_a or response_b or tie? \n'n give score for each lable \n\n "
)
LABELS = ("Prompt: ", "\n\nResponse: ")


@dataclass(frozen=True)
class Layout:
    """What stands around the texts of a sequence.

    Args:
        words: The words before each text.
        opening: Tokens before everything.
        inside: Tokens before each text but the first, in place of words; empty where words stand.
        closing: Tokens after everything.
        types: Segment id of each text and of what follows it.
        lent: One where the shares are worked out as if there were one token more, as system 1 does.
    """

    words: tuple[str, ...]
    opening: tuple[int, ...] = ()
    inside: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()
    types: tuple[int, ...] = (0, 0, 0)
    lent: int = 0

    def frames(self, tokenizer: Tokenizer) -> list[list[int]]:
        """Tokens before each text, and after the last.

        A space before a text belongs to the text, as it does when the whole is tokenized as one string.
        """
        words = tokenizer.encode([word.removesuffix(" ") for word in self.words])
        before = [[*self.opening, *words[0]], *([*self.inside, *word] for word in words[1:])]
        return [*before, list(self.closing)]

    @property
    def spaced(self) -> bool:
        """Whether a space stands before each text."""
        return self.words[0].endswith(" ")

    def joined(self, texts: Sequence[str]) -> tuple[str, list[int]]:
        r"""The whole as one string, and where each text starts and ends in it.

        Example:
            >>> Layout(LABELS).joined(["Why?", "So."])
            ('Prompt: Why?\n\nResponse: So.', [8, 12, 24, 27])
        """
        pieces = [piece for pair in zip(self.words, texts, strict=True) for piece in pair]
        lengths = [0]
        for piece in pieces:
            lengths.append(lengths[-1] + len(piece))
        return "".join(pieces), [edge for pair in list(pairwise(lengths))[1::2] for edge in pair]


def pair_layout(settings: TextSettings, tokenizer: Tokenizer) -> Layout:
    """The layout of prompt and both answers.

    Raises:
        ConfigError: If the template holds one answer.
        JudgeError: If the tokenizer lacks a token that the template needs.
    """
    if settings.template == "segments":
        cls, sep = _segment_tokens(tokenizer)
        return Layout(("", "", ""), (cls,), (sep,), types=(0, 1, 2), lent=1)
    if settings.template in ("chat", "labels"):
        raise ConfigError(
            f"template {settings.template} holds one answer a sequence; for both in one set text.template to "
            "segments, tags or question"
        )
    opening, closing = _ends(settings, tokenizer)
    words = TAGS if settings.template == "tags" else (QUESTION + TAGS[0], *TAGS[1:])
    return Layout(words, opening, (), closing)


def answer_layout(settings: TextSettings, tokenizer: Tokenizer) -> Layout:
    """The layout of prompt and one answer.

    Raises:
        ConfigError: If the template holds both answers.
        JudgeError: If the tokenizer lacks a token that the template needs.
    """
    if settings.template == "segments":
        cls, sep = _segment_tokens(tokenizer)
        return Layout(("", ""), (cls,), (sep,), (sep,), types=(0, 1))
    if settings.template in ("tags", "question"):
        raise ConfigError(
            f"template {settings.template} holds both answers in a sequence; for one a sequence set text.template to "
            "segments, labels or chat"
        )
    opening, closing = _ends(settings, tokenizer)
    return Layout(LABELS, opening, (), closing)


def _segment_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    names = {"classification token (cls_token)": tokenizer.cls_id, "separator (sep_token)": tokenizer.sep_id}
    missing = [name for name, token in names.items() if token is None]
    if missing or tokenizer.cls_id is None or tokenizer.sep_id is None:
        raise JudgeError(
            f"the tokenizer has no {' and no '.join(missing)}, and template segments needs one; name it in "
            "tokenizer_config.json beside the weights, or set text.template to tags, question or labels"
        )
    return tokenizer.cls_id, tokenizer.sep_id


def _ends(settings: TextSettings, tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that open and close a sequence."""
    if settings.in_chat:
        return _user_turn(tokenizer)
    first = tokenizer.cls_id if tokenizer.cls_id is not None else tokenizer.bos_id
    last = tokenizer.sep_id if tokenizer.sep_id is not None else tokenizer.eos_id
    return (
        _token(first, settings.bos, "beginning of a text (bos_token)", "text.bos"),
        _token(last, settings.eos, "end of a text (eos_token)", "text.eos"),
    )


def _user_turn(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a chat template writes before a user's turn, and between it and the answer that it awaits."""
    user, answer = "\ue000", "\ue001"
    rendered = tokenizer.render([(user, answer)])
    if rendered is None:
        raise ConfigError(
            "text.in_chat is true, and the tokenizer has no chat template; set it to false, or name the folder of a "
            "model that was made for chats"
        )
    before, _, rest = rendered.partition(user)
    between, found, _ = rest.partition(answer)
    if not found:
        raise JudgeError(
            "the chat template of this tokenizer does not hold a user's turn and its answer once and in order; mend "
            "chat_template in tokenizer_config.json, or set text.in_chat to false"
        )
    opening, closing = tokenizer.encode([before, between], specials=True)
    return tuple(opening), tuple(closing)


def _token(token: int | None, wanted: bool | None, name: str, setting: str) -> tuple[int, ...]:
    if token is None and wanted:
        raise JudgeError(
            f"{setting} is true and the tokenizer has no token for the {name}; name one in tokenizer_config.json, or "
            f"set {setting} to false"
        )
    return () if token is None or wanted is False else (token,)
