"""What is settled about the words of a command before they are parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

OVERRIDE = "--dotted.key"
STANDARD_INPUT = "standard-input:"
"""What a lone "-" becomes, which the parser would take for an option."""

_DOTTED = re.compile(r"--([A-Za-z][\w-]*(?:\.[\w-]+)+)(?:=(.*))?", re.DOTALL)
_TEXT_OPTIONS = {"compare": {"--prompt", "--a", "--b"}}
_OVERRIDABLE = frozenset({"import", "predict", "recipes", "rerank", "score", "train"})


def prepare(words: Sequence[str]) -> list[str]:
    """Join what belongs together.

    `--folds.n 3` becomes one override. A `-` after an option (standard input or output) becomes its value, and so does
    a text that starts with a hyphen, such as an answer that is a list. A `-` by itself is standard input.

    Args:
        words: The words after `votecast`.

    Returns:
        Words for the parser.

    Example:
        >>> prepare(["train", "baseline", "--folds.n", "3", "--json", "-"])
        ['train', 'baseline', '--dotted.key=folds.n=3', '--json=-']
        >>> prepare(["compare", "--a", "- one"])
        ['compare', '--a=- one']
    """
    verb = words[0] if words else ""
    return list(_joined(list(words), _TEXT_OPTIONS.get(verb, set()), verb in _OVERRIDABLE))


def _joined(words: list[str], text_options: set[str], overridable: bool) -> Iterator[str]:
    waiting = iter(range(len(words)))
    for place in waiting:
        word = words[place]
        follower = words[place + 1] if place + 1 < len(words) else None
        dotted = _DOTTED.fullmatch(word) if overridable else None
        if dotted and dotted[2] is not None:
            yield f"{OVERRIDE}={dotted[1]}={dotted[2]}"
        elif dotted and follower is not None and not follower.startswith("--"):
            next(waiting)
            yield f"{OVERRIDE}={dotted[1]}={follower}"
        elif dotted:
            yield f"{OVERRIDE}={dotted[1]}"
        elif follower is not None and (word in text_options or (word.startswith("--") and follower == "-")):
            next(waiting)
            yield f"{word}={follower}"
        else:
            yield STANDARD_INPUT if word == "-" else word
