"""Measurement: the images of either side go into a metric, epoch after epoch, and its values come out."""

from __future__ import annotations

import warnings
from contextlib import suppress
from operator import length_hint
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics import Signature
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.images.batches import find_fakes, find_images, is_dropped, pixels_of
from streaming_metrics.images.captions import find_captions
from streaming_metrics.images.columns import find_labels
from streaming_metrics.images.ranges import Reach
from streaming_metrics.monitor.averaging import idle_average_warning
from streaming_metrics.monitor.checks import shortfall_warning
from streaming_metrics.monitor.draws import Draws
from streaming_metrics.monitor.epoch_collector import EpochCollector
from streaming_metrics.monitor.finalists import table, weights_of
from streaming_metrics.monitor.interpolation import draw_ways
from streaming_metrics.monitor.paired import PairedMetrics
from streaming_metrics.monitor.rehearsal import Rehearsal, known_number, possible_values, refuse_too_few
from streaming_metrics.monitor.sides import KEPT
from streaming_metrics.monitor.variants import Measured, Variants
from streaming_metrics.report.recorded_warnings import recorded_warnings
from streaming_metrics.sampling import chunks, seed_of
from streaming_metrics.untouched import evaluating, isolated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from torch import Tensor, nn

    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.features import Role
    from streaming_metrics.images.conversion import CheckedImages
    from streaming_metrics.monitor.deciding import Decider
    from streaming_metrics.monitor.settings import Settings
    from streaming_metrics.monitor.trainer import Run
    from streaming_metrics.monitor.variants import Variant

    Taker = Callable[[Run, Variant, Mapping[str, Tensor], Sequence[str]], None]


class Measurement:
    """Measurement of a run, epoch after epoch: generates images, takes real ones, and computes.

    The images of several samplers meet the same real side, which is read once: each is generated from the same seeds
    and computed before the next, so that the samples of one are held at a time. Where the real images are still to
    come, or samplers take them batch by batch, the features of each wait in turn.

    Args:
        settings: of the monitor.
        variants: of the monitor, one for each sampler.
        metric: what is fed; it may hold a reference.
        rank: this process.
        world_size: number of processes.
        beside: metrics of torchmetrics that are fed with the same images; None for none.
        take: is given each variant's values, and what was warned of, while its samples are in the metric.

    Attributes:
        collector: what takes the images of an epoch.
        rehearsal: what went wrong with the first images.
    """

    def __init__(
        self,
        settings: Settings,
        variants: Sequence[Variant],
        metric: GenerativeMetrics,
        rank: int = 0,
        world_size: int = 1,
        beside: PairedMetrics | None = None,
        take: Taker = lambda run, variant, values, warned: None,  # noqa: ARG005
    ) -> None:
        self.settings, self.metric, self._take_values = settings, metric, take
        self.beside = beside or PairedMetrics()
        self.variants = Variants(variants, metric, self.beside)
        ranges = settings.value_range, settings.sample_range
        self.collector = EpochCollector(metric, rank, world_size, ranges)
        self.rehearsal, self._must_generate, self._must_walk = Rehearsal(), False, False
        self._in_references: dict[Role, int | None] = {role: metric.num_samples(role) for role in settings.references}
        self._labelled = [role for role in metric.roles if metric.readers(role, "labels")]
        self._captioned = metric.roles if metric.readers("fake", "captions") else ()

    def is_paired(self, module: nn.Module) -> bool:
        """Return whether generated images come batch by batch, with the real ones that they belong to."""
        return self.settings.fake_key is not None or self.variants.now.sampler.is_conditional(module)

    def measure(self, run: Run) -> None:
        """Take both sides' images, outside of validation."""
        with evaluating(run.module):
            self.start(run)
            self.generate(run)
            self._walk(run)

    def start(self, run: Run) -> None:
        """Forget the last epoch's images; read the real ones if a dataloader has them, and once those to keep.

        Collective where there are training or held-out images.
        """
        self._must_generate, self._must_walk = not self.is_paired(run.module), bool(self.beside.through)
        with isolated():
            self._forget()
            if not self.metric.is_frozen:
                self._read(run, "real")
            for role in KEPT:
                if role in self.settings.loaders and role not in self.collector.kept:
                    self._read(run, role)
                    self.collector.keep(role)

    def generate_at(self, run: Run, batch: Any) -> None:
        """Generate at the first validation batch, if that holds what it should."""
        if self._must_generate:
            self._preview(run, batch)
            self.generate(run)
        self._walk(run)

    def generate_late(self, run: Run) -> None:
        """Generate at the end of an epoch without a batch."""
        if self._must_generate:
            warnings.warn(_NO_BATCH.format(run.rank), stacklevel=2)
            self.generate(run)
        self._walk(run)

    def generate(self, run: Run) -> None:
        """Generate this rank's share of an epoch's images; collective where a verdict ends it, or for several samplers.

        Those of a sampler are measured before the next one generates, where the real side is there.
        """
        self._must_generate = False
        *earlier, last = self.variants
        with isolated():
            for variant in earlier:
                self._generate(run, variant)
                if not self._takes_real:
                    self._measure(run, variant)
            self._generate(run, last)

    def measure_again(self, run: Run, variant: Variant) -> None:
        """Measure the best few epochs again, in full, from new seeds that are the same for all; collective."""
        settings, decider = self.settings, self._decider_of(run, variant)
        if decider is None or not decider.finalists.kept:
            return
        found = []
        with isolated(), evaluating(run.module):
            for finalist in decider.finalists.kept:
                self._forget()
                self.variants.turn_to(variant)
                with weights_of(run.module, finalist.weights):  # those that sampling sees: no weights_context
                    self._generate_until(run, [settings.num_samples], seed_of(settings.seed, AGAIN))
                found.append((finalist.epoch, self.metric.evidence_of(decider.key)))
        decider.log.rescored = table(decider.key, settings.num_samples, found, settings.alpha)

    def take(self, run: Run, outputs: Any, batch: Any) -> None:
        """Take a validation batch's real images, and the generated ones that belong to them."""
        with isolated():
            self._take(run, outputs, batch)

    def conclude(self, run: Run) -> None:
        """Compute the values of all whose are not yet, and say what the images leave to be said; collective."""
        left = [variant for variant in self.variants if not variant.measured]
        for variant in left:  # verdicts of all come before the real side is frozen, as features do that they look at
            self._decide(run, variant)
        for variant in left:
            self._measure(run, variant)

    def rehearse(self, run: Run, outputs: Any = None, batch: Any = None) -> None:
        """Run one batch of real images through all that a measurement does, and forget it; no collective.

        With the generated images that belong to it, if such are measured.
        """
        with self.rehearsal.attempt(), isolated(), evaluating(run.module):
            known: dict[Role, int | None] = {}
            for role, loader in self.settings.loaders.items():
                seed = self.settings.seed
                self.collector.read(loader, self._found, seed, lambda n: None, most=1, role=role)  # noqa: ARG005
                known[role] = known_number(loader, self.metric.num_samples(role))
            self.refuse_too_few(run, known)
            if batch is not None:
                self._preview(run, batch)
                self._take(run, outputs, batch)
                self.beside.values(Comm.single())
            self.metric.settle()
        with isolated():
            self._forget()

    def rehearse_generation(self, run: Run) -> None:
        """Generate one batch, and forget it; no collective. What fails in the sanity check is tried once more."""
        settings, draws = self.settings, not self.is_paired(run.module)
        if not (draws or self.beside.through) or self.rehearsal.has_generated:
            return
        n = min(settings.batch_size, settings.num_samples)
        attempt = suppress(Exception) if run.is_sanity_check else self.rehearsal.attempt()
        with attempt, isolated(), evaluating(run.module):
            with settings.weights_context(run.module):
                for variant in self.variants if draws else ():
                    self.variants.turn_to(variant)
                    self._add(self._draw(run, n, settings.seed), torch.arange(n))
                    self.metric.settle()
                self.beside.try_out(run.module, settings)
            self.rehearsal.has_generated = True
        with isolated():
            self._forget()

    def rehearse_rest(self, run: Run) -> None:
        """Rehearse what the sanity check did not, and raise on every rank what went wrong; collective."""
        if not self.rehearsal.is_done:
            self.rehearse(run)
        self.rehearse_generation(run)
        self.rehearsal.conclude(run.agree)

    def refuse_too_few(self, run: Run, known: Mapping[Role, int | None] | None = None) -> None:
        """Raise NotEnoughSamples where the measures need more than are known to come of a role's images."""
        known = known or {}
        num_real, num_fake = known.get("real"), None if self.settings.fake_key is not None else self._num_samples(run)
        if num_real is not None and self.is_paired(run.module):
            num_fake = min(num_real, num_fake or num_real)
        if not run.dev_batches:
            refuse_too_few(self.metric.measures, {**known, **self._in_references, "fake": num_fake})

    @property
    def _takes_real(self) -> bool:
        return self.settings.real_is_validation and not self.metric.is_frozen

    def _generate(self, run: Run, variant: Variant) -> None:
        settings, decider = self.settings, self._decider_of(run, variant)
        self.variants.turn_to(variant)
        with settings.weights_context(run.module):
            stops = decider.stops(self.metric) if decider else [self._num_samples(run)]
            self._generate_until(run, stops, settings.seed)
            if decider:
                decider.finalists.take(run.module)
            if variant.pictures.thumbnails is not None and run.is_writer and variant is self.variants.every[0]:
                with run.precision():
                    variant.ways = draw_ways(run.module, settings.sample_range, settings.seed)

    def _decide(self, run: Run, variant: Variant) -> tuple[dict[str, Tensor], list[str]]:
        """Return the values of an epoch's verdict, and what was warned of; collective at the first call."""
        if variant.decided is None:
            self.variants.turn_to(variant)
            decider = self._decider_of(run, variant)
            with isolated(), recorded_warnings(give_on=True) as warned:
                values = decider.conclude(self.metric, run.epoch) if decider else {}
            variant.decided = values, warned
        return variant.decided

    def _measure(self, run: Run, variant: Variant) -> None:
        """Compute the values of a variant's samples, and hand them on; collective."""
        decided, told = self._decide(run, variant)
        self.variants.turn_to(variant)
        metric = self.metric
        with isolated(), recorded_warnings(give_on=True) as warned:
            if not self.settings.refresh_real:
                metric.freeze_real()
            values = possible_values(metric, run.warn) if run.dev_batches else metric.compute()
            self._review(run, variant)
            values = {**values, **self.beside.values(metric.ranks()), **decided}
        variant.measured = Measured(values, metric.signature(), dict(metric.evidence))
        self._take_values(run, variant, values, list(dict.fromkeys([*told, *warned])))

    def _generate_until(self, run: Run, stops: Iterable[int], seed: int) -> None:
        """Generate up to one number of samples over all ranks after another."""
        number, batch_size = self._num_samples(run), self.settings.batch_size
        mine = list(chunks(number, batch_size, run.rank, run.world_size, seed))
        draws = Draws(mine, lambda chunk: self._draw(run, chunk.size, chunk.seed))
        with run.bar(sum(chunk.size for chunk in mine)) as advance:
            for stop in stops:
                for images, index in draws.until(stop):
                    self._add(images, index)
                    advance(len(index))

    def _decider_of(self, run: Run, variant: Variant) -> Decider | None:
        """Return what decides in a training in earnest."""
        return variant.decider if run.stage == "fit" and not run.dev_batches else None

    def _num_samples(self, run: Run) -> int:
        number = self.settings.num_samples
        return min(number, self.settings.batch_size) if run.dev_batches else number

    def _preview(self, run: Run, batch: Any) -> None:
        """Raise, before anything is generated, where a validation batch holds no images or there are too few."""
        if self._takes_real:
            images, _ = self._found(batch, "real")
            pixels_of(images, self.settings.value_range, f"real {self.metric.takes}", takes=self.metric.takes)
            number = known_number(run.loader, len(images), run.most_batches, run.world_size)
            self.refuse_too_few(run, {"real": number})

    def _read(self, run: Run, role: Role) -> None:
        """Read the images of a role, if a dataloader has them."""
        loader, most = self.settings.loaders.get(role), run.dev_batches or None
        if loader is not None:
            named = f"{KEPT.get(role, role)} images".capitalize()
            with run.bar(most or length_hint(loader), named) as advance:
                self.collector.read(loader, self._found, self.settings.seed, advance, most, role)

    def _found(self, batch: Any, role: Role) -> tuple[Tensor, dict[str, Any]]:
        """Return a batch's images, and the columns beside them that measures read of that role."""
        images = find_images(batch, self.settings.image_key, self.metric.takes)
        return images, self._beside(batch, len(images), role)

    def _beside(self, batch: Any, n: int, role: Role, own: Collection[str] = ()) -> dict[str, Any]:
        """Return labels, int64 ``(n,)``, and captions, n texts, of a batch; those that its generated images bring
        themselves aside.
        """
        keys, found = self.settings, {}
        if keys.label_key is not None and role in self._labelled and "labels" not in own:
            found["labels"] = find_labels(batch, keys.label_key, n)
        if keys.caption_key is not None and role in self._captioned and "captions" not in own:
            found["captions"] = find_captions(batch, keys.caption_key, n)
        return found

    def _draw(
        self, run: Run, n: int, seed: int, batch: Any = None, beside: dict[str, Any] | None = None
    ) -> CheckedImages:
        with run.precision():
            return self.variants.now.sampler.draw(run.module, n, seed, batch, beside)

    def _add(self, images: CheckedImages, index: Tensor, real: Tensor | None = None) -> None:
        """Take generated images, and the pixels of the real ones that they belong to."""
        self.collector.fake(images, index)
        self.variants.now.pictures.take(images.pixels, index)
        self.beside.take(images, real)

    def _forget(self) -> None:
        self.collector.start()
        self.beside.reset()
        self.variants.forget()

    def _walk(self, run: Run) -> None:
        """Measure the generator, once an epoch, in earnest only."""
        if self._must_walk and not run.dev_batches:
            with isolated(), self.settings.weights_context(run.module):
                self.beside.walk(run.module, self.settings)
        self._must_walk = False

    def _take(self, run: Run, outputs: Any, batch: Any) -> None:
        takes_real, is_paired, fake_key = self._takes_real, self.is_paired(run.module), self.settings.fake_key
        if not (takes_real or is_paired):
            return
        takes, fakes, own = self.metric.takes, None, {}
        if fake_key is not None and not is_dropped(batch):
            fakes, own = find_fakes(outputs, fake_key, takes)
        needs_real = takes_real or bool(self.beside.paired)
        images = find_images(batch, self.settings.image_key, takes) if needs_real or fakes is None else fakes
        n = len(images)
        real_beside = self._beside(batch, n, "real") if takes_real else {}
        fake_beside = self._beside(batch, n, "fake", own) if is_paired else {}
        index, keep = self.collector.place(run.source, n)
        if not keep.any():
            return
        if takes_real:
            self.collector.real(images, real_beside, index, keep)
        if fakes is None and not (is_paired and (keep := keep & self.collector.first(self._num_samples(run))).any()):
            return
        real = pixels_of(images, self.settings.value_range, "real images")[keep] if self.beside.paired else None
        for variant in self.variants:
            self.variants.turn_to(variant)
            if fakes is not None:
                drawn = variant.sampler.taken(fakes, own, n, fake_beside, batch)
            else:
                drawn = self._draw_for(run, batch, fake_beside, index)
            self._add(drawn[keep], index[keep], real)

    def _draw_for(self, run: Run, batch: Any, beside: dict[str, Any], index: Tensor) -> CheckedImages:
        with self.settings.weights_context(run.module):
            return self._draw(run, len(index), seed_of(self.settings.seed, int(index[0])), batch, beside)

    def _review(self, run: Run, variant: Variant) -> None:
        if run.stage == "fit":
            run.warn(idle_average_warning(run.callbacks, run.module))
        run.warn(self.collector.warning(variant.sampler.reach or Reach()))
        if self.is_paired(run.module) and not run.dev_batches:
            run.warn(shortfall_warning(self.settings.num_samples, int(Signature.parse(self.metric.signature()).fake)))


AGAIN = 1 << 40
"""Number of the seed of what is measured again: one that no chunk of images has."""
_NO_BATCH = (
    "Rank {} had no validation batch: its images are generated at the end of the epoch, when an EMA callback may have "
    "put the raw weights back. Remedy: at least as many validation batches as ranks."
)
