"""Folders of ``save_pretrained``: networks of transformers from local files alone, as safetensors, none missing."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.extractors.names import package_of

if TYPE_CHECKING:
    import os

CONFIG, WEIGHTS = "config.json", "*.safetensors"
PASSING = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")
"""Parts of a configuration that change no feature."""


def transformers_of(extractor: str) -> Any:
    """Return the package ``transformers``, imported when it is asked for.

    Raises:
        ImportError: where it is missing.
    """
    return package_of("transformers", extractor)


def checked_folder(folder: str | os.PathLike[str], kind: str | None, extractor: str) -> tuple[Path, dict[str, Any]]:
    """Return a folder of ``save_pretrained``, and its configuration.

    Args:
        folder: the folder.
        kind: its ``model_type``; None takes any.
        extractor: names it in errors.

    Raises:
        FileNotFoundError: where there is no such folder, or it lacks the configuration or the weights.
        ValueError: where it is of another kind of network.
    """
    path = Path(folder).expanduser()
    if not (path / CONFIG).is_file() or not any(path.glob(WEIGHTS)):
        raise FileNotFoundError(
            f"{extractor}: expected a local folder with {CONFIG} and {WEIGHTS}, found none at {path}. Remedy: "
            "network.save_pretrained(folder) and processor.save_pretrained(folder), where there is a network."
        )
    config = json.loads((path / CONFIG).read_text())
    if kind is not None and config.get("model_type") != kind:
        raise ValueError(f"{extractor}: expected a network of model_type {kind!r}, got {config.get('model_type')!r}.")
    return path, config


def digest_of_folder(path: Path, config: dict[str, Any]) -> str:
    """Return a sha256 of a folder's weights and of what of its configuration changes features."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in config.items() if k not in PASSING}, sort_keys=True).encode())
    for file in sorted(path.glob(WEIGHTS)):
        with file.open("rb") as content:
            while part := content.read(1 << 24):
                digest.update(part)
    return digest.hexdigest()


def digest_of_words(tokenizer: Any) -> str:
    """Return a sha256 of a tokenizer's words and their numbers, whichever way its files write them."""
    return hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()


def network_in(kind: Any, path: Path, extractor: str, unread: tuple[str, ...] = ()) -> torch.nn.Module:
    """Return the network in a folder: float32 on the CPU, in eval mode, without gradients.

    Args:
        kind: the class of transformers.
        path: of the folder.
        extractor: names it in errors.
        unread: how names of tensors begin that no feature is made of.

    Raises:
        ValueError: where the folder lacks some of its tensors, which would be drawn at random.
    """
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]), torch.device("cpu"):
        try:
            network, told = kind.from_pretrained(
                path, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(f"{extractor}: expected the weights of its configuration in {path}: {error}") from error
    missing = [name for name in told["missing_keys"] if not name.startswith(unread)]
    lacking = sorted(missing) + sorted(str(key) for key in told.get("mismatched_keys", ()))
    if lacking:
        raise ValueError(
            f"{extractor}: expected all tensors of {kind.__name__} in {path}, found none of {lacking[:3]}. Remedy: "
            "network.save_pretrained(folder) of the whole network."
        )
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone()  # of its own, aligned, where it lay in the file
    return network.eval().requires_grad_(False)


def processor_in(kind: Any, path: Path, extractor: str, **options: Any) -> Any:
    """Return the processor in a folder: what its network is to be given; ``options`` go to ``from_pretrained``.

    Raises:
        FileNotFoundError: where there is none that ``kind`` can read.
    """
    try:
        return kind.from_pretrained(path, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{extractor}: expected the configuration of a {kind.__name__} in {path}, found none "
            f"({str(error).splitlines()[0]}). Remedy: processor.save_pretrained(folder)."
        ) from error


def tag_of(family: str, path: Path) -> str:
    """Return the suffix of keys for a folder: its own name, in what keys are made of.

    Example:
        >>> tag_of("vjepa", Path("models/vjepa2-vitl-fpc16-256"))
        'vjepa_vjepa2_vitl_fpc16_256'
    """
    return f"{family}_" + re.sub(r"[^a-z0-9]+", "_", path.resolve().name.lower()).strip("_")
