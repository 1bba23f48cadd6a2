"""Tensors on disk: safetensors with a checksum, never a pickle; what is damaged or foreign is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.signature import library_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import Tensor

REFERENCE_KIND, STATE_KIND = "streaming-metrics reference 1", "streaming-metrics state 1"
KEY = "streaming_metrics"


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], kind: str, fingerprint: str, **more: Any) -> None:
    """Write a safetensors file, as :func:`~streaming_metrics.files.atomic.atomic_write` does: whole or not at all.

    Args:
        path: of the file.
        tensors: by name.
        kind: what the file is, with the version of its format.
        fingerprint: of the features that the tensors were made of.
        more: what else is said of them; anything that JSON holds.

    Raises:
        OSError: where it cannot be written; it names the path.
    """
    from safetensors.torch import save_file  # imports PyTorch, which a reader of headers can do without

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"kind": kind, "fingerprint": fingerprint, "version": library_version(), **more}
    about["sha256"] = digest_of(about, tensors)
    with atomic_write(path) as partial:
        try:
            save_file(tensors, partial, metadata={KEY: json.dumps(about)})
        except SafetensorError as error:
            raise _os_error(error) from error


def read_tensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors that :func:`write_tensors` wrote, and what it said of them.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it is another kind of file, or damaged.
    """
    return _read(path, kind, "pt")


def read_arrays(path: str | Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return what :func:`read_tensors` does, as arrays, and without importing PyTorch."""
    return _read(path, kind, "numpy")


def _read(path: str | Path, kind: str, framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a {kind} file, found none at {path}.")
    try:
        with safe_open(path, framework=framework) as file:
            about = _about(file)
            found = about.get("kind") or "a file of another program"
            tensors = {name: file.get_tensor(name) for name in file.keys()} if found == kind else {}  # noqa: SIM118
        is_whole = about.pop("sha256", None) == digest_of(about, tensors)
    except Exception as error:  # safetensors, json and torch each have their own for what does not read
        raise ValueError(f"{path}: expected a {kind} file, got one that does not read: {error}.") from error
    if found != kind:
        raise ValueError(f"{path}: expected a {kind} file, got {found}.")
    if not is_whole:
        raise ValueError(f"{path}: the file is damaged, its checksum does not hold. Remedy: write it again.")
    if not isinstance(about.get("fingerprint"), str):
        raise ValueError(f"{path}: expected the fingerprint of its features, got {about.get('fingerprint')!r}.")
    return tensors, about


def about_of(path: str | Path) -> dict[str, Any] | None:
    """Return what :func:`write_tensors` said of a file, without reading its tensors; None for any other file."""
    try:
        with safe_open(Path(path), framework="numpy") as file:
            return _about(file) or None
    except Exception:
        return None


def tensors_like(path: str | Path, pattern: str) -> dict[str, Tensor]:
    """Return, unchecked and without reading others, the tensors whose whole names match; none of what does not read."""
    try:
        with safe_open(Path(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if re.fullmatch(pattern, name)}  # noqa: SIM118
    except Exception:
        return {}


def _about(file: Any) -> dict[str, Any]:
    """Return what :func:`write_tensors` said of an open file; nothing where it did not write it."""
    about = json.loads((file.metadata() or {}).get(KEY, "{}"))
    if not isinstance(about, dict):
        raise TypeError(f"expected a JSON object in its header, got {type(about).__name__}")
    return about


def _os_error(error: SafetensorError) -> Exception:
    """Return the OSError, as of a full disk, that safetensors has put in its own words; else the error itself."""
    code = re.search(r"(?:\(os error |Os \{ code: )(\d+)", str(error))  # the second by safetensors 0.4
    return OSError(int(code[1]), os.strerror(int(code[1]))) if code else error


def digest_of(about: Mapping[str, Any], tensors: Mapping[str, Tensor | np.ndarray]) -> str:
    """Return the sha256 over what is said of CPU tensors, or arrays, and their names, dtypes, shapes and bytes."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {form_of(tensor)}".encode())
        flat: Any = tensor.reshape(-1)
        digest.update(flat.data if type(flat).__module__ == "numpy" else flat.contiguous().numpy().data)
    return digest.hexdigest()


def form_of(tensor: Tensor | np.ndarray) -> str:
    """Return dtype and shape of a tensor, or of an array as if it were one.

    Example:
        >>> import numpy as np
        >>> form_of(np.zeros((2, 3)))
        'torch.float64 (2, 3)'
    """
    return f"torch.{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
