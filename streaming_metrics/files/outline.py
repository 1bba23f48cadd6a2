"""Outline of a reference: all that it says of itself, and the forms of what it holds, read without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.files.tensors import REFERENCE_KIND, form_of, read_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

UNKNOWN = (1 << 40) + 1
"""Stands for a number of samples that a file does not say: above what ids can count, and one more than a power of two,
so that the covariance made of the scatter is the file's own, bit by bit."""
PARTS = {"radii": "radii of {}", "prepared": "prepared {}"}
"""What is no state of a statistic, by the beginning of its name, and how it is shown."""


@dataclass(frozen=True)
class Outline:
    """Outline of a reference.

    Args:
        fingerprint: of the features that it was made of; None where the file does not say.
        num_samples: how many samples it was made of; ``UNKNOWN`` where the file does not say.
        about: what else is known.
        forms: dtype and shape of every tensor, by name.
    """

    fingerprint: str | None
    num_samples: int
    about: Mapping[str, Any]
    forms: Mapping[str, str]

    @classmethod
    def load(cls, path: str | Path) -> Outline:
        """Read the outline of a reference, or of another program's ``.npz``; the checksum is verified.

        Raises:
            FileNotFoundError: where there is no such file.
            ValueError: where it is no such file, or damaged.
        """
        if Path(path).suffix == ".npz":
            from streaming_metrics.files.npz import read_fit  # which imports NumPy

            fit = read_fit(path)
            widths = {"": len(fit.mu)} | ({} if fit.spatial is None else {"_spatial": len(fit.spatial[0])})
            forms = {"count.n": "torch.int64 ()"}
            forms |= {f"moments_{w}{of}.moments": f"torch.float64 {(w + 1, w + 1)}" for of, w in widths.items()}
            return cls(fit.fingerprint, fit.n, {}, forms)
        arrays, about = read_arrays(path, REFERENCE_KIND)
        forms = {_shown(name): form_of(array).replace("float16", "float32") for name, array in arrays.items()}
        states_first = dict(sorted(forms.items(), key=lambda form: " " in form[0]))
        return cls(about.pop("fingerprint", None) or None, _count(path, arrays), about, states_first)


def _shown(name: str) -> str:
    """Return a tensor's name as it is shown.

    Example:
        >>> _shown("bank_12/rows"), _shown("radii/bank_12/3")
        ('bank_12.rows', 'radii of bank_12/3')
    """
    first, _, rest = name.partition("/")
    return PARTS[first].format(rest) if first in PARTS else f"{first}.{rest}"


def _count(path: str | Path, arrays: Mapping[str, np.ndarray]) -> int:
    n = arrays.get("count/n")
    if n is None or n.shape != () or n.dtype.kind != "i" or n < 0:
        raise ValueError(f"{path}: expected a number of samples, got {n!r}. Remedy: make the reference again.")
    return int(n)
