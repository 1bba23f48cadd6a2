"""A measure is a value: what it needs of the real and of the generated side, and a pure function of it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Spec
    from streaming_metrics.files.reference import Reference
    from streaming_metrics.pairwise import PairReduction, Role
    from streaming_metrics.statistics import Bank, State, Statistic

T = TypeVar("T")


class Roles(NamedTuple, Generic[T]):
    """One thing for the real side and one for the generated side."""

    real: T
    fake: T


class NotEnoughSamples(RuntimeError, ValueError):
    """A role has fewer samples than a measure is defined for; peers raise either of the two bases."""


class BiasWarning(UserWarning):
    """A value is defined, but too few or degenerate samples make it misleading."""


@dataclass(frozen=True)
class Side:
    """One role's statistics over all ranks.

    Args:
        role: whose they are.
        num_samples: N, over all ranks.
        states: the reduced state of each statistic.
    """

    role: Role
    num_samples: int
    states: Mapping[Statistic, State]

    def __getitem__(self, statistic: Statistic) -> State:
        return self.states[statistic]

    def require(self, least: int, measure: str, remedy: str = "update() with more of them before compute()") -> None:
        """Raise NotEnoughSamples unless there are ``least`` samples."""
        if self.num_samples < least:
            raise NotEnoughSamples(
                f"{measure} needs at least {least} {self.role} samples, got {self.num_samples}. Remedy: {remedy}."
            )


class Measure(ABC):
    """A measure of a generated side against a real one; subclasses are frozen dataclasses.

    Attributes:
        label: how a signature names it.
        needs_logits: whether it reads ``Features.logits``, else ``Features.pool``.
    """

    label: ClassVar[str]
    needs_logits: ClassVar[bool] = False

    @property
    @abstractmethod
    def keys(self) -> tuple[str, ...]:
        """The names of its scalars."""

    @abstractmethod
    def statistics(self, spec: Spec) -> Roles[tuple[Statistic, ...]]:
        """Return what must be kept of each role."""

    def bank(self, spec: Spec) -> Bank | None:  # noqa: ARG002
        """Return the bank, among its statistics, whose rows :meth:`reductions` compare."""
        return None

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        """Return what must be read off the pairs of the bank's rows."""
        return ()

    def against(self, reference: Reference, spec: Spec) -> Measure:  # noqa: ARG002
        """Return this measure as it is computed against a real side that is known before any generated sample comes."""
        return self

    @abstractmethod
    def check(self, real: Side, fake: Side) -> None:
        """Raise NotEnoughSamples where the measure is not defined."""

    def prepare(self, real: Side, spec: Spec) -> Any:  # noqa: ARG002
        """Return what depends on the real side alone, and is kept while that is frozen."""
        return None

    @abstractmethod
    def compute(self, evidence: Inputs) -> dict[str, Tensor]:
        """Return float64 scalars ``()`` by key."""

    def describe(self) -> str:
        """Return the label with every parameter that is not the default, e.g. ``prdc(k=3)``."""
        changed = [
            f"{f.name}={value if not isinstance(value, bytes) else digest_of(value)}"
            for f in fields(self)  # pyright: ignore[reportArgumentType]
            if f.repr and (value := getattr(self, f.name)) != (None if f.default is MISSING else f.default)
        ]
        return self.label + (f"({','.join(changed)})" if changed else "")


def digest_of(value: bytes) -> str:
    """Return the 8 hex digits by which :meth:`Measure.describe` gives a parameter of bytes."""
    return hashlib.sha256(value).hexdigest()[:8]


@dataclass(frozen=True)
class Inputs:
    """All that a measure's pure function sees.

    Args:
        real, fake: the sides.
        spec: the extractor's widths.
        prepared: what :meth:`Measure.prepare` returned.
        results: of the reductions that it asked for.
    """

    real: Side
    fake: Side
    spec: Spec
    prepared: Any
    results: Mapping[PairReduction, Tensor]


def width(spec: Spec, measure: str, kind: str) -> int:
    """Return ``spec.num_features`` or ``spec.num_classes``; raise ValueError where the extractor has none."""
    value = getattr(spec, kind)
    if value is None:
        what = "logits" if kind == "num_classes" else "features"
        raise ValueError(
            f"{measure} needs {what}, and this extractor yields none. "
            f"Remedy: an extractor with {what}, or `{kind}=` where you give features yourself."
        )
    return value
