"""Check that votes share no prompt with what a judge was trained on.

Judges store `PromptHashes`; `evaluate`, `calibrate`, `ensemble` and `decide` check their votes against them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.prompts import normalise_prompt, normalised_prompts
from votecast.errors import ArtifactError, LeakError

_SALT_BYTES = 16
_NAMED = 10


@dataclass(frozen=True, eq=False)
class PromptHashes:
    """Salted hashes of training prompts: enough to recognise a prompt, too little to read one.

    The unit is the whole normalised prompt, all turns joined, so that case, spacing and punctuation do not hide a leak;
    single turns such as "continue" occur in thousands of unrelated conversations. A row without a prompt is recognised
    by its two answers, in either order. A hash is 8 bytes of BLAKE2b keyed
    with the salt: two different prompts among 57 500 and 25 000 meet with probability 1e-10. The salt defeats tables
    made in advance, not somebody who guesses a prompt word for word.

    Args:
        hashes: Sorted distinct hashes, uint64 of shape (n,).
        salt: Key of the hash, uint8 of shape (16,).
        others: Hashes of further prompts, under other salts: a judge made of several judges has the salt of each.

    Raises:
        ArtifactError: If the arrays are not of these types and shapes.

    Example:
        >>> seen = Battles.from_rows([{"prompt": "Why is the sky blue?", "response_a": "x", "response_b": "y"}])
        >>> asked = [{"prompt": text, "response_a": "", "response_b": ""} for text in ("Hi!", "why is  the SKY blue")]
        >>> PromptHashes.of(seen).overlap(Battles.from_rows(asked)).tolist()
        [1]
    """

    hashes: NDArray[np.uint64]
    salt: NDArray[np.uint8]
    others: tuple[PromptHashes, ...] = ()

    def __post_init__(self) -> None:
        hashes, salt = self.hashes, self.salt
        if hashes.dtype != np.uint64 or hashes.ndim != 1 or salt.dtype != np.uint8 or salt.shape != (_SALT_BYTES,):
            raise ArtifactError(
                f"the prompt hashes hold {hashes.dtype}{hashes.shape} with a salt of {salt.dtype}{salt.shape}; "
                f"expected uint64(n,) and uint8({_SALT_BYTES},): copy or train the judge again"
            )

    def __len__(self) -> int:
        return sum(len(part.hashes) for part in self.parts())

    def parts(self) -> Iterator[PromptHashes]:
        """Yield the hashes under each salt by themselves."""
        yield replace(self, others=()) if self.others else self
        for other in self.others:
            yield from other.parts()

    @classmethod
    def of(cls, battles: Battles, *, seed: int = 0) -> Self:
        """Hash the prompts of training rows, in any order; the seed changes the salt."""
        prompts = sorted(set(_keys(battles)) - {""})
        digest = hashlib.blake2b(str(seed).encode(), digest_size=_SALT_BYTES)
        for prompt in prompts:
            digest.update(hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=_SALT_BYTES).digest())
        # Derived from the sorted prompts and the seed: training twice gives the same bytes.
        salt = digest.digest()
        return cls(np.unique(_hashes(prompts, salt)), np.frombuffer(salt, dtype=np.uint8))

    def overlap(self, battles: Battles) -> NDArray[np.int64]:
        """Return the positions of the rows whose prompt is among the training prompts, in order."""
        prompts = _keys(battles)
        asked = np.array([bool(prompt) for prompt in prompts], dtype=bool)
        found = np.zeros(len(prompts), dtype=bool)
        for part in self.parts():
            found |= np.isin(_hashes(prompts, part.salt.tobytes()), part.hashes)
        return np.flatnonzero(found & asked)

    def check(self, battles: Battles, *, allow: bool = False) -> NDArray[np.int64]:
        """Raise if rows share prompts with the training data; return their positions with `allow`.

        Raises:
            LeakError: If there are any and `allow` is False; the message counts and names them.
        """
        rows = self.overlap(battles)
        if len(rows) and not allow:
            first = ", ".join(repr(row_id) for row_id in battles.take(rows[:_NAMED]).ids)
            raise LeakError(
                f"{len(rows)} of {len(battles)} rows have prompts on which the judge was trained (first ids: {first}), "
                "so that figures on them would flatter it; remove them, or pass --allow-leak (allow_leak=True)"
            )
        return rows

    def joined(self, battles: Battles) -> Self:
        """Return these hashes and those of further training prompts, under the same salt."""
        prompts = sorted(set(_keys(battles)) - {""})
        return replace(self, hashes=np.union1d(self.hashes, _hashes(prompts, self.salt.tobytes())))

    def to_dict(self) -> dict[str, object]:
        """Return the hashes as JSON-able values."""
        first, *others = (
            {
                "hashes": base64.b64encode(part.hashes.astype("<u8").tobytes()).decode(),
                "salt": part.salt.tobytes().hex(),
            }
            for part in self.parts()
        )
        return {**first, "others": others} if others else dict(first)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the hashes as arrays by name, as a safetensors file holds them."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for number, part in enumerate(self.parts()):
            end = f"_{number}" if number else ""
            arrays |= {f"hashes{end}": part.hashes, f"salt{end}": part.salt}
        return arrays

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned.

        Raises:
            ArtifactError: If the values are something else.
        """
        try:
            first, *others = (
                cls(
                    np.frombuffer(base64.b64decode(part["hashes"], validate=True), dtype="<u8").astype(np.uint64),
                    np.frombuffer(bytes.fromhex(part["salt"]), dtype=np.uint8),
                )
                for part in (values, *values.get("others", ()))
            )
            return replace(first, others=tuple(others))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the prompt hashes cannot be read ({error}); copy or train the judge again") from error

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read what `to_arrays` returned.

        Raises:
            ArtifactError: If the arrays are others.
        """
        try:
            others = tuple(cls(arrays[f"hashes_{n}"], arrays[f"salt_{n}"]) for n in range(1, len(arrays) // 2))
            return cls(arrays["hashes"], arrays["salt"], others)
        except KeyError as error:
            raise ArtifactError(f"the prompt hashes cannot be read ({error}); copy or train the judge again") from error


def union_hashes(parts: Iterable[PromptHashes | None]) -> PromptHashes | None:
    """Join the prompt hashes of several judges, each under its own salt; those under one salt are merged.

    Args:
        parts: Hashes of each judge; None for a judge whose training prompts are not known: the caller must warn of it.

    Returns:
        All hashes that are known; None where none are.
    """
    known: dict[bytes, PromptHashes] = {}
    for part in (part for whole in parts if whole is not None for part in whole.parts()):
        salt = part.salt.tobytes()
        known[salt] = replace(part, hashes=np.union1d(known[salt].hashes, part.hashes)) if salt in known else part
    if not known:
        return None
    first, *others = known.values()
    return replace(first, others=tuple(others))


class SharedPrompts:
    """Count the pairs of a stream that are on prompts of a judge's training, or of the calibration votes.

    Args:
        trained: Prompts the judge was trained on; None where they are not known.
        calibrated: Prompts of the votes that chose the threshold; None where they are not known.
    """

    def __init__(self, trained: PromptHashes | None, calibrated: PromptHashes | None) -> None:
        self._hashes = {"training": trained, "calibration": calibrated}
        self._pairs = 0
        self._found = {kind: 0 for kind, hashes in self._hashes.items() if hashes is not None}

    def watch(self, battles: Battles) -> None:
        """Count further rows."""
        self._pairs += len(battles)
        for kind in self._found:
            hashes = self._hashes[kind]
            self._found[kind] += 0 if hashes is None else len(hashes.overlap(battles))

    def to_dict(self) -> dict[str, object]:
        """Return the counts, None where prompts are not known, and notes on what they mean."""
        counts = {f"on_{kind}_prompts": self._found.get(kind) for kind in self._hashes}
        meaning = {
            "training": "prompts the judge was trained on: the guarantee does not hold for them",
            "calibration": (
                "prompts of the calibration votes, which are not new draws: the guarantee is for new prompts"
            ),
        }
        notes = [f"{n:,} of {self._pairs:,} pairs are on {meaning[kind]}" for kind, n in self._found.items() if n]
        return {"pairs": self._pairs, **counts, "notes": notes}


def _keys(battles: Battles) -> list[str]:
    """Return what each row is recognised by: its normalised prompt, else its two answers; "" without any text."""
    prompts = normalised_prompts(battles)
    bare = [place for place, prompt in enumerate(prompts) if not prompt]
    if not bare:
        return prompts
    rows = battles.take(bare)
    keys = list(prompts)
    for place, *answers in zip(bare, rows.text("response_a"), rows.text("response_b"), strict=True):
        answers = sorted(map(normalise_prompt, answers))
        keys[place] = "\0".join(["", *answers]) if any(answers) else ""  # no normalised prompt holds a NUL
    return keys


def _hashes(prompts: Iterable[str], salt: bytes) -> NDArray[np.uint64]:
    texts = (prompt.encode("utf-8", "surrogatepass") for prompt in prompts)
    digests = b"".join(hashlib.blake2b(text, digest_size=8, key=salt).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
