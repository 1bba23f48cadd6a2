"""A real side on disk; refused where the features are not the same."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.files.npz import GaussianFit
from streaming_metrics.files.tensors import read_tensors, write_tensors
from streaming_metrics.pairwise import squared_radii
from streaming_metrics.statistics import Bank, Count, Moments, Reservoir
from streaming_metrics.statistics.base import check_states

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from streaming_metrics.statistics import State, Statistic

KIND = "streaming-metrics reference 1"
RADII, PREPARED = "radii", "prepared"


@dataclass(frozen=True)
class Reference:
    """The real side of a metric.

    Args:
        fingerprint: of the features that it was made of; None where the file does not say.
        states: by the name of each statistic.
        radii: squared radii ``(n,)`` float64 of a bank's rows, by ``"<bank>/<k>"``.
        about: what else is known: ``extractor``, ``num_samples``, ``data``, ``version``.
        prepared: what measures had prepared of this side, by the name of the state.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "real.safetensors")
        >>> Reference("a-fingerprint", {"count": {"n": torch.tensor(3)}}, about={"data": "1f2e"}).save(file)
        >>> loaded = Reference.load(file)
        >>> loaded.fingerprint, loaded.num_samples, loaded.about["data"]
        ('a-fingerprint', 3, '1f2e')
    """

    fingerprint: str | None
    states: Mapping[str, State]
    radii: Mapping[str, Tensor] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    prepared: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def num_samples(self) -> int:
        """How many samples it was made of; ``moments_file.UNKNOWN`` where the file does not say."""
        return int(self.state_of(Count())["n"])

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all; of a path ``*.npz``, see :meth:`save_npz`."""
        if Path(path).suffix == ".npz":
            return self.save_npz(path)
        tensors = {f"{name}/{key}": tensor for name, state in self.states.items() for key, tensor in state.items()}
        tensors |= {f"{RADII}/{name}": squared for name, squared in self.radii.items()}
        tensors |= {f"{PREPARED}/{name}": tensor for name, tensor in self.prepared.items()}
        about = {key: value for key, value in self.about.items() if key not in ("kind", "version")}
        return write_tensors(path, tensors, KIND, self.fingerprint or "", **about)

    def save_npz(self, path: str | Path) -> None:
        """Write mean and covariance as pytorch-fid, clean-fid and EDM read them: ``mu`` and ``sigma`` in an ``.npz``.

        Raises:
            ValueError: where the reference holds no moments, or of fewer than 2 samples.
        """
        state = next((state for name, state in self.states.items() if re.fullmatch(r"moments_\d+", name)), None)
        if state is None or self.num_samples < 2:
            raise ValueError(
                f"save_npz(): expected moments of at least 2 samples, got {sorted(self.states)} of {self.num_samples}. "
                "Remedy: save the reference from a metric with FID()."
            )
        spatial = next((s for name, s in self.states.items() if re.fullmatch(r"moments_\d+_spatial", name)), None)
        more = None if spatial is None else _fitted(spatial)
        GaussianFit(*_fitted(state), self.num_samples, self.fingerprint, more).save(path)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read what :meth:`save` or :meth:`save_npz` wrote, or another program's ``.npz`` with ``mu`` and ``sigma``.

        Raises:
            FileNotFoundError: where there is no such file.
            ValueError: where it is not such a file, or damaged.
        """
        if Path(path).suffix == ".npz":
            return _of_moments(GaussianFit.load(path))
        tensors, about = read_tensors(path, KIND)
        _check_record(path, about.get("extractor", {}))
        states: dict[str, State] = {}
        for name, tensor in tensors.items():
            statistic, _, key = name.partition("/")
            states.setdefault(statistic, {})[key] = tensor.float() if tensor.dtype == torch.float16 else tensor
        radii, prepared = states.pop(RADII, {}), states.pop(PREPARED, {})
        return cls(about.pop("fingerprint", None) or None, states, radii, about, prepared)

    def check_fingerprint(self, expected: str) -> None:
        """Raise ValueError where the features differ from the metric's; warn where the file does not say."""
        if self.fingerprint is None:
            warnings.warn(_UNVERIFIED.format(expected), stacklevel=4)
        elif self.fingerprint != expected:
            raise ValueError(
                f"reference: expected features of {expected!r}, got features of {self.fingerprint!r}. "
                "Remedy: take the extractor, weights and resize that it was made with: on the command line, leave "
                "--extractor, --resize and --precision out; or make the reference again with these."
            )

    def state_of(self, statistic: Statistic) -> State:
        """Return the state of a statistic, checked.

        Raises:
            ValueError: where the reference does not hold it.
        """
        if statistic.name not in self.states:
            if statistic.is_optional:
                return statistic.empty()
            raise ValueError(
                f"reference: expected the statistic {statistic.name!r}, got {sorted(self.states)}. Remedy: save it "
                "as .safetensors with the same measures: an .npz holds moments, which serve FID alone, and SFID where "
                "it has mu_s, and not what compares samples with each other (KID, PRDC, …); a bank_<D>_<c> serves "
                "measures with capacity=c."
            )
        state = self.states[statistic.name]
        statistic.check(state)
        if not isinstance(statistic, Count):
            check_states({statistic: state}, self.num_samples)
        return state

    def radii_of(self, bank: Bank, k: int) -> Tensor | None:
        """Return the squared radii of a bank's rows, checked; None where they were not saved."""
        squared = self.radii.get(f"{bank.name}/{k}")
        n = len(self.state_of(bank)["index"])
        if squared is None or (squared.shape == (n,) and squared.dtype == torch.float64 and (squared >= 0).all()):
            return squared
        raise ValueError(f"reference: expected squared radii ({n},) float64 of {bank.name}, got {squared!r}.")


def _check_record(path: str | Path, record: Any) -> None:
    """Raise ValueError unless a record of the extractor is one that the command line can build it again by."""
    texts = [record.get(name) for name in ("name", "resize", "precision")] if isinstance(record, dict) else [None]
    if not isinstance(record, dict) or ("name" in record and not all(isinstance(text, str) for text in texts)):
        raise ValueError(
            f"{path}: expected a record of an extractor, got {record!r}. Remedy: make the reference again."
        )


load_reference = Reference.load
"""Read what ``save_reference`` wrote, or an ``.npz`` with ``mu`` and ``sigma``: :meth:`Reference.load`."""


@dataclass(frozen=True)
class ReferenceOptions:
    """What a reference keeps of features: of banks, and of the reservoirs of ``FID(se=True)``.

    Args:
        bank: False leaves features out: the file then serves FID alone, and takes its side as given.
        capacity: the most features to keep, a reservoir, for measures with the same ``capacity=`` or ``reservoir=``.
        half: write features as float16: half the size, and measures see them rounded.
    """

    bank: bool = True
    capacity: int | None = None
    half: bool = False

    def __call__(self, statistic: Statistic, state: State) -> tuple[Statistic, State] | None:
        """Return what is kept of a whole state; None where it is left out."""
        if not isinstance(statistic, (Bank, Reservoir)):
            return statistic, state
        if self.capacity is not None and self.capacity < (statistic.capacity or self.capacity + 1):
            statistic = replace(statistic, capacity=self.capacity)
            state = statistic.merge([state])
        if not self.bank:
            return None
        return statistic, self._rounded(_ordered(state) if isinstance(statistic, Bank) else state)

    def _rounded(self, state: State) -> State:
        rows = state["rows"].half() if self.half else state["rows"]
        if not rows.isfinite().all():
            raise ValueError("half=True: features beyond 65504 do not fit float16. Remedy: half=False.")
        return state | {"rows": rows}


def radii_of_banks(kept: Iterable[tuple[Statistic, State]], neighbours: Iterable[int]) -> dict[str, Tensor]:
    """Return the squared radii of every bank, for each number of neighbours that it has the rows for."""
    ks = sorted(set(neighbours))
    banks = [(s.name, state["rows"].float()) for s, state in kept if isinstance(s, Bank)]
    return {f"{name}/{k}": squared_radii(rows, k) for name, rows in banks for k in ks if len(rows) > k}


def _ordered(state: State) -> State:
    """Return rows in the order of their ids; where ids came twice, numbered anew: radii must know whose they are."""
    order = state["index"].argsort(stable=True)
    ordered = {key: column[order] for key, column in state.items()}
    index = ordered["index"]
    if not (index[1:] > index[:-1]).all():
        ordered["index"] = torch.arange(len(index), device=index.device)
    return ordered


def _of_moments(fit: GaussianFit) -> Reference:
    states = {Count().name: {"n": torch.tensor(fit.n)}}
    for column, found in (("pool", (fit.mu, fit.sigma)), ("spatial", fit.spatial)):
        if found is not None:
            states[Moments(len(found[0]), column).name] = _state_of(*found, fit.n)
    return Reference(fit.fingerprint, states, about={})


def _state_of(mean: Tensor, covariance: Tensor, n: int) -> State:
    """Return the state of moments that has this mean and covariance."""
    moments = torch.empty(len(mean) + 1, len(mean) + 1, dtype=torch.float64)
    moments[0, 0], moments[0, 1:], moments[1:, 0] = n, mean, mean
    moments[1:, 1:] = covariance * (n - 1)
    return {"moments": moments}


def _fitted(state: State) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of a state of moments."""
    moments = Moments(len(state["moments"]) - 1)
    return moments.mean(state).cpu(), moments.covariance(state).cpu()


_UNVERIFIED = (
    "The .npz does not say which extractor and resize made it, or of how many samples: that they are those of {0!r} is "
    "taken on trust. Remedy: resize='torch-bilinear' for pytorch-fid's, 'clean' for clean-fid's, 'tf1-bilinear' for "
    "EDM's and guided-diffusion's; or save_reference() from the images."
)
