"""Read arrays of known names, shapes and precision from files of safetensors that anybody may have written.

The weights of the baseline are read through it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

MOST: Final = 1e12
"""Largest size of a value, so that sums and products of values stay finite."""


def read_arrays(
    path: Path, shapes: Mapping[str, tuple[int | None, ...]], *, halves: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read arrays of finite numbers.

    Args:
        path: The file.
        shapes: Name of each array -> its shape; None stands for any length.
        halves: Names of those in float16; the others are float64.

    Raises:
        KeyError: If one is missing.
        ValueError: If one has another shape or precision, or a value that is not finite.
        SafetensorError: If the file is not one of safetensors.

    Example:
        >>> import tempfile
        >>> from safetensors.numpy import save_file
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> save_file({"gap": np.zeros(3)}, path)
        >>> read_arrays(path, {"gap": (4,)})
        Traceback (most recent call last):
            ...
        ValueError: gap of weights.safetensors should be float64 of shape (4,), not float64 of (3,)
    """
    arrays = load_file(path)
    for name, shape in shapes.items():
        array, kind = arrays[name], np.dtype(np.float16 if name in halves else np.float64)
        fits = array.ndim == len(shape) and all(
            have == want for have, want in zip(array.shape, shape, strict=True) if want is not None
        )
        if not fits or array.dtype != kind:
            wanted = str(shape).replace("None", "k")
            raise ValueError(
                f"{name} of {path.name} should be {kind} of shape {wanted}, not {array.dtype} of {array.shape}"
            )
        if not (np.abs(array, dtype=np.float64) <= MOST).all():  # NaN is not at most anything
            raise ValueError(f"{name} of {path.name} holds a value that is not finite, or beyond {MOST:g}")
    return {name: arrays[name] for name in shapes}
