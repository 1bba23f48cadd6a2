"""GenerativeMetrics: an extractor, the statistics that measures need of two roles, and the measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streaming_metrics.core.evaluate import evaluate, reduce_side, statistics_of
from streaming_metrics.core.identity import configuration_of
from streaming_metrics.core.inputs import InputPipeline, check_value_range
from streaming_metrics.core.metric import ROLES, TwoSidedMetric
from streaming_metrics.core.nearest_samples import bank_of, neighbourhood_of
from streaming_metrics.core.pairs import RealCache
from streaming_metrics.core.repeats import distinct_of, warn_of_repeats
from streaming_metrics.distributed.comm import DEFAULT_TIMEOUT, Comm
from streaming_metrics.extractors.recorded import record_of
from streaming_metrics.extractors.registry import resolve
from streaming_metrics.features import Features, Spec
from streaming_metrics.files.npz import UNKNOWN, digest_of_moments
from streaming_metrics.files.reference import Reference, ReferenceOptions, radii_of_banks
from streaming_metrics.files.tensors import write_tensors
from streaming_metrics.measures.base import NotEnoughSamples, Roles, Side
from streaming_metrics.measures.registry import MeasuresGiven, as_measures, bytes_in
from streaming_metrics.pairwise import Radii
from streaming_metrics.signature import Signature, key_of, library_version
from streaming_metrics.statistics import state_device
from streaming_metrics.statistics.index import anonymous_index, check_index

STATE_KIND = "streaming-metrics state 1"

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from streaming_metrics.core.nearest_samples import NearestSamples
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.measures.base import Measure
    from streaming_metrics.pairwise import Role
    from streaming_metrics.statistics import DistinctCount, State, Statistic


class GenerativeMetrics(TwoSidedMetric):
    """Measures of generated images against real ones, streamed batch by batch, over any number of ranks.

    One forward pass of the extractor feeds every measure, and measures that need the same statistic share one state.
    ``update`` is local; ``compute`` is collective and leaves the states as they are.

    Args:
        measures: e.g. ``[FID(), KID(), IS(), PRDC(k=5)]``; or ``"fid,kid,is,prdc(k=5)"``.
        extractor: a name (see :func:`streaming_metrics.extractors.resolve`), an :class:`Extractor`, any ``nn.Module``
            from uint8 images to ``(N, D)``, or None: then features are given to ``update``.
        weights, resize, tag: options of a named extractor; ``tag`` also of a module.
        precision: of the network: ``"fp32"``, or ``"bf16"``, two to three times as fast where the hardware has it; the
            signature says which.
        num_features, num_classes: widths of given features and logits, where ``extractor=None``.
        value_range: what float images span, ``(0, 1)`` or ``(-1, 1)``; None takes uint8 images only.
        reference: the real side as saved by :meth:`save_reference`, or another program's ``.npz`` with ``mu`` and
            ``sigma``, which serves FID alone; no real images are then taken.
        name: tells this metric from others of the same measures where ranks meet, e.g. ``"ema"``; the same on every
            rank. By default the lines of code that make it do.
        timeout: seconds that ``compute`` waits for the other ranks.
        sync_on_compute: False computes over this rank alone.
        kwargs: torchmetrics' ``process_group`` and ``distributed_available_fn``.

    Raises:
        ValueError: where two measures share a key, or a measure needs what the extractor does not yield.

    Example:
        >>> import torch
        >>> from streaming_metrics import FID, PRDC
        >>> metric = GenerativeMetrics([FID(), PRDC(k=3)], extractor=None, num_features=4)
        >>> generator = torch.Generator().manual_seed(0)
        >>> for _ in range(4):
        ...     metric.update(torch.randn(16, 4, generator=generator), real=True)
        ...     metric.update(torch.randn(16, 4, generator=generator), real=False)
        >>> list(metric.compute())
        ['fd_features', 'precision_features', 'recall_features', 'density_features', 'coverage_features']
    """

    _found: Roles[DistinctCount | None] | None = None  # of the last compute

    def __init__(
        self,
        measures: MeasuresGiven,
        extractor: str | Extractor | nn.Module | None = "inception-v3",
        *,
        weights: str | Path | None = None,
        resize: str | None = None,
        tag: str | None = None,
        precision: str | None = None,
        num_features: int | None = None,
        num_classes: int | None = None,
        value_range: tuple[float, float] | None = None,
        reference: str | Path | Reference | None = None,
        name: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        sync_on_compute: bool = True,
        **kwargs: Any,
    ) -> None:
        measures, value_range = as_measures(measures), check_value_range(value_range)
        network = None
        if extractor is not None:
            network = resolve(
                extractor, weights=weights, resize=resize, tag=tag, num_features=num_features, precision=precision
            )
        spec = network.spec if network else Spec(num_features, num_classes)
        fingerprint = network.fingerprint if network else f"features-{num_features}-{num_classes}"
        if reference is not None:
            reference = _loaded(reference, fingerprint)
            measures = [measure.against(reference, spec) for measure in measures]
        statistics = statistics_of(measures, spec)
        about = configuration_of(type(self).__name__, [measure.describe() for measure in measures])
        ranks = {"name": name, "timeout": timeout, "sync_on_compute": sync_on_compute}
        super().__init__(statistics, fingerprint, configuration=about, **ranks, **kwargs)
        self.measures = tuple(measures)
        self._inputs = (InputPipeline(network, spec, value_range),)  # in a tuple: torch registers no submodule in it
        self._totals: Roles[int] | None = None
        _check_distinct([key for measure in measures for key in measure.keys])
        if reference is not None:
            self._freeze({s: reference.state_of(s) for s in statistics.real}, rank=0, world_size=1)
            self._remember_radii(reference)

    @property
    def extractor(self) -> Extractor | None:
        """The network, or None where features are given."""
        return self._inputs[0].extractor

    @property
    def spec(self) -> Spec:
        """Widths of the features."""
        return self._inputs[0].spec

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of what :meth:`compute` returns."""
        return tuple(self._keys().values())

    def update(self, images: Tensor | Features, real: bool, index: Tensor | None = None) -> None:
        """Add a batch; local, no collective. Where it raises, nothing was added.

        Args:
            images: uint8 ``(N, 3, H, W)``, or float in ``value_range``; with ``extractor=None`` features ``(N, D)``.
                Either way :class:`Features` are taken as they are.
            real: whether they are real or generated.
            index: int64 ``(N,)`` in ``[0, 2⁴⁰)``, ids that are unique over all ranks of a role; by default the order of
                arrival on each rank. Splits of IS, subsets of KID and reservoirs depend on it.

        Raises:
            TypeError, ValueError: where the batch is not as expected, or holds non-finite features.
            RuntimeError: for real samples once the real side is frozen; for a role that an interrupted update has torn.
        """
        role = ROLES.real if real else ROLES.fake
        features = self._take(images, role, index)
        self._add(role, features)

    def compute(self) -> dict[str, Tensor]:
        """Return every measure's scalars, float64 ``()``, the same bits on every rank; collective.

        Warns of repeats (:class:`~streaming_metrics.RepeatsWarning`), whatever dealt them, and of too few samples.

        Raises:
            NotEnoughSamples: where a role has too few samples, on every rank alike.
            MissingRanks: where not every rank called this in time.
            RuntimeError: on every rank, where they do not compute the same metric, or a role is torn on one.
        """
        return self._report(self._evaluate(self.measures, self._gather_ranks()))

    def forward(self, images: Tensor | Features, real: bool, index: Tensor | None = None) -> dict[str, Tensor] | None:
        """Add a batch and return its value against the other role's samples on this rank; no collective.

        Returns None where a role has too few samples, or the frozen features are spread over ranks.
        """
        role = ROLES.real if real else ROLES.fake
        with torch.inference_mode(False), torch.no_grad(), self._identity.noting_failures():
            self._check_whole("forward()")
            features = self._take(images, role, index)
            batch = {s: s.update(state, features) for s, state in self._empty(role).items()}
            self._set_states(role, {s: s.merge([state, batch[s]]) for s, state in self._states(role).items()})
            self._update_count += 1
            self._forward_cache = self._value_of(role, batch)
        return self._forward_cache

    def reset(self) -> None:
        """Forget all samples; a frozen real side stays."""
        super().reset()
        self._totals = self._found = None

    def signature(self) -> str:
        """Return how the numbers come about, as one line; the counts are those of the last ``compute``."""
        return self._signed(self._totals or self._held())

    def distinct(self, role: Role) -> DistinctCount | None:
        """Return how many of the samples of ``role`` are distinct: exact below 4096, else about (± 2 %).

        They are those of the last ``compute``, over all ranks; before it, of this rank. None where some came from a
        file that does not say.
        """
        if self._found is not None:
            return getattr(self._found, role)
        return distinct_of(Side(role, self.num_samples(role), self._states(role)))

    def _held(self) -> Roles[int]:
        return Roles(*(self.num_samples(role) for role in ROLES))

    def _signed(self, totals: Roles[int]) -> str:
        network = self.extractor
        name = network.label if network else f"features-{self.spec.num_features}"
        resize, precision = (network.resize, network.precision) if network else ("none", "fp32")
        measures = tuple(measure.describe() for measure in self.measures)
        real, fake = (self._count_of(role, n) for role, n in zip(ROLES, totals))
        return str(Signature(measures, name, resize, real, fake, precision, library_version()))

    def neighbourhood(self) -> NearestSamples | None:
        """Return who is nearest to whom across the two sides, the same on every rank; collective.

        One more sweep over the features that a measure keeps; None where none keeps any.
        """
        kept, comm = bank_of(self.measures, self.spec), self._gather_ranks("neighbourhood()")
        if kept is None:
            return None
        real, fake = (self._side(role, comm) for role in ROLES)
        return neighbourhood_of(*kept, real, fake, comm, self._memo if self.is_frozen else RealCache())

    def save_reference(
        self,
        path: str | Path,
        *,
        bank: bool = True,
        capacity: int | None = None,
        half: bool = False,
        data: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the real side of all ranks to one safetensors file, by rank 0; collective.

        Args:
            path: of the file; mean and covariance alone, as pytorch-fid reads them, where it ends in ``.npz``.
            bank: whether to keep features, for KID and PRDC; with them go the radii that PRDC needs of them.
            capacity: keep a reservoir of so many features, for measures with the same ``capacity=``.
            half: keep features as float16.
            data: names the data set in the file, e.g. a digest of it.
            about: more to say of the images, e.g. what was left out of them; anything that JSON holds.

        Raises:
            NotEnoughSamples: without real samples.
            ValueError: where features do not fit float16.
            OSError: on every rank, where rank 0 cannot write.
        """
        comm = self._gather_ranks("save_reference()", ("real",))
        side = self._side("real", comm)
        side.require(1, "save_reference()")
        whole = {s: s.replicate(state, comm) if s.is_sharded else state for s, state in side.states.items()}
        n = None if side.num_samples >= UNKNOWN else side.num_samples
        said = {**(about or {}), **self._about(), "num_samples": n, "data": data, "half": half}
        keep = ReferenceOptions(bank and Path(path).suffix != ".npz", capacity, half)

        def write() -> None:
            kept = [pair for s, state in whole.items() if (pair := keep(s, state))]
            radii = radii_of_banks(kept, self._real_neighbours())
            Reference(self.fingerprint, {s.name: state for s, state in kept}, radii, said).save(path)

        comm.on_first(write, f"save_reference({str(path)!r})")

    def merge_reference(self, reference: str | Path | Reference) -> None:
        """Add saved samples as generated ones, to compare two references; local: on many ranks, call it on one.

        Raises:
            ValueError: where it is of other features, or does not hold what the measures need.
        """
        self._check_whole("merge_reference()", ("fake",))
        reference = _loaded(reference, self.fingerprint)
        needed = [s.name for s in self._statistics.fake if not s.is_optional]
        absent = [name for name in needed if name not in reference.states]
        if absent:
            raise ValueError(
                f"merge_reference(): the reference, which keeps what measures need of real samples, has no {absent}. "
                "Remedy: give the generated images, or leave out the measures (IS) that look at them alone."
            )
        states = {s: reference.state_of(s) for s in self._statistics.fake}
        if reference.num_samples == UNKNOWN and self.num_samples("fake"):
            raise ValueError(
                "merge_reference(): moments of an unknown number of samples cannot be added to others. "
                "Remedy: reset() first, or save_reference() from the images."
            )
        with torch.inference_mode(False), torch.no_grad():
            device = state_device(self.device)
            self._set_states(
                "fake", {s: s.merge([old, s.move(states[s], device)]) for s, old in self._states("fake").items()}
            )

    def _evaluate(self, measures: Sequence[Measure], comm: Comm) -> dict[str, Tensor]:
        real, fake = (self._side(role, comm) for role in ROLES)
        self._totals = Roles(real.num_samples, fake.num_samples)
        self._found = Roles(distinct_of(real), distinct_of(fake))
        for role, found in zip(ROLES, self._found):
            warn_of_repeats(found, role, "images" if self.extractor else "samples")
        memo = self._memo if self.is_frozen and not self._is_synced else None
        return evaluate(measures, self.spec, real, fake, comm, memo)

    def save_state(self, path: str | Path) -> None:
        """Write this rank's samples so far; local. See :func:`~streaming_metrics.core.saved_states.merge_states`.

        Raises:
            RuntimeError: where an interrupted update has torn a role.
        """
        self._check_whole("save_state()")
        tensors = {name: getattr(self, name) for name in self._defaults if name not in self._torn}
        write_tensors(
            path, tensors, STATE_KIND, self.fingerprint, **self._about(), signature=self._signed(self._held())
        )

    def _about(self) -> dict[str, Any]:
        """Return what a file says of this metric beside the fingerprint."""
        widths = {"features": self.spec.num_features, "classes": self.spec.num_classes}
        record = record_of(self.extractor) if self.extractor else widths
        about = {"extractor": record, "measures": [measure.describe() for measure in self.measures]}
        parts = bytes_in(self.measures)
        return about | {"parts": parts} if parts else about

    def _count_of(self, role: Role, n: int) -> int | str:
        """Return a number of samples as a signature gives it."""
        if n < UNKNOWN:
            return n
        tensors = [tensor for s, state in self._states(role).items() if not s.is_optional for tensor in state.values()]
        return digest_of_moments(max(tensors, key=Tensor.numel))

    def _real_neighbours(self) -> list[int]:
        """Return the k of every radius that the measures need around real samples."""
        reductions = [
            need for measure in self.measures for reduction in measure.reductions(self.spec) for need in reduction.needs
        ]
        return [reduction.k for reduction in reductions if isinstance(reduction, Radii) and reduction.role == "real"]

    def _remember_radii(self, reference: Reference) -> None:
        for bank in {bank for measure in self.measures if (bank := measure.bank(self.spec))}:
            for k in self._real_neighbours():
                squared = reference.radii_of(bank, k)
                if squared is not None:
                    self._memo.reduced[bank, Radii("real", k), None] = squared

    def _report(self, values: Mapping[str, Tensor]) -> Any:
        """Return scalars by canonical key as users get them."""
        keys = self._keys()
        return {keys[canonical]: value for canonical, value in values.items()}

    def _keys(self) -> dict[str, str]:
        """Return the reported key of each canonical one."""
        return {key: key_of(key, self._tag_of(measure)) for measure in self.measures for key in measure.keys}

    def _tag_of(self, measure: Measure) -> str | None:
        network = self.extractor
        if network is None:
            return "features"
        return None if ("logits" if measure.needs_logits else "pool") in network.published else network.tag

    def _take(self, images: Tensor | Features, role: Role, index: Tensor | None) -> Features:
        """Return the batch as features with an index, on the states' device."""
        if role == "real" and self.is_frozen:
            raise RuntimeError(
                "The real side is a frozen reference: it takes no more samples. Remedy: give only real=False, or build "
                "a new metric without reference= and without freeze_real()."
            )
        if self._is_synced:
            raise RuntimeError("The states are synced: update() would be lost. Remedy: unsync() first.")
        self._check_whole("update()", (role,))
        where = f"{role} batch (update {self._update_count})"
        needed = _columns_of(getattr(self._statistics, role))
        features = self._inputs[0](images, needed, where)
        given = index if index is not None else features.index
        if given is None:
            given = anonymous_index(self.num_samples(role), len(features), self._comm().rank)
        else:
            check_index(given, len(features))
        return replace(features, index=given).to(state_device(self.device))

    def _value_of(self, role: Role, batch: Mapping[Statistic, State]) -> Any:
        if self._frozen_parts > 1:
            return None
        single = Comm.single()
        sides = {other: self._side(other, single) for other in ROLES if other != role} | {
            role: reduce_side(role, batch, single)
        }
        try:
            values = evaluate(self.measures, self.spec, sides["real"], sides["fake"], single)
        except NotEnoughSamples:
            return None
        return self._report(values)

    def _apply(self, fn: Any, exclude_state: Sequence[str] = "") -> GenerativeMetrics:
        super()._apply(fn, exclude_state)
        if self.extractor is not None:
            self.extractor.to(self.device)
        return self


def _loaded(reference: str | Path | Reference, fingerprint: str) -> Reference:
    reference = reference if isinstance(reference, Reference) else Reference.load(reference)
    reference.check_fingerprint(fingerprint)
    return reference


def _columns_of(statistics: Sequence[Statistic]) -> dict[str, bool]:
    """Return the columns of features that statistics read, and whether one of them rounds it to float32."""
    read = [(s.column, s.rounds) for s in statistics if s.column]
    return {column: (column, True) in read for column, _ in read}


def _check_distinct(keys: Sequence[str]) -> None:
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(
            f"Two measures report {twice[0]!r}. Remedy: one metric for each, in a MetricCollection with prefixes."
        )
