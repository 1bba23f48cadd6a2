"""Tensors on disk: safetensors with a checksum, never a pickle; what is damaged or foreign is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from streaming_metrics.files import whole_file
from streaming_metrics.signature import library_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

KEY = "streaming_metrics"


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], kind: str, fingerprint: str, **more: Any) -> None:
    """Write a safetensors file; a file that was there is replaced only once the new one is whole.

    Args:
        path: of the file.
        tensors: by name.
        kind: what the file is, with the version of its format.
        fingerprint: of the features that the tensors were made of.
        more: what else is said of them; anything that JSON holds.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"kind": kind, "fingerprint": fingerprint, "version": library_version(), **more}
    about["sha256"] = digest_of(about, tensors)
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata={KEY: json.dumps(about)})


def read_tensors(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors that :func:`write_tensors` wrote, and what it said of them.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it is another kind of file, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a {kind} file, found none at {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, Any] = dict(json.loads((file.metadata() or {}).get(KEY, "{}")))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"{path}: expected a {kind} file, got one that does not read: {error}.") from error
    if about.get("kind") != kind:
        raise ValueError(f"{path}: expected a {kind} file, got {about.get('kind') or 'a file of another program'}.")
    if about.pop("sha256", None) != digest_of(about, tensors):
        raise ValueError(f"{path}: the file is damaged, its checksum does not hold. Remedy: write it again.")
    return tensors, about


def about_of(path: str | Path) -> dict[str, Any] | None:
    """Return what :func:`write_tensors` said of a file, without reading its tensors; None for any other file."""
    try:
        with safe_open(Path(path), framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "null"))
            return about if isinstance(about, dict) else None
    except (SafetensorError, TypeError, ValueError, OSError):
        return None


def digest_of(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over what is said of CPU tensors, and their names, dtypes, shapes and bytes."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).contiguous().numpy().data)
    return digest.hexdigest()
