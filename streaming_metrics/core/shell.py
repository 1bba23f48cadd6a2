"""GenerativeMetrics: measures of generated samples as one torchmetrics metric; the door to torchmetrics.

torchmetrics knows states that are summed or concatenated; these are merged and reduced by their statistic instead, so
``_wrap_update``, ``_wrap_compute``, ``_sync_dist``, ``_reduce_states``, ``_load_from_state_dict`` and ``_apply`` are
overridden here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torchmetrics import Metric

from streaming_metrics import deferred
from streaming_metrics.core import incoming
from streaming_metrics.core.binding import BIND_LIMIT, ahead_of, fix, replayed, side_of, to_bind
from streaming_metrics.core.evaluate import evaluate
from streaming_metrics.core.frozen import Remembered
from streaming_metrics.core.held_batch import HeldBatch
from streaming_metrics.core.identity import Identity, configuration_of, meet, named_ranks
from streaming_metrics.core.inputs import Columns, InputPipeline, check_value_range
from streaming_metrics.core.inspector import Inspector
from streaming_metrics.core.layout import COUNT, DISTINCT, MEASURED, Layout, Slot, Streams
from streaming_metrics.core.networks import DEFAULT_EXTRACTOR, networks_of, read_by, with_own
from streaming_metrics.core.record import about as about_metric
from streaming_metrics.core.record import captions_of, described, holds_captions, signature_of
from streaming_metrics.core.references import by_role, num_samples_of, reference_of, saved_as_generated, saved_side
from streaming_metrics.core.repeats import distinct_of, warn_of_repeats
from streaming_metrics.core.set_aside import put_back, set_aside
from streaming_metrics.core.states import Binder, States
from streaming_metrics.deferred import Check, collecting
from streaming_metrics.distributed.comm import DEFAULT_TIMEOUT, Comm, name_of
from streaming_metrics.extractors.base import device_after
from streaming_metrics.features import SAMPLE_COLUMNS, Features
from streaming_metrics.files.reference import ReferenceOptions
from streaming_metrics.files.tensors import digest_of, write_tensors
from streaming_metrics.measures.base import NotEnoughSamples, Side
from streaming_metrics.measures.projection import MOST
from streaming_metrics.measures.registry import MeasuresGiven, as_measures
from streaming_metrics.measures.reported import reported_keys
from streaming_metrics.plots import plot_values
from streaming_metrics.statistics import state_device
from streaming_metrics.statistics.index import anonymous_index, check_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from streaming_metrics.core.closest import ClosestPairs
    from streaming_metrics.core.inputs import Given
    from streaming_metrics.core.nearest_samples import NearestSamples
    from streaming_metrics.core.references import References, SavedSide
    from streaming_metrics.core.set_aside import SetAside
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.features import Role, Spec
    from streaming_metrics.images.conversion import Takes
    from streaming_metrics.measures.base import Measure
    from streaming_metrics.measures.mode_table import ModeTable
    from streaming_metrics.measures.projection import Projection
    from streaming_metrics.measures.units import Units
    from streaming_metrics.statistics import DistinctCount, State
    from streaming_metrics.verdicts.evidence import Evidence

STATE_KIND = "streaming-metrics state 1"
REFUSED = ("dist_sync_fn", "dist_sync_on_step", "compute_on_cpu")
"""Options of torchmetrics that have no meaning here."""


def _without_gradients(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run a method that makes or changes states without gradients, and so that no state is an inference tensor."""

    @wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(False), torch.no_grad():
            return method(*args, **kwargs)

    return run


class GenerativeMetrics(Metric):
    """Measures of generated images against real ones, streamed batch by batch, over any number of ranks.

    One forward pass of an extractor feeds every measure, and measures that need the same statistic share one state.
    ``update`` is local; ``compute`` is collective and leaves the states as they are.

    Args:
        measures: e.g. ``[FID(), KID(), IS(), PRDC(k=5)]``; or ``"fid,kid,is,prdc(k=5)"``.
        extractor: a name (see :func:`streaming_metrics.extractors.resolve`), an :class:`Extractor`, any ``nn.Module``
            from uint8 images to ``(N, D)``, or None: then features are given to ``update``. Several networks by name,
            ``{"inception": "inception-v3", "dino": …}``: a measure reads the first unless it says ``on="dino"``.
            One that reads a network of its own kind, as ``ImageStatistics`` does ``low-level``, brings it, and where
            nothing reads the default, it is not loaded.
        weights, resize, tag: options of a named extractor; ``tag`` also of a module.
        precision: of the network: ``"fp32"``; ``"tf32"``, on GPUs three times as fast; or ``"bf16"``, two to five times
            as fast where the hardware has it; the signature says which.
        num_features, num_classes: widths of given features and logits, where ``extractor=None``; by name where there
            are several networks.
        widths: of further columns of given features, ``{"text": 512}``; by name where there are several networks.
        value_range: what float images span, ``(0, 1)`` or ``(-1, 1)``; None takes uint8 images only.
        reference: the real side as saved by :meth:`save_reference`, or another program's ``.npz`` with ``mu`` and
            ``sigma``, which serves FID alone; no real images are then taken. A list has a file of each network, a
            mapping the files of each role, ``{"real": …, "train": …}``.
        bind_limit: bytes of a frozen side's features that each rank may hold whole, so that measures that count against
            them keep nothing of the generated side; 0 keeps its features in any case.
        name: tells this metric from others of the same measures where ranks meet, e.g. ``"ema"``; the same on every
            rank. By default the lines of code that make it do.
        timeout: seconds that ``compute`` waits for the other ranks.
        sync_on_compute: False computes over this rank alone.
        kwargs: torchmetrics' ``process_group`` and ``distributed_available_fn``.

    Raises:
        ValueError: where two measures are the same, or a measure needs what the extractor does not yield.

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

    full_state_update = False
    is_differentiable = False
    _waiting: HeldBatch | None = None

    def __init__(
        self,
        measures: MeasuresGiven,
        extractor: str | Extractor | nn.Module | Mapping[str, Any] | None = DEFAULT_EXTRACTOR,
        *,
        weights: str | Path | None = None,
        resize: str | None = None,
        tag: str | None = None,
        precision: str | None = None,
        num_features: int | Mapping[str, int] | None = None,
        num_classes: int | Mapping[str, int] | None = None,
        widths: Mapping[str, int] | Mapping[str, Mapping[str, int]] | None = None,
        value_range: tuple[float, float] | None = None,
        reference: References | None = None,
        bind_limit: int = BIND_LIMIT,
        name: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        sync_on_compute: bool = True,
        **kwargs: Any,
    ) -> None:
        _check_options(kwargs, sync_on_compute)
        measures, value_range = tuple(as_measures(measures)), check_value_range(value_range)
        options = {"weights": weights, "resize": resize, "tag": tag, "precision": precision}
        if extractor == DEFAULT_EXTRACTOR:
            extractor = read_by(measures, weights=weights, resize=resize, tag=tag)
        networks = networks_of(extractor, num_features, num_classes, widths, **options)
        networks = with_own(networks, measures, precision=precision)
        layout = Layout(measures, networks)
        layout.check_banks()
        self._reported = reported_keys(measures, [networks[n].tag_of(m) for m, n in zip(measures, layout.places)])
        sides = {role: saved_side(layout, role, files) for role, files in by_role(reference).items()}
        super().__init__(sync_on_compute=False, compute_with_cache=False, **kwargs)
        self.measures, self.fingerprint = measures, " and ".join(network.fingerprint for network in networks)
        self._layout, self._binder, self._inputs = layout, Binder(layout), InputPipeline(networks, value_range)
        self._timeout, self._together, self._bind_limit = timeout, sync_on_compute, bind_limit
        self._remembered: dict[Role, Remembered] = {}
        self._totals: dict[Role, int] | None = None
        self._found: dict[Role, DistinctCount | None] | None = None
        self._captions: str | None = None
        self._evidence: dict[str, Evidence] = {}
        group = name_of(self.process_group) if sync_on_compute else "none"
        self._identity = Identity(f"{self._configuration()} of {self.fingerprint}", group, name)
        with torch.inference_mode(False), torch.no_grad():
            for state, empty in layout.empty(state_device(self.device)):
                self.add_state(state, empty, dist_reduce_fx=None)
                self._defaults[state] = _of_one_number(empty)  # wrappers of torchmetrics copy it; reset() makes its own
            for role, side in sides.items():
                self._fix(role, side.held, Comm.single(), side)

    # What it is.

    @property
    def extractor(self) -> Extractor | None:
        """The first network, or None where features are given."""
        return self._inputs.networks[0].extractor

    @property
    def takes(self) -> Takes:
        """What samples are: ``"images"``, or ``"clips"`` where its networks take those."""
        return "images" if self.extractor is None else self.extractor.takes

    @property
    def spec(self) -> Spec:
        """Widths of the first network's features."""
        return self._inputs.networks[0].spec

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of what :meth:`compute` returns."""
        return tuple(key for place in self._places() for key in self._reported[place].values())

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of its networks, by which ``on=`` asks; one alone has none."""
        return tuple(network.name for network in self._inputs.networks if network.name)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Whose samples it takes."""
        return self._layout.roles

    def readers(self, role: Role, column: str | None = None) -> tuple[Measure, ...]:
        """Return the measures that read samples of a role, or a column of them, e.g. ``"labels"``."""
        return self._layout.readers(role, column)

    @property
    def is_frozen(self) -> bool:
        """Whether the real side is an immutable reference."""
        return self._states.is_frozen("real")

    @property
    def update_called(self) -> bool:
        """Whether there are samples: updated, merged or loaded."""
        return any(self.num_samples(role) for role in self.roles)

    def num_samples(self, role: Role) -> int:
        """Return how many samples of ``role`` this rank holds; raise ValueError for one that there is not."""
        if role not in self.roles:
            raise ValueError(f"num_samples(): expected one of {self.roles}, got {role!r}.")
        return self._states.count(role)

    def signature(self) -> str:
        """Return how the numbers come about, as one line; counts and captions are those of the last ``compute``."""
        if self._totals is None:
            return self._signed({role: self.num_samples(role) for role in self.roles}, self._own_captions())
        return self._signed(self._totals, self._captions)

    def distinct(self, role: Role) -> DistinctCount | None:
        """Return how many of the samples of ``role`` are distinct: exact below 4096, else about (± 2 %).

        They are those of the last ``compute``, over all ranks; before it, of this rank. None where some came from a
        file that does not say.
        """
        return self._found[role] if self._found is not None else distinct_of(self._states.local(role, 0))

    @property
    def evidence(self) -> Mapping[str, Evidence]:
        """What scores of the last :meth:`compute` are compared by, by key: of measures that have ``se=True``."""
        return dict(self._evidence)

    def frozen_digest(self, role: Role = "real") -> str | None:
        """Return 12 hex digits of a frozen side; None of one that is not frozen, or not known here as a whole."""
        states, memory = self._states, self._memory(self._states, role)
        if states.is_frozen(role) and not memory.digest and states.parts(role) == 1:
            memory.digest = states.digest(role)
        return memory.digest or None

    def samples_digest(self, role: Role = "real") -> str | None:
        """Return 16 hex digits of which samples a role has, over all ranks; collective where it is not frozen.

        They are of the samples' bytes: the same in whatever order and batches, on any number of ranks and any device,
        where :meth:`frozen_digest` is of sums that round. None where some came from a file that does not say.
        """
        states = self._states
        slots = [Slot(role, 0, statistic) for statistic in (COUNT, DISTINCT)]
        held = [states.of(role)[slot] for slot in slots]
        if not states.is_frozen(role):
            comm = self._gather_ranks("samples_digest()", (role,))
            held = [slot.statistic.all_reduce(state, comm) for slot, state in zip(slots, held)]
        count, sketch = held
        if int(count["n"]) != int(sketch["total"]):
            return None
        return digest_of({}, {name: tensor.cpu() for name, tensor in sketch.items()})[:16]

    # What comes in.

    def update(
        self,
        images: Given,
        real: bool | None = None,
        index: Tensor | None = None,
        *,
        role: Role | None = None,
        labels: Tensor | None = None,
        captions: Tensor | Sequence[str] | None = None,
    ) -> None:
        """Add a batch; local, no collective. Where it raises, nothing was added.

        On a GPU it does not wait to hear whether features are finite: the batch is held back, and added once that is
        known, at the next call. If they are not, that call raises, whichever it is, and the batch is not added;
        :meth:`settle` is a call that does nothing else.

        Args:
            images: uint8 ``(N, 3, H, W)``, or float in ``value_range``; with a network of clips ``(N, T, 3, H, W)``;
                with ``extractor=None`` features ``(N, D)``. Either way :class:`Features` are taken as they are; of
                several networks, features of each by name.
            real: whether they are real or generated.
            index: int64 ``(N,)`` in ``[0, 2⁴⁰)``, ids that are unique over all ranks of a role; by default the order of
                arrival on each rank. Splits of IS, subsets of KID and reservoirs depend on it.
            role: instead of ``real``: ``"real"``, ``"fake"``, or another that a measure asks for, e.g. ``"train"``.
            labels, captions: int64 ``(N,)``, classes of the samples, and their captions' hashes, or their texts, of
                which :func:`~streaming_metrics.caption_hashes` are taken; where a measure reads them: then in every
                batch. Texts reach extractors that read captions, of which they make columns (``text``, ``score``).

        Raises:
            TypeError, ValueError: where the batch is not as expected, or holds non-finite features.
            RuntimeError: for samples of a frozen side; for a role that an interrupted update has torn.
        """
        role, checks = self._role(real, role), []
        with collecting(checks):
            found = self._found_in(images, role, {"labels": labels, "captions": captions})
        self.settle("This batch was not added either: give it again. ")  # only now, that the device is at work again
        states = self._states
        with collecting(checks):
            writes = states.staged(role, self._numbered(states, role, found, index, checks))
        if checks:
            self._hold(HeldBatch(states, role, writes, deferred.Answer(checks)))
        else:
            states.write(role, writes)

    def forward(
        self,
        images: Given,
        real: bool | None = None,
        index: Tensor | None = None,
        *,
        role: Role | None = None,
        labels: Tensor | None = None,
        captions: Tensor | Sequence[str] | None = None,
    ) -> Any:
        """Add a batch and return its value against the other roles' samples on this rank; no collective.

        Returns None where a role has too few samples, or the frozen features are spread over ranks.
        """
        role, states = self._role(real, role), self._states
        with torch.inference_mode(False), torch.no_grad(), self._identity.noting_failures():
            self._check_whole("forward()")
            found = self._found_in(images, role, {"labels": labels, "captions": captions})
            features, device = self._numbered(states, role, found, index), state_device(self.device)
            batch = {
                slot: slot.statistic.update(slot.statistic.empty(device), features[slot.network])
                for slot in states.streaming(role)
            }
            merged = {slot: slot.statistic.merge([states.read(slot), state]) for slot, state in batch.items()}
            states.replace({role: merged})
            self._update_count += 1
            self._forward_cache = self._value_of(role, batch)
        return self._forward_cache

    @_without_gradients
    def settle(self, note: str = "") -> None:
        """Add the batch that is held back, once its device has said that it is good; local. All that reads samples
        does so first, and :meth:`reset` alone forgets a batch unheard.

        Args:
            note: more to say where it is not good.

        Raises:
            TypeError, ValueError: where it is not good; it is forgotten then, and nothing of it was added.
        """
        if self._waiting is None:
            return
        with self._identity.noting_failures(), collecting(None):
            try:
                self._waiting.refuse()
            except (TypeError, ValueError) as error:
                self._let_go()
                self._update_count -= 1
                raise type(error)(f"the update before this call: {error} {note}".rstrip()) from error
            self._waiting.add()
            self._waiting = None

    @_without_gradients
    def reset(self) -> None:
        """Forget all samples; a frozen side stays, unless it is torn."""
        if self._waiting is not None and not self._outlives_reset(self._waiting.role):
            self._let_go()
        states, device = self._states, state_device(self.device)
        for role in states.torn(self.roles):
            if states.is_frozen(role):
                states.thaw(role, device)
                self._remembered.pop(role, None)
                states = self._states
        forgotten = [role for role in self.roles if not self._outlives_reset(role) or states.torn([role])]
        states.replace({role: states.empty(role, device) for role in forgotten})
        self._update_count, self._forward_cache, self._computed = 0, None, None
        self._cache, self._is_synced = None, False
        self._totals = self._found = self._captions = None
        self._evidence = {}

    @_without_gradients
    def set_aside(self) -> SetAside:
        """Take this rank's generated samples out, so that those of another generator can be measured against the same
        sides; local. :meth:`put_back` has them measured again, also by measures that were bound since.

        Raises:
            RuntimeError: where an interrupted update has torn them.

        Example:
            >>> import torch
            >>> from streaming_metrics import FID
            >>> metric = GenerativeMetrics([FID()], extractor=None, num_features=2)
            >>> metric.update(torch.randn(9, 2), real=False)
            >>> nine = metric.set_aside()
            >>> metric.update(torch.randn(5, 2), real=False)
            >>> five, _ = metric.set_aside(), metric.put_back(nine)
            >>> metric.num_samples("fake")
            9
        """
        self._check_whole("set_aside()", (MEASURED,))
        kept = set_aside(self._states, state_device(self.device))
        self._totals = self._found = self._captions = None
        self._evidence = {}
        return kept

    @_without_gradients
    def put_back(self, samples: SetAside) -> None:
        """Measure generated samples that were set aside, in place of those that are there, once; local.

        Raises:
            ValueError: where they were counted against a frozen side that is another by now, or were put back before.
        """
        put_back(self._states, samples)
        self._totals = self._found = self._captions = None
        self._evidence = {}

    def freeze_real(self) -> None:
        """Make the real side an immutable reference: :meth:`freeze` of ``"real"``."""
        self.freeze("real")

    @_without_gradients
    def freeze(self, role: Role = "real") -> None:
        """Make a side an immutable reference: reduced once, kept by ``reset``, in ``state_dict``; collective.

        Measures that depend on it as a whole look at it now, and keep nothing of the generated side from then on but
        what they count; each rank then holds the side's features whole. Where none does, features in a bank stay on the
        ranks that they came to.

        Raises:
            NotEnoughSamples: where no rank holds a sample of it.
            RuntimeError: where an interrupted update has left it torn.
            ValueError: for the generated side.
        """
        if role not in self._layout.frozen:
            raise ValueError(f"freeze(): expected one of {sorted(self._layout.frozen)}, got {role!r}.")
        call = "freeze_real()" if role == "real" else f"freeze({role!r})"
        comm = self._gather_ranks(call, (role,))
        if self._states.is_frozen(role):
            return
        held, n = self._held(self._states, role, comm)
        Side(role, n, {}).require(1, call)
        self._fix(role, held, comm)

    # What comes out.

    def compute(self) -> dict[str, Tensor]:
        """Return every measure's scalars, float64 ``()``, the same bits on every rank; collective.

        Warns of repeats (:class:`~streaming_metrics.RepeatsWarning`), whatever dealt them, and of too few samples.

        Raises:
            NotEnoughSamples: where a role has too few samples, on every rank alike.
            MissingRanks: where not every rank called this in time.
            RuntimeError: on every rank, where they do not compute the same metric, or a role is torn on one.
        """
        comm = self._gather_ranks()
        self._bind(comm)
        return self._report(self._evaluate(comm))

    @_without_gradients
    def compute_possible(self) -> tuple[dict[str, Tensor], list[str]]:
        """Return the scalars of those measures that have enough samples, and why the others have not; collective."""
        comm, values, reasons = self._gather_ranks(), {}, []
        self._bind(comm)
        sides, self._evidence = self._sides(comm), {}
        for place in self._places():
            try:
                values |= self._report(self._values([place], sides, comm, noted=self._evidence))
            except NotEnoughSamples as error:
                reasons.append(str(error))
        return values, reasons

    def measure_of(self, key: str) -> tuple[Measure, Spec]:
        """Return the measure that reports a key, and the widths of its network; raise ValueError where none does."""
        place = self._place_of(key)
        return self._layout.measures[place], self._inputs.networks[self._layout.places[place]].spec

    @_without_gradients
    def generated_for(self, key: str) -> dict[Slot, State]:
        """Return a copy of what a score reads of this rank's generated samples, for :meth:`evidence_of`; local."""
        states, place = self._states, self._place_of(key)
        network = self._layout.places[place]
        read = states.streams.forms[place].statistics(self._inputs.networks[network].spec)[MEASURED]
        slots = {Slot(MEASURED, 0, COUNT), *(Slot(MEASURED, network, statistic) for statistic in read)}
        held = {slot: state for slot, state in states.of(MEASURED).items() if slot in slots}
        return {slot: {name: tensor.clone() for name, tensor in state.items()} for slot, state in held.items()}

    @_without_gradients
    def evidence_of(self, key: str, generated: Mapping[Slot, State] | None = None) -> Evidence:
        """Return the evidence of one score alone, of the samples so far; collective, and states stay as they are.

        Args:
            key: as :meth:`compute` reports it.
            generated: what :meth:`generated_for` returned, in place of the generated samples so far.

        Raises:
            NotEnoughSamples: where the measure is not defined on them.
            ValueError: where no measure reports the key, or none that has evidence.
        """
        place, comm = self._place_of(key), self._gather_ranks("evidence_of()")
        self._bind(comm)
        noted: dict[str, Evidence] = {}
        self._values([place], self._sides(comm, {MEASURED: generated} if generated else None), comm, noted=noted)
        if key not in noted:
            raise ValueError(
                f"evidence_of(): expected a key whose measure has evidence, {sorted(noted)}, got {key!r}. Remedy: "
                "se=True, where the measure has that option."
            )
        return noted[key]

    def inspector(self, call: str = "inspector()") -> Inspector:
        """Return what reads the samples to look at, several readings after one meeting of the ranks; collective.

        Args:
            call: names it in errors.
        """
        comm, states = self._gather_ranks(call), self._states
        prepared = [states.prepared(place) for place in range(len(self._layout.measures))]
        return Inspector(states.streams, lambda: self._sides(comm), prepared, comm, self._memories(states))

    def neighbourhood(self) -> NearestSamples | None:
        """Return who is nearest to whom across the two sides: :meth:`Inspector.neighbourhood`; collective."""
        return self.inspector("neighbourhood()").neighbourhood()

    def closest_pairs(self, k: int = 20, most: int = 1000, among: Tensor | None = None) -> ClosestPairs | None:
        """Return the generated samples that are closest to each other: :meth:`Inspector.closest_pairs`; collective."""
        return self.inspector("closest_pairs()").closest_pairs(k, most, among)

    def modes(self, among: Tensor | None = None) -> ModeTable | None:
        """Return what each mode of the real side holds of either side: :meth:`Inspector.modes`; collective."""
        return self.inspector("modes()").modes(among)

    def projection(self, most: int = MOST) -> Projection | None:
        """Return features of both sides on two principal components: :meth:`Inspector.projection`; collective."""
        return self.inspector("projection()").projection(most)

    def units(self, n: int = 8, among: Tensor | None = None) -> Units | None:
        """Return the features in which the sides differ most: :meth:`Inspector.units`; collective."""
        return self.inspector("units()").units(n, among)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw a result of ``compute`` or ``forward``, or a list of them; None computes.

        Returns:
            The figure and the axes; an array of axes, where measures of several scales are drawn.
        """
        return plot_values(self._rows_of(self.compute() if val is None else val), ax)

    # What is saved, and added from what was saved.

    def save_reference(
        self,
        path: str | Path,
        *,
        bank: bool = True,
        capacity: int | None = None,
        half: bool = False,
        data: str | None = None,
        about: Mapping[str, Any] | None = None,
        on: str | None = None,
    ) -> None:
        """Write the real side of all ranks to one safetensors file, by rank 0; collective.

        Args:
            path: of the file; mean and covariance alone, as pytorch-fid reads them, where it ends in ``.npz``.
            bank: whether to keep features, for KID, PRDC and ``FID(se=True)``; with them go the radii that PRDC needs.
            capacity: keep a reservoir of so many features, for measures with the same ``capacity=`` or ``reservoir=``.
            half: keep features as float16.
            data: names the data set in the file, e.g. a digest of it.
            about: more to say of the images, e.g. what was left out of them; anything that JSON holds.
            on: which of several networks' features, by name; by default the first's.

        Raises:
            NotEnoughSamples: without real samples.
            ValueError: where features do not fit float16; for a network that there is not.
            OSError: on every rank, where rank 0 cannot write.
        """
        network = self._network(on)
        comm = self._gather_ranks("save_reference()", ("real",))
        held, n = self._held(self._states, "real", comm)
        Side("real", n, {}).require(1, "save_reference()")
        whole = {
            slot: slot.statistic.replicate(state, comm) if slot.statistic.is_sharded else state
            for slot, state in held.items()
        }
        said = {
            **(about or {}),
            **about_metric(self.measures, self._inputs.networks, network),
            "num_samples": num_samples_of(n),
            "data": data,
            "half": half,
        }
        options = ReferenceOptions(bank and Path(path).suffix != ".npz", capacity, half)
        prepared = {name: vars(self)[name] for name in self._states.prepared_names("real") if len(vars(self)[name])}

        def write() -> None:
            reference_of(self._layout, network, whole, prepared, options, said).save(path)

        comm.on_first(write, f"save_reference({str(path)!r})")

    @_without_gradients
    def merge_reference(self, reference: References) -> None:
        """Add saved samples as generated ones, to compare two references; local: on many ranks, call it on one.

        Raises:
            ValueError: where it is of other features, or does not hold what the measures need.
        """
        self._check_whole("merge_reference()", (MEASURED,))
        states, device = self._states, state_device(self.device)
        (files,) = by_role({MEASURED: reference}).values()
        merged = {}
        for slot, state in saved_as_generated(states, files, self.num_samples(MEASURED)).items():
            statistic = next(s.statistic for s in states.streaming(MEASURED) if s == slot)
            merged[slot] = statistic.merge([states.read(slot), statistic.move(state, device)])
        states.replace({MEASURED: merged})

    def save_state(self, path: str | Path) -> None:
        """Write this rank's samples so far; local. See :func:`~streaming_metrics.core.saved_states.merge_states`.

        Raises:
            RuntimeError: where an interrupted update has torn a role.
        """
        self._check_whole("save_state()")
        marks = set(self._layout.torn.values())
        tensors = {name: vars(self)[name] for name in self._defaults if name not in marks}
        held = {role: self.num_samples(role) for role in self.roles}
        said = about_metric(self.measures, self._inputs.networks)
        write_tensors(
            path, tensors, STATE_KIND, self.fingerprint, **said, signature=self._signed(held, self._own_captions())
        )

    def state_dict(self, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Return frozen sides, and the states that ``Metric.persistent`` asks for, without spare room of storage."""
        saved = super(Metric, self).state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)
        frozen = {name for role in self.roles if self._states.is_frozen(role) for name in self._states.all_names(role)}
        kept = (name for name, is_kept in self._persistent.items() if is_kept or name in frozen)
        saved.update({prefix + name: _own(getattr(self, name)) for name in kept})
        return saved

    def ranks(self) -> Comm:
        """Return the ranks that share this metric; this one alone where it computes alone, or is synced."""
        available = self.distributed_available_fn is None or self.distributed_available_fn()
        if self._is_synced or not self._together or not available:
            return Comm.single()
        return Comm(self.process_group, self._timeout)

    # How it is done.

    @property
    def _states(self) -> States:
        if self._waiting is not None:
            self.settle()
        return self._present

    @property
    def _present(self) -> States:
        """The states, without those that a batch that is held back will write."""
        tensors = vars(self)
        return States(self._layout, tensors, self._binder(tensors))

    def __hash__(self) -> int:
        """Return a hash of this object: torchmetrics' is of its states too, which would be read for it."""
        return object.__hash__(self)

    def __getattr__(self, name: str) -> Any:
        if self._waiting is not None and name in self._waiting.aside:
            self.settle()
            return vars(self)[name]
        return super().__getattr__(name)

    def _refused(self) -> Exception | None:
        """Return what is wrong with the batch that is held back, if anything is: a meeting tells it to all ranks."""
        try:
            self.settle()
        except (TypeError, ValueError) as error:
            return error
        return None

    def _hold(self, batch: HeldBatch) -> None:
        self._waiting = batch
        batch.set_aside()

    def _let_go(self) -> None:
        """Forget the batch that is held back."""
        if self._waiting is not None:
            self._waiting.put_back()
        self._waiting = None

    def _role(self, real: bool | None, role: Role | None) -> Role:
        if isinstance(real, str):
            raise TypeError(f"update(): expected real=True or real=False, got {real!r}. Remedy: role={real!r}.")
        if (real is None) == (role is None):
            raise TypeError(
                f"update(): expected real= or role=, got real={real!r}, role={role!r}. Remedy: one of them."
            )
        if role is None:
            return "real" if real else MEASURED
        if role not in self._layout.roles:
            raise ValueError(
                f"update(): expected a role among {self.roles}, got {role!r}. Remedy: a measure that asks for it."
            )
        return role

    def _found_in(self, given: Given, role: Role, beside: Mapping[str, Any]) -> list[Columns]:
        """Return the columns of a batch, of each network."""
        states = self._present
        if states.is_frozen(role):
            raise RuntimeError(_FROZEN.format(role, "only real=False" if role == "real" else "other roles' samples"))
        if self._is_synced:
            raise RuntimeError("The states are synced: update() would be lost. Remedy: unsync() first.")
        _refuse_torn("update()", [states.torn((role,))])
        where = f"{role} batch (update {self._update_count})"
        beside = {column: rows for column, rows in beside.items() if rows is not None}
        return self._inputs(given, states.streams[role].needs, where, beside)

    def _numbered(
        self, states: States, role: Role, found: Sequence[Columns], index: Tensor | None, checks: Sequence[Check] = ()
    ) -> list[Features]:
        """Return a batch as each network's features with an index, on the states' device.

        They are their own where there are checks to wait for: until then a caller may write over what he gave.
        """
        n, device = len(next(iter(found[0].values()), ())), state_device(self.device)
        ids = found[0].get("index") if index is None else index
        ids = anonymous_index(states.count(role), n, self.ranks().rank) if ids is None else check_index(ids, n)
        if checks:
            found = [{c: rows.clone() if c in SAMPLE_COLUMNS else rows for c, rows in each.items()} for each in found]
        return [Features(**{**columns, "index": ids}).to(device) for columns in found]

    def _gather_ranks(
        self, call: str = "compute()", roles: Sequence[Role] | None = None, comm: Comm | None = None
    ) -> Comm:
        """Return the ranks once all are here, about the same metric, the same frozen sides, and ``roles`` whole."""
        comm, refused = comm or self.ranks(), self._refused()
        states = self._states
        parts = [states.part(role) for role in self._layout.frozen if states.parts(role) > 1 and not self._is_synced]
        misplaced = next((count for part, count in parts if (part, count) != (comm.rank, comm.world_size)), 0)
        said = [{"misplaced": misplaced, "torn": states.torn(roles or self.roles), "refused": str(refused or "")}]
        if comm.world_size != 1:
            same = {
                "measures": self._configuration(),
                "extractor": self.fingerprint,
                "real side": self._frozen_in_words(),
                "bind_limit": self._bind_limit,
            }
            said = meet(comm, call, same | said[0], self._identity)
        if refused is not None:
            raise refused
        _refuse_refused(call, [one["refused"] for one in said])
        if any(one["misplaced"] for one in said):
            raise RuntimeError(_MISPLACED.format(max(one["misplaced"] for one in said)))
        _refuse_torn(call, [one["torn"] for one in said])
        return comm

    def _frozen_in_words(self) -> str:
        """Return what a meeting says of frozen sides; of one that was loaded as parts, no rank knows the whole."""
        states, words = self._states, []
        for role in self._layout.frozen:
            memory = self._memory(states, role)
            if states.is_frozen(role) and not memory.digest and states.parts(role) == 1:
                memory.digest = states.digest(role)
            frozen = f"frozen {memory.digest or f'in {states.parts(role)} parts'}"
            told = frozen if states.is_frozen(role) else "not frozen"
            words.append(told if role == "real" else f"{role} {told}")
        return ", ".join(words)

    def _memory(self, states: States, role: Role) -> Remembered:
        """Return what is remembered of a frozen side; of one that is not, or is synced, nothing is."""
        if self._is_synced or not states.is_frozen(role):
            return Remembered(lasts=False)
        tensors = tuple(tensor for state in states.of(role).values() for tensor in state.values())
        if role not in self._remembered or not self._remembered[role].is_of(tensors):
            self._remembered[role] = Remembered(tensors)
        return self._remembered[role]

    def _memories(self, states: States) -> dict[Role, Remembered]:
        return {role: self._memory(states, role) for role in self.roles}

    def _keep(self, memories: Mapping[Role, Remembered]) -> None:
        """Keep what is remembered of frozen sides whose tensors have become others of the same values."""
        device = state_device(self.device)
        for role, memory in memories.items():
            if memory.lasts:
                self._remembered[role] = memory.moved(self._memory(self._states, role).tensors, device)

    def _held(self, states: States, role: Role, comm: Comm) -> tuple[dict[Slot, State], int]:
        """Return a role's states over all ranks, banks sharded, and its number of samples; collective unless frozen."""
        held = states.of(role)
        if not states.is_frozen(role):
            held = {slot: slot.statistic.all_reduce(state, comm) for slot, state in held.items()}
        elif states.parts(role) == 1:
            held = {slot: slot.statistic.share(state, comm.rank, comm.world_size) for slot, state in held.items()}
        return held, int(held[Slot(role, 0, COUNT)]["n"])

    def _fix(self, role: Role, held: Mapping[Slot, State], comm: Comm, saved: SavedSide | None = None) -> None:
        """Freeze a role, or bind to one that is; collective."""
        memory = Remembered(reduced=dict(saved.reduced if saved else self._memory(self._states, role).reduced))
        known = saved.prepared if saved else {}
        fix(self._states, role, held, comm, memory, limit=self._bind_limit, known=known)
        self._remembered.pop(role, None)
        states = self._states
        self._memory(states, role).reduced.update(memory.reduced)
        if comm.world_size > 1:
            digest = torch.tensor(int(states.digest(role), 16), device="cpu")
            whole = comm.broadcast(digest) if states.parts(role) == 1 else comm.sum(digest)
            self._memory(states, role).digest = f"{whole.item():012x}"

    @_without_gradients
    def _bind(self, comm: Comm) -> None:
        """Bind to frozen sides what is not bound to them: those of files that do not hold what is prepared; collective,
        and of the same mind on all ranks, since it is decided by numbers that are the same on all.
        """
        for role in self._layout.frozen:
            states = self._states
            if self._is_synced or not states.is_frozen(role):
                continue
            held, n = self._held(states, role, comm)
            if any(not states.streams.is_bound(place) for place in to_bind(self._layout, role, n, self._bind_limit)):
                self._fix(role, held, comm)

    def _sides(self, comm: Comm, batch: Mapping[Role, Mapping[Slot, State]] | None = None) -> list[dict[Role, Side]]:
        """Return what measures see, of each network by role; ``batch`` stands for a role's own samples."""
        sides: list[dict[Role, Side]] = [{} for _ in self._inputs.networks]
        states = self._states
        for role in self.roles:
            held, n = self._held(states, role, comm)
            if batch and role in batch:
                held = {slot: slot.statistic.all_reduce(state, comm) for slot, state in batch[role].items()}
                n = int(held[Slot(role, 0, COUNT)]["n"])
            memory = self._memory(states, role)
            for network, seen in enumerate(sides):
                seen[role] = side_of(role, n, network, held, comm, memory)
        return sides

    def _evaluate(self, comm: Comm, streams: Streams | None = None) -> list[tuple[int, dict[str, Tensor]]]:
        """Return each measure's place and scalars; collective."""
        sides = self._sides(comm)
        self._totals = {role: side.num_samples for role, side in sides[0].items()}
        self._found = {role: distinct_of(side) for role, side in sides[0].items()}
        self._captions = captions_of(seen[MEASURED] for seen in sides)
        for role, found in self._found.items():
            warn_of_repeats(found, role, self.extractor.takes if self.extractor else "samples")
        self._evidence = {}
        return self._values(self._places(), sides, comm, streams, self._evidence)

    def _values(
        self,
        places: list[int],
        sides: Sequence[Mapping[Role, Side]],
        comm: Comm,
        streams: Streams | None = None,
        noted: dict[str, Evidence] | None = None,
    ) -> list[tuple[int, dict[str, Tensor]]]:
        states = self._states
        prepared = [states.prepared(place) for place in range(len(self._layout.measures))]
        found = evaluate(places, streams or states.streams, sides, prepared, comm, self._memories(states))
        if noted is not None:
            named = [
                (self._reported[place][key], one) for place, (_, by) in zip(places, found) for key, one in by.items()
            ]
            noted.update({key: replace(one, key=key) for key, one in named})
        return [(place, values) for place, (values, _) in zip(places, found)]

    def _value_of(self, role: Role, batch: Mapping[Slot, State]) -> Any:
        states, single = self._states, Comm.single()
        if any(states.parts(frozen) > 1 for frozen in self._layout.frozen):
            return None
        try:
            return self._report(self._values(self._places(), self._sides(single, {role: batch}), single))
        except NotEnoughSamples:
            return None

    def _places(self) -> list[int]:
        """Return the places of the measures in force: :attr:`measures` may be set to fewer of them."""
        return [self._layout.measures.index(measure) for measure in self.measures]

    def _place_of(self, key: str) -> int:
        for place in self._places():
            if key in self._reported[place].values():
                return place
        raise ValueError(f"Expected one of the keys {self.keys}, got {key!r}.")

    def _report(self, values: Sequence[tuple[int, Mapping[str, Tensor]]]) -> Any:
        """Return scalars by place and key as users get them."""
        return {self._reported[place][key]: value for place, found in values for key, value in found.items()}

    def _rows_of(self, values: Any) -> Any:
        """Return what ``compute`` returned, or a list of that, as scalars by key."""
        return values

    def _described(self) -> list[str]:
        places = [self._layout.places[place] for place in self._places()]
        return described(self.measures, places, self._inputs.networks)

    def _configuration(self) -> str:
        """Return the class and the measures in force, in words."""
        return configuration_of(type(self).__name__, self._described())

    def _signed(self, totals: Mapping[Role, int], captions: str | None) -> str:
        networks, places = self._inputs.networks, self._layout.places
        specs = [networks[places[place]].spec for place in self._places()]
        fixed = captions if any(map(holds_captions, self.measures, specs)) else None
        return str(signature_of(self._described(), networks, self._states, totals, fixed))

    def _own_captions(self) -> str | None:
        """Return the digest of this rank's generated captions."""
        return captions_of(self._states.local(MEASURED, network) for network in range(len(self._inputs.networks)))

    def _network(self, on: str | None) -> int:
        names = [network.name for network in self._inputs.networks]
        if on is not None and on not in names:
            raise ValueError(f"on=: expected one of the networks {names}, got {on!r}.")
        return 0 if on is None else names.index(on)

    def _outlives_reset(self, role: Role) -> bool:
        return self._present.is_frozen(role)

    def _check_whole(self, call: str, roles: Sequence[Role] | None = None) -> None:
        """Raise RuntimeError where an interrupted update has left one of ``roles`` torn."""
        _refuse_torn(call, [self._states.torn(roles or self.roles)])

    # How torchmetrics is told.

    def _wrap_update(self, update: Callable[..., None]) -> Callable[..., None]:
        @wraps(update)
        def counted(*args: Any, **kwargs: Any) -> None:
            with self._identity.noting_failures(), torch.inference_mode(False), torch.no_grad():
                update(*args, **kwargs)
            self._update_count += 1

        return counted

    def _wrap_compute(self, compute: Callable[[], Any]) -> Callable[[], Any]:
        return _without_gradients(compute)

    @_without_gradients
    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> GenerativeMetrics:  # noqa: ARG002
        """Follow ``fn`` to another device; float64 sums stay float64 whatever it casts to."""
        before = self._memories(self._states)
        self._device = device_after(fn, self.device)
        device, tensors = state_device(self._device), vars(self)
        for slot, names in self._layout.names.items():
            moved = slot.statistic.move({key: tensors[name] for key, name in names.items()}, device)
            tensors.update({names[key]: tensor for key, tensor in moved.items()})
        for role in self._layout.frozen:
            tensors.update({name: tensors[name].to(device) for name in self._states.prepared_names(role)})
        self._keep(before)
        for network in self._inputs.networks:
            if network.extractor is not None:
                network.extractor.to(self.device)
        return self

    @_without_gradients
    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:  # noqa: ARG002
        """Make this rank's states those of all ranks, whole: for ``sync()``; ``compute`` needs less."""
        comm = self._gather_ranks("sync()", comm=Comm(process_group or self.process_group, self._timeout))
        states = self._states
        states.replace({role: self._replicated(states, role, comm) for role in self.roles})

    def _replicated(self, states: States, role: Role, comm: Comm) -> dict[Slot, State]:
        is_frozen = states.is_frozen(role)
        is_whole = is_frozen and states.parts(role) == 1
        return {
            slot: state
            if is_whole or (is_frozen and not slot.statistic.is_sharded)
            else slot.statistic.replicate(state, comm)
            for slot, state in states.of(role).items()
        }

    @_without_gradients
    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        """Merge another metric's states into these: for ``merge_state``."""
        if self._is_synced:
            raise RuntimeError("The states are synced: what is merged now would be lost. Remedy: unsync() first.")
        self._check_whole("merge_state()")
        states, theirs = self._states, self._checked_incoming(incoming_state)
        merged = {
            role: {slot: slot.statistic.merge([state, theirs.read(slot)]) for slot, state in states.of(role).items()}
            for role in self.roles
            if not states.is_frozen(role)
        }
        states.replace(merged)

    def _checked_incoming(self, given: Mapping[str, Any]) -> States:
        """Return another metric's states as this one streams; raise ValueError where they do not belong together."""
        own = self._states
        absent = sorted(set(self._defaults) - set(incoming.present_names(own, given)) - self._layout.optional)
        relies = any(own.is_frozen(role) for role in self._layout.frozen)
        if absent and not relies:
            raise ValueError(
                f"merge_state: expected the states of a metric with the same measures and extractor; missing "
                f"{absent[0]!r}, got {sorted(given)[:3]}…."
            )
        theirs, _ = incoming.read(own, given, state_device(self.device))
        _refuse_torn("merge_state()", [theirs.torn(self.roles)])
        is_empty = not any(theirs.is_frozen(role) or theirs.count(role) for role in self.roles)
        other = next((role for role in self._layout.frozen if not incoming.same_side(own, theirs, role, given)), None)
        if not is_empty and other:
            raise ValueError(
                f"merge_state: expected both metrics to have the same frozen {other} side, or neither to be frozen. "
                "Remedy: build both with the same reference=, or freeze after merging."
            )
        if own.streaming(MEASURED) != theirs.streaming(MEASURED):
            if theirs.count(MEASURED) and any(map(theirs.streams.is_bound, range(len(self._layout.measures)))):
                raise ValueError(_COUNTED)
            ahead = States(self._layout, theirs.tensors, own.streams)
            ahead.replace({MEASURED: replayed(theirs, ahead)})
            return ahead
        return theirs

    @_without_gradients
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Load a role's states all together or not at all."""
        error_msgs: list[str] = args[-1] if args else kwargs["error_msgs"]
        own = {name.removeprefix(prefix): state_dict.pop(name) for name in self._names_in(state_dict, prefix)}
        super(Metric, self)._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        states = self._states
        try:
            theirs, roles = incoming.read(states, own, state_device(self.device))
            changes = {name: _own(theirs.tensors[name]) for role in roles for name in incoming.names_of(states, role)}
            marks = [self._layout.frozen[role] for role in roles if role in self._layout.frozen]
            changes |= {name: theirs.tensors[name].clone() for name in marks if name in own}
            others = replayed(theirs if MEASURED in roles else states, ahead_of(states, changes))
        except ValueError as error:
            error_msgs.append(f"While loading {type(self).__name__}: {error}")
            return
        names = self._layout.names
        changes |= {names[slot][key]: tensor for slot, state in others.items() for key, tensor in state.items()}
        written = {*roles, MEASURED} if others else {*roles}
        torn = (theirs if MEASURED in roles else states).torn([MEASURED]) if others else []
        with states.writing(*written, torn=[*theirs.torn(roles), *torn]):
            vars(self).update(changes)
        for role in roles:
            self._remembered.pop(role, None)

    def _names_in(self, state_dict: Mapping[str, Any], prefix: str) -> list[str]:
        """Return which of the keys of a ``state_dict`` are this metric's, under present or former names."""
        known = set(self._defaults)
        given = {name.removeprefix(prefix): name for name in state_dict if name.startswith(prefix)}
        return [name for own, name in given.items() if own in known or incoming.FORMER.fullmatch(own)]

    def __getstate__(self) -> dict[str, Any]:
        before = self._memories(self._states)
        for name in self._defaults:  # without the spare room; kept, since a process that is spawned reads it later
            vars(self)[name] = _own(vars(self)[name])
        self._keep(before)
        digests = {role: memory.digest for role, memory in before.items() if memory.lasts}
        return super().__getstate__() | {"_remembered": {}, "_digests": digests}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_layout" not in state:
            raise ValueError(
                "Expected a metric pickled by this version, got one of an earlier version. Remedy: state_dict(), "
                "save_state() and save_reference() there, which every later version reads."
            )
        digests = state.pop("_digests", {})
        super().__setstate__(state)
        for role, digest in digests.items():  # of a side that is spread over ranks, no rank could make it alone
            self._memory(self._states, role).digest = digest


def _check_options(kwargs: dict[str, Any], sync_on_compute: bool) -> None:
    """Raise ValueError for options of torchmetrics that are not supported, and take out what has no effect."""
    for refused in REFUSED:
        if kwargs.pop(refused, None):
            raise ValueError(f"{refused} is not supported: compute() reduces the states itself. Remedy: leave it out.")
    if not isinstance(sync_on_compute, bool):
        raise ValueError(f"Expected keyword argument `sync_on_compute` to be a `bool` but got {sync_on_compute}.")
    kwargs.pop("compute_with_cache", None)


def _of_one_number(constant: Tensor) -> Tensor:
    """Return a tensor of the same values that takes no room, where all are the same."""
    if constant.numel() and bool((constant == constant.flatten()[0]).all()):
        return constant.flatten()[:1].clone().expand(constant.numel()).view(constant.shape)
    return constant.clone()


def _own(tensor: Tensor) -> Tensor:
    """Return a tensor with storage of its own, of its own size."""
    return tensor.clone()


def _refuse_refused(call: str, refused: Sequence[str]) -> None:
    """Raise RuntimeError where some rank has refused the last batch that it was given."""
    ranks = [rank for rank, why in enumerate(refused) if why]
    if ranks:
        raise RuntimeError(f"{call}: {named_ranks(ranks)} raised: {refused[ranks[0]]}")


def _refuse_torn(call: str, torn: Sequence[Sequence[Role]]) -> None:
    """Raise RuntimeError where some rank, of all that ``torn`` lists, has torn roles."""
    ranks = [rank for rank, roles in enumerate(torn) if roles]
    if ranks:
        sides = " and ".join(sorted({role for roles in torn for role in roles}))
        where = f" on {named_ranks(ranks)}" if len(torn) > 1 else ""
        raise RuntimeError(
            f"{call}: expected whole sides, got a torn {sides} side{where}: an update was interrupted amid its writing "
            "(Ctrl-C, no memory). Remedy: reset() or load_state_dict(), and give its images again."
        )


_FROZEN = (
    "The {0} side is a frozen reference: it takes no more samples. Remedy: give {1}, or build "
    "a new metric without reference= and without freeze_real()."
)
_COUNTED = (
    "merge_state: expected features of generated samples, got what was counted of them against the frozen side, to "
    "which this metric is not bound. Remedy: compute() first, which binds it, and bind_limit= of as many bytes."
)
_MISPLACED = (
    "The frozen real side was saved as {} parts, one a rank, and this is not the rank that it "
    "came from. Remedy: save_reference() on all ranks, then reference=, which any number of ranks can read."
)
