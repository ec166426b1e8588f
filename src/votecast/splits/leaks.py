"""The leak check: do these votes share prompts with what a judge was trained on?"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from votecast.data.battles import Battles
from votecast.data.prompts import normalised_prompts
from votecast.errors import ArtifactError, LeakError

_SALT_BYTES = 16
_NAMED = 10


@dataclass(frozen=True, eq=False)
class PromptHashes:
    """Salted hashes of training prompts: enough to recognise a prompt, too little to read one.

    The unit is the whole normalised prompt, all turns joined (`normalise_prompt`), so that case, spacing and
    punctuation do not hide a leak. Single turns would be the wrong unit: "hello" and "continue" open or carry on
    thousands of unrelated conversations, and a file would be refused for them. Rows without a prompt never count as a
    leak.

    A hash is 8 bytes of BLAKE2b keyed with the salt: two different prompts among 57 500 and 25 000 meet with
    probability 1e-10. The salt is derived from the prompts and a seed, not drawn, so that training twice gives the same
    folder; it keeps apart the hashes of different judges and defeats tables made in advance. It does not stop somebody
    who guesses a prompt word for word from confirming the guess.

    Args:
        hashes: Sorted distinct hashes, uint64 of shape (n,).
        salt: Key of the hash, uint8 of shape (16,).

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

    def __post_init__(self) -> None:
        hashes, salt = self.hashes, self.salt
        if hashes.dtype != np.uint64 or hashes.ndim != 1 or salt.dtype != np.uint8 or salt.shape != (_SALT_BYTES,):
            raise ArtifactError(
                f"the prompt hashes hold {hashes.dtype}{hashes.shape} with a salt of {salt.dtype}{salt.shape}; "
                f"expected uint64(n,) and uint8({_SALT_BYTES},): copy or train the judge again"
            )

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def of(cls, battles: Battles, *, seed: int = 0) -> Self:
        """Hash the prompts of training rows.

        Args:
            battles: The rows, in any order.
            seed: Changes the salt.
        """
        prompts = sorted(set(normalised_prompts(battles)) - {""})
        digest = hashlib.blake2b(str(seed).encode(), digest_size=_SALT_BYTES)
        for prompt in prompts:
            digest.update(hashlib.blake2b(_encoded(prompt), digest_size=_SALT_BYTES).digest())
        salt = digest.digest()
        return cls(np.unique(_hashes(prompts, salt)), np.frombuffer(salt, dtype=np.uint8))

    def overlap(self, battles: Battles) -> NDArray[np.int64]:
        """Positions of the rows whose prompt is among the training prompts, in order."""
        prompts = normalised_prompts(battles)
        asked = np.array([bool(prompt) for prompt in prompts], dtype=bool)
        found = np.isin(_hashes(prompts, self.salt.tobytes()), self.hashes) & asked
        return np.flatnonzero(found)

    def check(self, battles: Battles, *, allow: bool = False) -> NDArray[np.int64]:
        """Refuse rows that share prompts with the training data.

        Args:
            battles: The rows a judge is to be tested or calibrated on.
            allow: Go on all the same.

        Returns:
            Positions of the offending rows; empty unless `allow`.

        Raises:
            LeakError: If there are any and `allow` is False; the message counts and names them.
        """
        rows = self.overlap(battles)
        if len(rows) and not allow:
            first = ", ".join(repr(row_id) for row_id in battles.take(rows[:_NAMED]).ids)
            raise LeakError(
                f"{len(rows)} of {len(battles)} rows have prompts on which the judge was trained (first ids: {first}), "
                "so that figures on them would flatter it; remove them, or pass --allow-leak (allow_leak=True) to go on"
            )
        return rows

    def joined(self, battles: Battles) -> Self:
        """The same hashes and those of further training prompts, under the same salt."""
        prompts = sorted(set(normalised_prompts(battles)) - {""})
        return type(self)(np.union1d(self.hashes, _hashes(prompts, self.salt.tobytes())), self.salt)

    def to_dict(self) -> dict[str, str]:
        """The hashes as JSON-able values."""
        packed = base64.b64encode(np.ascontiguousarray(self.hashes, "<u8").tobytes()).decode("ascii")
        return {"hashes": packed, "salt": self.salt.tobytes().hex()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Raises:
            ArtifactError: If the values are something else.
        """
        try:
            hashes = np.frombuffer(base64.b64decode(values["hashes"], validate=True), dtype="<u8").astype(np.uint64)
            return cls(hashes, np.frombuffer(bytes.fromhex(values["salt"]), dtype=np.uint8))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the prompt hashes cannot be read ({error}); copy or train the judge again") from error

    def to_bytes(self) -> bytes:
        """The hashes as a safetensors file."""
        out: bytes = save({"hashes": self.hashes, "salt": self.salt})
        return out

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` gave.

        Raises:
            ArtifactError: If the bytes are something else.
        """
        try:
            arrays = load(data)
            return cls(arrays["hashes"], arrays["salt"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise ArtifactError(f"the prompt hashes cannot be read ({error}); copy or train the judge again") from error


def check_leak(hashes: PromptHashes, battles: Battles, *, allow: bool = False) -> NDArray[np.int64]:
    """`PromptHashes.check` as a function."""
    return hashes.check(battles, allow=allow)


def _hashes(prompts: Iterable[str], salt: bytes) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(_encoded(prompt), digest_size=8, key=salt).digest() for prompt in prompts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _encoded(prompt: str) -> bytes:
    return prompt.encode("utf-8", "surrogatepass")
