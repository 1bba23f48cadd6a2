"""Mean and covariance as other programs keep them: an ``.npz`` with ``mu`` and ``sigma``.

pytorch-fid, clean-fid, EDM and guided-diffusion write such files. None says how many samples or which extractor it was
made of; those written here do, in two more arrays that the others do not look at. guided-diffusion's hold ``mu_s`` and
``sigma_s`` too, of spatial features, and 10,000 images, ``arr_0``, which are a source of their own.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.files.outline import UNKNOWN as UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor


OF_POOL, OF_SPATIAL = ("mu", "sigma"), ("mu_s", "sigma_s")
"""Names of mean and covariance, of the pool and of spatial features."""
ASYMMETRY = 1e-6
MODEST, PACKED = 1 << 26, 50
"""Bytes that any array may unpack to, and how many times its own size a larger one may: no covariance packs so well."""


@dataclass(frozen=True)
class GaussianFit:
    """What such a file holds.

    Args:
        mu: ``(D,)`` float64, mean.
        sigma: ``(D, D)`` float64, unbiased covariance (ddof 1).
        n: number of samples; :data:`UNKNOWN` where the file does not say.
        fingerprint: of the features; None where the file does not say.
        spatial: mean and covariance of spatial features, where the file holds them.
    """

    mu: Tensor
    sigma: Tensor
    n: int = UNKNOWN
    fingerprint: str | None = None
    spatial: tuple[Tensor, Tensor] | None = None

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; pytorch-fid reads it."""
        more = {} if self.n == UNKNOWN else {"n": np.int64(self.n)}
        more |= {} if self.fingerprint is None else {"fingerprint": np.str_(self.fingerprint)}
        more |= {} if self.spatial is None else dict(zip(OF_SPATIAL, (array.numpy() for array in self.spatial)))
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, mu=self.mu.numpy(), sigma=self.sigma.numpy(), **more)

    @classmethod
    def load(cls, path: str | Path) -> GaussianFit:
        """Read a file.

        Raises:
            FileNotFoundError: where there is no such file.
            ValueError: where it does not read, or holds no mean and covariance.
        """
        import torch

        fit = read_fit(path)
        spatial = None if fit.spatial is None else (torch.from_numpy(fit.spatial[0]), torch.from_numpy(fit.spatial[1]))
        return cls(torch.from_numpy(fit.mu), torch.from_numpy(fit.sigma), fit.n, fit.fingerprint, spatial)


class Fit(NamedTuple):
    """What such a file holds, as arrays; see :class:`GaussianFit`."""

    mu: np.ndarray
    sigma: np.ndarray
    n: int
    fingerprint: str | None
    spatial: tuple[np.ndarray, np.ndarray] | None


def read_fit(path: str | Path) -> Fit:
    """Return what such a file holds, checked, without importing PyTorch.

    Raises:
        FileNotFoundError, ValueError: as :meth:`GaussianFit.load`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected an .npz file with mu and sigma, found none at {path}.")
    try:
        return _checked(read_arrays(path, (*OF_POOL, *OF_SPATIAL, "n", "fingerprint")))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_arrays(path: str | Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return those of the named arrays that an ``.npz`` holds; nothing in it is unpickled.

    Raises:
        ValueError: where it does not read.
    """
    try:
        with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            for name in names:
                _check_member(file.zip, f"{name}.npy")
            return {name: file[name] for name in names if name in file}
    except Exception as error:  # zipfile, zlib and numpy each have their own for what does not read
        raise ValueError(f"expected an .npz file of plain arrays, got one that does not read: {error}.") from error


def _check_member(archive: zipfile.ZipFile, name: str) -> None:
    """Raise ValueError where a member would unpack to far more than the file holds, or than its own header says."""
    if name not in archive.namelist():
        return
    member = archive.getinfo(name)
    if member.file_size > max(MODEST, PACKED * member.compress_size):
        raise ValueError(f"{name} of {member.compress_size} bytes would unpack to {member.file_size}")
    with archive.open(member) as stream:
        major = np.lib.format.read_magic(stream)[0]
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    if prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{name} says that it holds {shape} {dtype}, and does not")


def _checked(arrays: dict[str, np.ndarray]) -> Fit:
    spatial = _gaussian(arrays, OF_SPATIAL) if arrays.keys() & {*OF_SPATIAL} else None
    return Fit(*_gaussian(arrays, OF_POOL), _count(arrays), _text(arrays), spatial)


def _gaussian(arrays: dict[str, np.ndarray], names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance by their names, float64, checked."""
    mu, sigma = (np.asarray(arrays.get(name)) for name in names)
    if mu.ndim != 1 or not len(mu) or sigma.shape != (len(mu), len(mu)) or {mu.dtype.kind, sigma.dtype.kind} != {"f"}:
        raise ValueError(
            f"expected arrays {names[0]} (D,) and {names[1]} (D, D) of floats, got "
            + (", ".join(f"{name} {array.shape} {array.dtype}" for name, array in arrays.items()) or "neither")
            + ". Remedy: give a file of pytorch-fid, clean-fid or EDM, or one that save_npz() wrote."
        )
    mu, sigma = mu.astype(np.float64), sigma.astype(np.float64)
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()) or (sigma.diagonal() < 0).any():
        raise ValueError("expected a finite mean and covariance, got NaN, infinity or a negative variance.")
    if np.abs(sigma - sigma.T).max() > ASYMMETRY * np.abs(sigma).max():
        raise ValueError("expected a symmetric covariance. Remedy: write the file again.")
    return mu, (sigma + sigma.T) / 2


def _count(arrays: dict[str, np.ndarray]) -> int:
    n = arrays.get("n")
    if n is None:
        return UNKNOWN
    if n.shape != () or n.dtype.kind not in "iu" or not 2 <= int(n) <= UNKNOWN:
        raise ValueError(f"expected n, a number of samples of at least 2, got {n!r}.")
    return int(n)


def _text(arrays: dict[str, np.ndarray]) -> str | None:
    text = arrays.get("fingerprint")
    if text is not None and (text.shape != () or text.dtype.kind != "U"):
        raise ValueError(f"expected fingerprint, one text, got {text!r}.")
    return None if text is None else str(text)


def digest_of_moments(moments: Tensor) -> str:
    """Return ``npz-<8 hex digits>``, by which a signature names moments of an unknown number of samples."""
    return "npz-" + hashlib.sha256(moments.cpu().contiguous().numpy().data).hexdigest()[:8]
