"""Measure: a value that says what it keeps of each role, and is a pure function of that."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.statistics.bank import Bank
from streaming_metrics.verdicts.intervals import Kind, interval

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.images.conversion import Takes
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import State, Statistic
    from streaming_metrics.verdicts.evidence import Evidence

T = TypeVar("T")
Prepared: TypeAlias = "Mapping[str, Tensor]"
"""What depends on a frozen side alone, by name: whole on every rank, saved with the side."""
Results: TypeAlias = "Mapping[PairReduction, Tensor]"
GROUPS = (
    "core",
    "distances",
    "class predictions",
    "labels",
    "two-sample tests",
    "density",
    "diversity",
    "copying",
    "pixels",
    "text",
    "paired",
    "own",
)
"""Groups of measures, in the order in which tables and reports show them.

``"paired"`` are metrics of torchmetrics, of pairs of images; ``"own"`` are classes of a user's own.
"""

MORE = "more images, or more calls of update() before compute()"
"""The remedy for too few samples, in Python and on the command line."""
FEWEST_COMPARED = 100
"""Samples from which on the mean of influence values is taken to be normal, as far out as verdicts are told."""


@dataclass(frozen=True)
class Roles(Generic[T]):
    """One thing for the real side and one for the generated side."""

    real: T
    fake: T

    def __iter__(self) -> Iterator[T]:
        return iter((self.real, self.fake))


class NotEnoughSamples(RuntimeError, ValueError):
    """A role has fewer samples than a measure is defined for; peers raise either of the two bases."""


class BiasWarning(UserWarning):
    """A value is defined, but too few or degenerate samples make it misleading."""


@dataclass(frozen=True)
class Scalar:
    """All that is known of a number that a measure yields.

    Args:
        key: under which ``compute`` gives it, with the published Inception: ``"fid"``.
        title: what a report calls it; by default the key.
        better: ``"lower"``, ``"higher"``, or None: p-values, counts and spreads are never "best".
        family: title of the panel that it shares with measures of its scale; by default its own title.
        spread_of: the key whose standard deviation or error this is, where it is one.
        elsewhere: what the key becomes, before the tag, with any other network: ``"fd"``; by default the key.
        kind: what its interval is cut to: ``"real"``, ``"positive"``, or ``"share"`` and ``"percent"``, whose intervals
            are Wilson's.
        about: of a standard error, in words, what ``value ± 1.96·error`` is an interval of; empty for other spreads.

    Example:
        >>> Scalar("fid", "Fréchet distance", "lower", elsewhere="fd").reported("dinov2")
        'fd_dinov2'
    """

    key: str
    title: str = ""
    better: Literal["lower", "higher"] | None = None
    family: str = ""
    spread_of: str | None = None
    elsewhere: str = ""
    kind: Kind = "real"
    about: str = ""

    def interval(self, value: float, error: float, level: float = 0.95) -> tuple[float, float]:
        """Return the ends of the interval of a value with its standard error."""
        return interval(value, error, self.kind, level)

    def reported(self, tag: str | None) -> str:
        """Return the key as users see it: bare for the published Inception (``tag=None``), else tagged."""
        return self.key if tag is None else f"{self.elsewhere or self.key}_{tag}"


def _no_reductions(bank: Bank, reduction: PairReduction) -> Tensor:
    raise ValueError(f"Expected a side whose bank is at hand, got one without: {bank}, {reduction}.")


@dataclass(frozen=True)
class Side:
    """One role's statistics of one network, over all ranks.

    Args:
        role: whose they are.
        num_samples: N, over all ranks.
        states: the reduced state of each statistic; of a bank this rank's shard.
        comm: the ranks that the shards are spread over; where each holds all, this process alone.
        reduce: makes a reduction over a bank of this side alone; collective.
        kept: what :meth:`once` made; a frozen side's outlives a compute.
    """

    role: Role
    num_samples: int
    states: Mapping[Statistic, State]
    comm: Comm = field(default_factory=Comm.single, repr=False)
    reduce: Callable[[Bank, PairReduction], Tensor] = field(default=_no_reductions, repr=False)
    kept: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __getitem__(self, statistic: Statistic) -> State:
        return self.states[statistic]

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return ``make()``, made once for as long as the side stays as it is; local: it must call no other rank."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def gather(self, bank: Bank, most: int | None = None) -> State:
        """Return a bank's state whole, rows in the order of ids, the same on every rank; collective.

        Args:
            bank: among the statistics.
            most: take a sample of so many rows, which depends on the ids alone.
        """
        state = self.states[bank]
        if most is not None and (bank.capacity is None or most < bank.capacity):
            bank = replace(bank, capacity=most)
            state = bank.merge([state])
        state = bank.replicate(state, self.comm)
        order = state["index"].argsort(stable=True)
        return {key: column[order] for key, column in state.items()}

    def rows(self, bank: Bank, most: int | None = None) -> Tensor:
        """Return ``(n, D)`` float32: the rows of :meth:`gather`; collective."""
        return self.gather(bank, most)["rows"]

    def require(self, least: int, measure: str, remedy: str = MORE) -> None:
        """Raise NotEnoughSamples unless there are ``least`` samples."""
        if self.num_samples < least:
            raise NotEnoughSamples(
                f"{measure} needs at least {least} {self.role} samples, got {self.num_samples}. Remedy: {remedy}."
            )


@dataclass(frozen=True)
class Sides:
    """The sides that a measure sees.

    Args:
        by_role: each role's side.
        spec: widths of the network's features.
    """

    by_role: Mapping[Role, Side]
    spec: Spec

    def __getitem__(self, role: Role) -> Side:
        return self.by_role[role]

    def __iter__(self) -> Iterator[Side]:
        return iter(self.by_role.values())

    @property
    def real(self) -> Side:
        return self.by_role["real"]

    @property
    def fake(self) -> Side:
        return self.by_role["fake"]


@dataclass(frozen=True)
class Measure(ABC):
    """A measure of generated samples, against those of other roles; subclasses are frozen dataclasses.

    A measure that depends on one side as a whole (its radii, its k-means bins) names it as :attr:`fixed`, and has two
    forms. Unbound, it keeps a bank of the generated side. Once that side is frozen, :meth:`prepare` has looked at it,
    and :meth:`bind` returns the measure as it streams from then on: its statistics hold what was prepared, and nothing
    else of the generated side is kept. Both forms must give the same value.

    Args:
        on: which of several networks it reads, by the name that the user gave it; by default its own :attr:`network`,
            or the first. No part of keys or signatures.

    Attributes:
        label: how a signature names it.
        column: which of the network's columns it reads.
        network: the name of the extractor that it reads unless ``on=`` says otherwise, which comes with it where images
            are measured; None reads the first.
        takes: what its samples are, ``"images"`` or ``"clips"``; None for either.
        group: the heading under which tables and reports show it, one of :data:`GROUPS`.
        paper: authors, year and venue, as tables give them.
        jackknifed: keys of scalars that are smooth functions of sums over generated samples, so that a jackknife over
            blocks of these gives their error: see :func:`~streaming_metrics.measures.errors.with_errors`.
    """

    on: str | None = field(default=None, kw_only=True, repr=False)

    label: ClassVar[str]
    column: ClassVar[str] = "pool"
    network: ClassVar[str | None] = None
    takes: ClassVar[Literal["images", "clips"] | None] = None
    group: ClassVar[str] = "own"
    paper: ClassVar[str] = ""
    jackknifed: ClassVar[tuple[str, ...]] = ()

    @property
    def fixed(self) -> Role | None:
        """The role whose freezing lets it bind; None where it never does."""
        return None

    @property
    @abstractmethod
    def scalars(self) -> tuple[Scalar, ...]:
        """What it yields; the keys never depend on data."""

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        """Return what any instance may yield, by which the key of a result tells its scalar.

        By default ``cls()``'s, and its standard errors where it has ``se=``.
        """
        if any(f.init and f.default is MISSING and f.default_factory is MISSING for f in fields(cls)):
            return ()
        with_errors: Any = replace(cls(), se=True).scalars if "se" in {f.name for f in fields(cls)} else ()
        return tuple(dict.fromkeys(cls().scalars + with_errors))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its scalars."""
        return tuple(scalar.key for scalar in self.scalars)

    def check_network(self, name: str, takes: Takes) -> None:
        """Raise ValueError where the measure is not defined on a network; by default, on one of other samples.

        Args:
            name: of the extractor.
            takes: what that takes.
        """
        if self.takes not in (None, takes):
            raise ValueError(
                f"{self.describe()}: expected a network of {self.takes}, got {name}, which takes {takes}. Remedy: "
                "extractor= of one that does."
            )

    def uncut(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        """Return those of ``jackknifed`` that are cut to their range, as they are before: at its ends cut values no
        longer move with the samples, and a jackknife of them would show no error.
        """
        return {}

    @abstractmethod
    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        """Return what must be kept of each role."""

    def bank(self, spec: Spec) -> Bank | None:
        """Return the bank, among its statistics, whose rows :meth:`reductions` compare; by default the one that it
        keeps of each side that they name, and None where nothing is compared.

        Raises:
            ValueError: by default, where it has reductions and keeps no such bank, or several.
        """
        if not (wanted := self.reductions(spec)):
            return None
        kept, roles = self.statistics(spec), {role for one in wanted for role in one.sides}
        banks = set.intersection(*({one for one in kept.get(role, ()) if isinstance(one, Bank)} for role in roles))
        if len(banks) != 1:
            raise ValueError(
                f"{type(self).__name__}: expected one Bank among its statistics of each of {sorted(roles)}, whose rows "
                f"its reductions {', '.join(map(repr, wanted))} compare, got {len(banks)}. Remedy: keep the same Bank "
                "of each, or say which one it is: def bank(self, spec)."
            )
        return banks.pop()

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        """Return what must be read off the pairs of the bank's rows."""
        return ()

    @abstractmethod
    def check(self, sides: Sides) -> None:
        """Raise NotEnoughSamples where the measure is not defined; of the sides, only the counts are known."""

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        """Return what :meth:`prepare` does, of no samples: the dtypes and widths, of length 0; none where it never
        binds.
        """
        return {}

    def prepare(self, spec: Spec, side: Side) -> Prepared:  # noqa: ARG002
        """Return what depends on the :attr:`fixed` side alone, each of length 1 or more; collective."""
        return {}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:  # noqa: B027
        """Raise ValueError unless saved tensors, of the dtypes and widths of :meth:`prepares`, finite and not empty,
        could be what :meth:`prepare` returned of so many samples; by default none is refused.
        """

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> Measure:  # noqa: ARG002
        """Return the measure as it streams once the :attr:`fixed` side is frozen; local.

        Args:
            spec: widths of the features.
            side: the fixed side, whole, rows in the order of ids; None asks for the form alone, by which the states
                are declared before there are data: its statistics must equal, and be named as, those of any data.
            prepared: what :meth:`prepare` returned.
        """
        return self

    @abstractmethod
    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:
        """Return float64 scalars ``()`` by key.

        Args:
            sides: over all ranks.
            prepared: what :meth:`prepare` returned, where the measure is bound.
            results: of the reductions that it asked for.
        """

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        """Return what its scalars are compared by, by key, right after :meth:`compute` of the same sides; collective.

        By default of none: only where each sample's influence is known.
        """
        return {}

    def least_compared(self, spec: Spec) -> int:  # noqa: ARG002
        """Return the fewest generated samples of which evidence is compared: as many as a normal law takes."""
        return FEWEST_COMPARED

    def describe(self) -> str:
        """Return the label with every parameter that is not the default, e.g. ``prdc(k=3)``."""
        changed = [
            f"{f.name}={value if not isinstance(value, bytes) else digest_of(value)}"
            for f in fields(self)
            if f.repr and (value := getattr(self, f.name)) != _default_of(f)
        ]
        return self.label + (f"({','.join(changed)})" if changed else "")


def _default_of(parameter: Any) -> Any:
    return None if parameter.default is MISSING else parameter.default


def digest_of(value: bytes) -> str:
    """Return the 8 hex digits by which :meth:`Measure.describe` gives a parameter of bytes."""
    return hashlib.sha256(value).hexdigest()[:8]


def check_squared_radii(squared: Tensor, num_samples: int) -> None:
    """Raise ValueError unless ``squared`` could be radii ``(N,)``, one of each sample."""
    if len(squared) != num_samples or not (squared >= 0).all():
        raise ValueError(f"expected {num_samples} squared radii, none negative, got {_range_of(squared)}.")


def _range_of(values: Tensor) -> str:
    return f"{len(values)} from {values.min():g} to {values.max():g}"


def width(spec: Spec, measure: str, column: str = "pool") -> int:
    """Return the width of a column of the features; raise ValueError where the extractor has no such column."""
    found = spec.width(column)
    if found is None:
        what = "features" if column == "pool" else column
        option = {"pool": "`num_features=`", "logits": "`num_classes=`"}.get(column, "`widths=`")
        raise ValueError(
            f"{measure} needs {what}, and this extractor yields none. "
            f"Remedy: an extractor with {what}, or {option} where you give features yourself."
        )
    return found
