"""GenerationMonitor: while a model trains, generate, measure, log. The only door to Lightning.

    Trainer(callbacks=[GenerationMonitor([FID(), PRDC()], sample="sample", num_samples=10_000)])

Hooks are thin: what they call knows no Lightning.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from operator import length_hint
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.trainer.states import TrainerFn
    from lightning.pytorch.utilities import rank_zero_warn
except ModuleNotFoundError as error:
    raise ImportError(
        f"GenerationMonitor: expected the package lightning, got {error}. Remedy: pip install lightning, and import "
        "lightning.pytorch in place of pytorch_lightning, whose Trainer is another one."
    ) from error

from streaming_metrics import GenerativeMetrics, Signature
from streaming_metrics.core.inputs import check_value_range
from streaming_metrics.images.batches import Key, as_uint8, find_fakes, find_images, is_dropped
from streaming_metrics.images.ranges import Reach
from streaming_metrics.monitor import image_log
from streaming_metrics.monitor.averaging import idle_average_warning
from streaming_metrics.monitor.checks import (
    averaging_warning,
    endless_warning,
    refuse,
    refuse_never,
    refuse_non_finite,
    refuse_train_steps,
    refuse_twice,
    refuse_unvalidated,
    sharding_warning,
    shortfall_warning,
    unmeasured_warning,
    whole,
)
from streaming_metrics.monitor.clock import At, Clock, Moment, Timeline
from streaming_metrics.monitor.epoch_collector import EpochCollector
from streaming_metrics.monitor.image_sampler import ImageSampler
from streaming_metrics.monitor.progress import sampling_bar
from streaming_metrics.monitor.readers import is_ever_due, readers_of, refuse_old_values, refuse_test_keys
from streaming_metrics.monitor.rehearsal import (
    Rehearsal,
    known_number,
    possible_values,
    refuse_too_few,
    refuse_uncallable,
)
from streaming_metrics.monitor.reporter import Reporter, finder
from streaming_metrics.monitor.trainer import (
    batches_that_stepped,
    evaluating,
    has_validation,
    loader_of,
    log_in_training,
    most_batches,
    source_of,
)
from streaming_metrics.report.recorded_warnings import recorded_warnings
from streaming_metrics.sampling import chunks, isolated_rng, seed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor, nn

    from streaming_metrics import Reference
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.measures.registry import MeasuresGiven


class GenerationMonitor(Callback):
    """Measures generated images against real ones while a model trains, the same on any number of ranks.

    One of three clocks rules: every ``every_n_train_steps`` optimizer steps, if given; else every ``every_n_epochs``
    epochs, at each of their validations, or at the epoch's end in a training without validation. Outside of validation
    ``real=`` must be given. A training that would never measure, and whatever would act on the value of another step
    (checkpoints, early stopping, ``ReduceLROnPlateau``), is refused before it begins.

    Images are generated at the first validation batch, so with whatever weights are then active (an EMA callback may
    come before or after this one; outside of validation it has not swapped: give ``weights_context``), in the trainer's
    precision, from seeds that are the same every time and do not depend on the number of ranks. Randomness is isolated,
    and modes, buffers and generators of the model are put back: training goes on bit by bit as without the monitor.
    In Lightning's sanity check (else before the first step, but for validation images) one batch of either side goes
    through all of this and is forgotten, so that mistakes show at once; ``fast_dev_run`` takes no more either.
    ``DistributedSampler``'s padding is not counted, whether an item is an image, a clip or a batch; where it cannot be
    told from images, several ranks are refused. The network belongs to this callback, never to the module, and the
    checkpoint holds nothing of it but a report's values. A test run is measured alike, under ``test/``.

    Args:
        measures: e.g. ``[FID(), KID(), IS(), PRDC()]``; or ``"fid,kid,is,prdc"``.
        extractor: a name, an :class:`Extractor`, or any ``nn.Module`` from uint8 images to ``(N, D)``.
        sample: a method's name, ``method(n)``, or a callable ``(pl_module, n)``, to ``(n, 3 or 1, H, W)``, PIL images,
            arrays with channels last, or a pipeline's output; ``"sample"`` by default. If it has a parameter ``batch``,
            it is called at every validation batch instead, with that batch and its number of images, until there are
            ``num_samples``: conditions come from the batch, and the images depend on how many ranks there are.
        fake_key: instead of ``sample``, where the generated images are in the outputs of ``validation_step``: a key, a
            position, or a callable from the outputs. For reconstructions, image to image, and sharded models.
        real: ``"val"``, the validation images (of the first dataloader); a reference file; or a ``DataLoader`` that is
            the same on every rank.
        image_key: where the images are in a batch: a key, a position, a callable, or ``"auto"``: the only part that
            looks like images.
        num_samples: generated per epoch, over all ranks; a warning says so where validation batches give fewer.
        batch_size: generated per call.
        seed: of all generation.
        value_range: what floats stand for black and white in real and generated images; uint8 is taken as it is.
        sample_range: the same of the images of ``sample`` or ``fake_key`` where it differs; None takes ``value_range``.
        every_n_epochs: epochs from one measurement to the next.
        every_n_train_steps: optimizer steps from one measurement to the next, inside training and before a
            ``ModelCheckpoint`` acts at that step. Each optimizer's steps count, as they do for ``Trainer(max_steps)``.
        prefix: of the logged keys.
        prog_bar: whether the first measure is shown in the progress bar.
        log_images: images in the grid that goes to TensorBoard, W&B and MLflow; 0 for none.
        weights_context: from the module to a context manager that is active while sampling, e.g. an EMA swap.
        refresh_real: measure the real images every time, rather than once (augmented or growing validation data).
        report: write ``report.html`` into the trainer's ``log_dir``, or a file of that path, after every measurement:
            curves, the same samples through the epochs and, where features are kept (PRDC, KID), samples beside their
            neighbours. Of the generated images 256 small copies a rank are kept; real ones are read again. Monitors
            with one path share a report: raw weights beside their average, say. Needs matplotlib.
        metric_options: more options of :class:`GenerativeMetrics`: ``weights``, ``resize``, ``tag``, ``timeout``, …

    Attributes:
        metric: the :class:`GenerativeMetrics` of this run; ``metric.signature()`` says how the numbers came about.

    Raises:
        ValueError: for arguments that contradict each other; at the start of ``fit``, where the model has no such
            method, nothing would ever be measured, or a checkpoint, stop or scheduler would act on an old value.
        NotEnoughSamples: before anything is generated, where a measure is not defined on so few images.

    Example:
        >>> from streaming_metrics import FID
        >>> monitor = GenerationMonitor([FID()], torch.nn.Flatten(), num_samples=100, tag="pixels", num_features=192)
        >>> monitor.keys
        ('val/fd_pixels',)
    """

    def __init__(
        self,
        measures: MeasuresGiven,
        extractor: str | Extractor | nn.Module = "inception-v3",
        sample: str | Callable[..., Tensor] | None = None,
        *,
        fake_key: Key | None = None,
        real: str | Path | Reference | DataLoader[Any] = "val",
        image_key: Key = "auto",
        num_samples: int = 10_000,
        batch_size: int = 64,
        seed: int = 0,
        value_range: tuple[float, float] = (0, 1),
        sample_range: tuple[float, float] | None = None,
        every_n_epochs: int = 1,
        every_n_train_steps: int | None = None,
        prefix: str = "val/",
        prog_bar: bool = True,
        log_images: int = 16,
        weights_context: Callable[[LightningModule], AbstractContextManager[Any]] | None = None,
        refresh_real: bool = False,
        report: bool | str | Path = False,
        **metric_options: Any,
    ) -> None:
        super().__init__()
        reference = None if real == "val" or isinstance(real, DataLoader) else real
        refuse(sample is not None and fake_key is not None, "sample= and fake_key=: expected one of them, got both.")
        refuse(refresh_real and reference is not None, "refresh_real=True: a reference file has nothing to refresh.")
        num_samples, batch_size = whole(num_samples=num_samples, batch_size=batch_size)
        every_n_epochs, log_images, seed = whole(every_n_epochs=every_n_epochs, log_images=log_images, seed=seed)
        refuse(min(num_samples, batch_size, every_n_epochs) < 1, "num_samples, batch_size, every_n_epochs must be ≥ 1.")
        steps = [] if every_n_train_steps is None else whole(every_n_train_steps=every_n_train_steps)
        every_n_train_steps = steps[0] if steps else None
        refuse_train_steps(every_n_train_steps, every_n_epochs, takes_batches=real == "val" or fake_key is not None)
        value_range = check_value_range(value_range) or value_range
        sample_range = check_value_range(sample_range) or value_range
        self.sampler = ImageSampler(sample or "sample", sample_range, Reach())
        self.fake_key, self.real, self.image_key, self.value_range = fake_key, real, image_key, value_range
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.every_n_epochs, self.every_n_train_steps = every_n_epochs, every_n_train_steps
        self.prefix, self.prog_bar, self.log_images = prefix, prog_bar, log_images
        self.weights_context, self.refresh_real = weights_context or nullcontext, refresh_real
        self._clock = Clock()
        self._reporter = Reporter(report, prefix.strip("/")) if report else None
        with isolated_rng():
            self._blank = GenerativeMetrics(
                measures, extractor, value_range=value_range, reference=reference, **{"name": prefix, **metric_options}
            )
        self._begin(self._blank)

    @property
    def keys(self) -> tuple[str, ...]:
        """What a measurement logs; checkpoints and early stopping may monitor one of them."""
        return tuple(self.prefix + key for key in self.metric.keys)

    @property
    def samples(self) -> Tensor:
        """This rank's first images of the latest measurement, ``(≤ log_images, 3, H, W)`` uint8."""
        return self._feed.shown

    @property
    def state_key(self) -> str:
        """Tells the monitors of one trainer apart."""
        return self._generate_state_key(keys=self.keys)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Keep the values of a report's epochs, so that a run that is resumed goes on with them."""
        if self._reporter:  # no state_dict: with one, Lightning refuses two monitors before refuse_twice says why
            checkpoint.setdefault("GenerationMonitor", {})[self.prefix] = self._reporter.story.state_dict()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Take up what :meth:`on_save_checkpoint` kept."""
        kept = checkpoint.get("GenerationMonitor", {}).get(self.prefix)
        if self._reporter and kept and trainer.state.fn == TrainerFn.FITTING:  # others only look at its weights
            self._reporter.story.load_state_dict(kept)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check what can be known before any work, and start from no samples, on the trainer's device."""
        refuse(not isinstance(trainer, Trainer), _FOREIGN.format(type(trainer)))
        refuse_twice(_monitors(trainer))
        if self.fake_key is None:
            refuse_uncallable(self.sampler.bind(pl_module), self.sampler.sample, self.sampler.is_conditional(pl_module))
            _warn(sharding_warning(trainer.strategy))
        self._refuse_too_few(trainer, None)
        if stage == TrainerFn.FITTING:
            self._set_clock(trainer, pl_module)
        if self._reporter:
            self._reporter.begin(_stage(trainer), self._prefix(trainer).strip("/"))
        self._begin(deepcopy(self._blank).to(trainer.strategy.root_device), trainer.global_rank, trainer.world_size)

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """End a training whose first images went wrong, on every rank."""
        self._rehearsal.conclude(trainer.strategy.reduce_boolean_decision)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check who will act on the values."""
        self._set_clock(trainer, pl_module)
        if _dev_run(trainer):
            self._excuse_schedulers(trainer)
        else:
            self._check_readers(trainer)
        if self._clock.at is not At.VALIDATION and self.weights_context is nullcontext:
            _warn(averaging_warning(_callbacks(trainer)))
        self._steps_seen, self._has_measured = trainer.global_step, trainer.global_step > 0
        self._must_rehearse = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Rehearse before the first step what is left: by now all is there that is made when training starts."""
        if self._must_rehearse:
            self._must_rehearse = False
            if not self._rehearsal.is_done:
                self._rehearse(trainer, pl_module)
            if not (self._is_paired or self._rehearsal.has_generated):
                self._rehearse_generation(trainer, pl_module)
            self._rehearsal.conclude(trainer.strategy.reduce_boolean_decision)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Measure, where ``every_n_train_steps`` rules; checkpoint callbacks come last, and see the value."""
        if self._is_due(trainer, At.BATCH):
            self._measure(trainer, pl_module, batches_that_stepped(trainer))
        self._steps_seen = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, where there is no validation."""
        if self._is_due(trainer, At.EPOCH):
            self._measure(trainer, pl_module, batches_that_stepped(trainer) - 1)  # as Lightning logs at this point

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Say so where nothing was measured."""
        if not self._has_measured:
            _warn(unmeasured_warning())

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Leave the device to others."""
        self.metric.to("cpu")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last epoch's images; read the real ones if a dataloader has them."""
        is_due = self._is_due(trainer)
        self._is_paired = self._takes_batches(pl_module)
        self._must_generate = is_due and not self._is_paired
        if is_due:
            with _aside():
                self._start(trainer)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        """Generate, at the first batch: by now an EMA callback has swapped its weights in, whatever the order."""
        if self._must_generate:
            self._look_at(trainer, batch)
            self._generate(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,
    ) -> None:
        """Take the batch's real images, and the generated ones that belong to them."""
        if trainer.sanity_checking and not self._rehearsal.is_done and dataloader_idx == 0:
            self._rehearse(trainer, pl_module, outputs, batch)
            if not self._is_paired:
                self._rehearse_generation(trainer, pl_module)
        if self._is_due(trainer) and dataloader_idx == 0:
            with _aside():
                self._take(trainer, pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute on every rank, and log."""
        if not self._is_due(trainer):
            return
        if self._must_generate:
            warnings.warn(_NO_BATCH.format(trainer.global_rank), stacklevel=2)
            self._generate(trainer, pl_module)
        self._conclude(trainer, pl_module, batches_that_stepped(trainer))

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    # What the hooks do.

    def _begin(self, metric: GenerativeMetrics, rank: int = 0, world_size: int = 1) -> None:
        self.metric = metric
        thumbnails = self._reporter.thumbnails if self._reporter else None
        declared = self.sampler.value_range, self.sampler.reach
        self._feed = EpochCollector(metric, rank, world_size, self.value_range, self.log_images, thumbnails, *declared)
        self._is_paired = self._must_generate = self._is_signed = self._has_measured = self._must_rehearse = False
        self._rehearsal, self._steps_seen = Rehearsal(), 0

    def _takes_batches(self, pl_module: LightningModule) -> bool:
        return self.fake_key is not None or self.sampler.is_conditional(pl_module)

    def _set_clock(self, trainer: Trainer, pl_module: LightningModule) -> None:
        is_validated, is_paired = has_validation(trainer), self._takes_batches(pl_module)
        refuse_train_steps(self.every_n_train_steps, self.every_n_epochs, is_paired)
        if not is_validated:
            refuse_unvalidated(self.real == "val", is_paired, trainer)
        clock = Clock.of(self.every_n_epochs, self.every_n_train_steps, is_validated)
        self._clock = Clock(clock.at) if _dev_run(trainer) else clock

    def _check_readers(self, trainer: Trainer) -> None:
        timeline = Timeline.of(trainer, has_validation(trainer))
        refuse_test_keys([*_callbacks(trainer), *trainer.lr_scheduler_configs], self._test_keys)
        if not is_ever_due(self._clock, timeline):
            refuse_never(self._clock, trainer)
        _warn(endless_warning(trainer) if self._clock.at is At.VALIDATION else None)
        refuse_old_values(readers_of(trainer, self.keys, self._clock, timeline), self._clock, timeline)

    def _excuse_schedulers(self, trainer: Trainer) -> None:
        """Let schedulers do without what a few images cannot give: it is not logged in ``fast_dev_run``."""
        for config in trainer.lr_scheduler_configs:
            if config.monitor in self.keys:
                config.strict = False

    def _refuse_too_few(self, trainer: Trainer, num_real: int | None) -> None:
        """Raise NotEnoughSamples where the measures need more; the real images' number may not be known yet."""
        num_fake = None if self.fake_key is not None else self._num_samples(trainer)
        if num_real is not None and self._takes_batches(trainer.lightning_module):
            num_fake = min(num_real, num_fake or num_real)
        if not _dev_run(trainer):
            frozen = self._blank.num_samples("real") if self._blank.is_frozen else None
            refuse_too_few(self._blank.measures, num_real if frozen is None else frozen, num_fake)

    def _num_samples(self, trainer: Trainer) -> int:
        return min(self.num_samples, self.batch_size) if _dev_run(trainer) else self.num_samples

    def _is_due(self, trainer: Trainer, at: At = At.VALIDATION) -> bool:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return at is At.VALIDATION and not trainer.sanity_checking
        return self._clock.is_due(Moment(at, trainer.current_epoch, trainer.global_step, self._steps_seen))

    def _rehearse(self, trainer: Trainer, pl_module: LightningModule, outputs: Any = None, batch: Any = None) -> None:
        """Run one batch of real images through all that a measurement does, and forget it; no collective.

        With the generated images that belong to it, if such are measured.
        """
        self._is_paired = self._takes_batches(pl_module)
        with self._rehearsal.attempt(), _aside(), evaluating(pl_module):
            if isinstance(self.real, DataLoader):
                self._feed.read(self.real, self.image_key, self.seed, lambda n: None, most=1)  # noqa: ARG005
                self._refuse_too_few(trainer, known_number(self.real, self.metric.num_samples("real")))
            if batch is not None:
                self._look_at(trainer, batch)
                self._take(trainer, pl_module, outputs, batch)
        with _aside():
            self._feed.start()

    def _rehearse_generation(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Generate one batch, and forget it; no collective. What fails in the sanity check is tried once more."""
        n = min(self.batch_size, self.num_samples)
        attempt = suppress(Exception) if trainer.sanity_checking else self._rehearsal.attempt()
        with attempt, _aside(), evaluating(pl_module):
            with self.weights_context(pl_module):
                self._feed.fake(self._draw(trainer, pl_module, n, self.seed), torch.arange(n))
            self._rehearsal.has_generated = True
        with _aside():
            self._feed.start()

    def _look_at(self, trainer: Trainer, batch: Any) -> None:
        """Raise, before anything is generated, where a validation batch holds no images or there are too few."""
        if self.real == "val" and not self.metric.is_frozen:
            images = find_images(batch, self.image_key)
            as_uint8(images, self.value_range, "real images")
            loader, most = loader_of(trainer), most_batches(trainer)
            self._refuse_too_few(trainer, known_number(loader, len(images), most, trainer.world_size))

    def _measure(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Measure outside of validation."""
        with evaluating(pl_module):
            with _aside():
                self._start(trainer)
            self._generate(trainer, pl_module)
        self._conclude(trainer, pl_module, step)

    def _conclude(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Compute on every rank, and log at the step."""
        self._has_measured = True
        with _aside(), recorded_warnings(give_on=True) as warned:
            if not self.refresh_real:
                self.metric.freeze_real()
            values = possible_values(self.metric, _warn) if _dev_run(trainer) else self.metric.compute()
            self._review(trainer)
        self._log(trainer, pl_module, values, step)
        if self._reporter and values:
            self._reporter.say(warned)
            with _aside():
                self._write_report(trainer, pl_module, values, step)

    def _start(self, trainer: Trainer) -> None:
        self._feed.start()
        if isinstance(self.real, DataLoader) and not self.metric.is_frozen:
            most = _dev_run(trainer) or None
            with sampling_bar(trainer.progress_bar_callback, most or length_hint(self.real), "Real images") as advance:
                self._feed.read(self.real, self.image_key, self.seed, advance, most)

    def _generate(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._must_generate = False
        mine = list(
            chunks(self._num_samples(trainer), self.batch_size, trainer.global_rank, trainer.world_size, self.seed)
        )
        bar = sampling_bar(trainer.progress_bar_callback, sum(chunk.size for chunk in mine))
        with _aside(), self.weights_context(pl_module), bar as advance:
            for chunk in mine:
                self._feed.fake(self._draw(trainer, pl_module, chunk.size, chunk.seed), chunk.index)
                advance(chunk.size)

    def _draw(self, trainer: Trainer, pl_module: LightningModule, n: int, seed: int, batch: Any = None) -> Tensor:
        with trainer.precision_plugin.forward_context():
            return self.sampler.draw(pl_module, n, seed, batch)

    def _take(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any) -> None:
        takes_real = self.real == "val" and not self.metric.is_frozen
        if not (takes_real or self._is_paired):
            return
        fakes = None if self.fake_key is None or is_dropped(batch) else find_fakes(outputs, self.fake_key)
        images = find_images(batch, self.image_key) if takes_real or fakes is None else fakes
        index, keep = self._feed.place(source_of(trainer), len(images))
        if not keep.any():
            return
        if takes_real:
            self._feed.real(images, index, keep)
        if fakes is not None:
            drawn = as_uint8(fakes, self.sampler.value_range, "fake_key", len(images), self.sampler.reach)
            self._feed.fake(drawn[keep], index[keep])
        elif self._is_paired:
            self._generate_for(trainer, pl_module, batch, index, keep & self._feed.first(self._num_samples(trainer)))

    def _generate_for(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, index: Tensor, keep: Tensor
    ) -> None:
        if keep.any():
            with self.weights_context(pl_module):
                images = self._draw(trainer, pl_module, len(keep), seed_of(self.seed, int(index[0])), batch)
            self._feed.fake(images[keep], index[keep])

    def _review(self, trainer: Trainer) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            _warn(idle_average_warning(_callbacks(trainer), trainer.lightning_module))
        _warn(self._feed.warning())
        if self._is_paired and not _dev_run(trainer):
            _warn(shortfall_warning(self.num_samples, int(Signature.parse(self.metric.signature()).fake)))

    def _log(self, trainer: Trainer, pl_module: LightningModule, values: dict[str, Tensor], step: int) -> None:
        prefix, finite = self._prefix(trainer), {}
        for key, value in values.items():
            if value.isfinite():
                finite[prefix + key] = _on(pl_module.device, value)
            else:
                refuse_non_finite(prefix + key, [*_callbacks(trainer), *trainer.lr_scheduler_configs])
                _warn(f"{prefix + key} is not finite: it is not logged this time.")
        shown = prefix + next(iter(values), "") if self.prog_bar else None
        if trainer.training:
            log_in_training(trainer, finite, shown, step)
        else:
            for key, value in finite.items():
                pl_module.log(key, value, prog_bar=key == shown, sync_dist=True)
        if trainer.is_global_zero and values:
            self._log_images(trainer, prefix, step)

    def _log_images(self, trainer: Trainer, prefix: str, step: int) -> None:
        if len(self.samples):
            image_log.log_images(trainer.loggers, f"{prefix}samples", self.samples, step)
        if not self._is_signed:
            image_log.log_text(trainer.loggers, f"{prefix}signature", self.metric.signature(), step)
            image_log.log_hyperparameter(trainer.loggers, f"{prefix}signature", self.metric.signature())
            self._is_signed = True

    def _write_report(self, trainer: Trainer, pl_module: LightningModule, values: dict[str, Tensor], step: int) -> None:
        assert self._reporter
        folder, stage = trainer.log_dir or trainer.default_root_dir, _stage(trainer)
        source = loader_of(trainer) if self.real == "val" else self.real
        side, in_place = self._reporter.thumbnails.side, self._feed.in_place
        find = finder(source, self.image_key, self.value_range, side, in_place=in_place)
        self._reporter.note(trainer.current_epoch, step, values, self.metric, find, trainer.is_global_zero)
        if trainer.is_global_zero:
            path = self._reporter.path(folder, stage)
            others = [c._reporter for c in _monitors(trainer) if c._reporter]
            sharing = [other for other in others if other.path(folder, stage) == path]
            self._reporter.write(path, sharing, f"What {type(pl_module).__name__} generates")

    def _prefix(self, trainer: Trainer) -> str:
        return self._test_prefix if trainer.testing else self.prefix

    @property
    def _test_prefix(self) -> str:
        return "test" + self.prefix.removeprefix("val") if self.prefix.startswith("val") else f"test/{self.prefix}"

    @property
    def _test_keys(self) -> dict[str, str]:
        return {self._test_prefix + key: self.prefix + key for key in self.metric.keys}


@contextmanager
def _aside() -> Iterator[None]:
    """Leave no trace: no randomness used up, no gradients, no inference tensors, which training could not use."""
    with isolated_rng(), torch.inference_mode(False), torch.no_grad():
        yield


def _on(device: torch.device, value: Tensor) -> Tensor:
    return value.to(device, torch.float32 if device.type == "mps" else value.dtype)


def _dev_run(trainer: Trainer) -> int:
    """Return how many batches ``fast_dev_run`` takes; 0 in a run in earnest."""
    return int(trainer.fast_dev_run)  # pyright: ignore[reportAttributeAccessIssue]


def _callbacks(trainer: Trainer) -> list[Callback]:
    return trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]


def _monitors(trainer: Trainer) -> list[GenerationMonitor]:
    return [callback for callback in _callbacks(trainer) if isinstance(callback, GenerationMonitor)]


def _stage(trainer: Trainer) -> str:
    return trainer.state.fn.value  # pyright: ignore[reportOptionalMemberAccess]


def _warn(message: str | None) -> None:
    if message:
        rank_zero_warn(message)


_FOREIGN = (
    "GenerationMonitor: expected a Trainer of lightning.pytorch, got {}. Remedy: import lightning.pytorch in place of "
    "pytorch_lightning, everywhere."
)
_NO_BATCH = (
    "Rank {} had no validation batch: its images are generated at the end of the epoch, when an EMA callback may have "
    "put the raw weights back. Remedy: at least as many validation batches as ranks."
)
