"""GenerationMonitor: every validation epoch, generate, measure, log. The only door to Lightning.

    Trainer(callbacks=[GenerationMonitor([FID(), PRDC()], sample="sample", num_samples=10_000)])

Hooks are thin: what they call knows no Lightning.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from operator import length_hint
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader

from streaming_metrics import GenerativeMetrics, Signature
from streaming_metrics.batches import Key, as_uint8, find_fakes, find_images, is_dropped
from streaming_metrics.extractors.preprocess import checked_range
from streaming_metrics.monitoring import image_log
from streaming_metrics.monitoring.averaging import idle_average_warning
from streaming_metrics.monitoring.checks import (
    refuse,
    refuse_non_finite,
    refuse_stale,
    refuse_twice,
    repeats_warning,
    sharding_warning,
    shortfall_warning,
)
from streaming_metrics.monitoring.feed import Feed
from streaming_metrics.monitoring.generation import Sampler
from streaming_metrics.monitoring.progress import sampling_bar
from streaming_metrics.monitoring.ranges import Reach
from streaming_metrics.monitoring.reporter import Reporter, finder
from streaming_metrics.sampling import chunks, isolated_rng, sampler_of, seed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor, nn

    from streaming_metrics import Measure, Reference
    from streaming_metrics.extractors.base import Extractor


class GenerationMonitor(Callback):
    """Measures generated images against real ones every validation epoch, the same on any number of ranks.

    Images are generated at the first validation batch, so with whatever weights are then active (an EMA callback may
    come before or after this one), in the trainer's precision, from seeds that are the same every epoch and do not
    depend on the number of ranks. Randomness is isolated, and modes, buffers and generators of the model are put back:
    training goes on bit by bit as without the monitor. ``DistributedSampler``'s padding is not counted, whether an item
    is an image, a clip or a batch; where it cannot be told from images, several ranks are refused. The network belongs
    to this callback, never to the module, and the checkpoint holds nothing of it but a report's values. A test run is
    measured alike, under ``test/``.

    Args:
        measures: e.g. ``[FID(), KID(), IS(), PRDC()]``.
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
        ValueError: for arguments that contradict each other; in ``setup``, where the model has no such method, or a
            checkpoint or early stopping would act on an old value.

    Example:
        >>> from streaming_metrics import FID
        >>> monitor = GenerationMonitor([FID()], torch.nn.Flatten(), num_samples=100, tag="pixels", num_features=192)
        >>> monitor.keys
        ('val/fd_pixels',)
    """

    def __init__(
        self,
        measures: Sequence[Measure],
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
        refuse(min(num_samples, batch_size, every_n_epochs) < 1, "num_samples, batch_size, every_n_epochs must be ≥ 1.")
        declared = value_range if sample_range is None else checked_range(sample_range)
        self.sampler = Sampler(sample or "sample", declared, Reach())
        self.fake_key, self.real, self.image_key, self.value_range = fake_key, real, image_key, value_range
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.every_n_epochs, self.prefix, self.prog_bar, self.log_images = every_n_epochs, prefix, prog_bar, log_images
        self.weights_context, self.refresh_real = weights_context or nullcontext, refresh_real
        self._reporter = Reporter(report, prefix.strip("/")) if report else None
        with isolated_rng():
            self._blank = GenerativeMetrics(
                measures, extractor, value_range=value_range, reference=reference, **metric_options
            )
        self._begin(self._blank)

    @property
    def keys(self) -> tuple[str, ...]:
        """What a measured validation epoch logs; checkpoints and early stopping may monitor one of them."""
        return tuple(self.prefix + key for key in self.metric.keys)

    @property
    def samples(self) -> Tensor:
        """This rank's first images of the latest epoch, ``(≤ log_images, 3, H, W)`` uint8."""
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
        if self._reporter and kept:
            self._reporter.story.load_state_dict(kept)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check what the trainer will do with the values, and start from no samples, on the trainer's device."""
        callbacks = _callbacks(trainer)
        if stage == TrainerFn.FITTING:
            refuse_stale(callbacks, self.keys, self.every_n_epochs, trainer.check_val_every_n_epoch or 1)
        refuse_twice(_monitors(trainer))
        if self.fake_key is None:
            self.sampler.bind(pl_module)
            _warn(sharding_warning(trainer.strategy))
        if self._reporter:
            self._reporter.begin(_stage(trainer), self._prefix(trainer).strip("/"))
        self._begin(deepcopy(self._blank).to(trainer.strategy.root_device), trainer.global_rank, trainer.world_size)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Leave the device to others."""
        self.metric.to("cpu")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last epoch's images; read the real ones if a dataloader has them."""
        is_due = self._is_due(trainer)
        self._is_paired = self.fake_key is not None or self.sampler.is_conditional(pl_module)
        self._must_generate = is_due and not self._is_paired
        if is_due:
            with _aside():
                self._start(trainer)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        """Generate, at the first batch: by now an EMA callback has swapped its weights in, whatever the order."""
        if self._must_generate:
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
        with _aside():
            if not self.refresh_real:
                self.metric.freeze_real()
            values = self.metric.compute()
            self._review()
        self._log(trainer, pl_module, values)
        if self._reporter:
            with _aside():
                self._write_report(trainer, pl_module, values)

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    # What the hooks do.

    def _begin(self, metric: GenerativeMetrics, rank: int = 0, world_size: int = 1) -> None:
        self.metric = metric
        thumbnails = self._reporter.thumbnails if self._reporter else None
        declared = self.sampler.value_range, self.sampler.reach
        self._feed = Feed(metric, rank, world_size, self.value_range, self.log_images, thumbnails, *declared)
        self._is_paired = self._must_generate = self._is_signed = False

    def _is_due(self, trainer: Trainer) -> bool:
        is_epoch = trainer.state.fn != TrainerFn.FITTING or (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return is_epoch and not trainer.sanity_checking

    def _start(self, trainer: Trainer) -> None:
        self._feed.start()
        if trainer.state.fn == TrainerFn.FITTING:
            _warn(idle_average_warning(_callbacks(trainer), trainer.lightning_module))
        if isinstance(self.real, DataLoader) and not self.metric.is_frozen:
            with sampling_bar(trainer.progress_bar_callback, length_hint(self.real), "Real images") as advance:
                self._feed.read(self.real, self.image_key, self.seed, advance)
        if self.real == "val" or self.fake_key is not None:
            _warn(repeats_warning(sampler_of(_loader(trainer)), trainer.world_size))

    def _generate(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._must_generate = False
        mine = list(chunks(self.num_samples, self.batch_size, trainer.global_rank, trainer.world_size, self.seed))
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
        index, keep = self._feed.place(_source(trainer), len(images))
        if not keep.any():
            return
        if takes_real:
            self._feed.real(images, index, keep)
        if fakes is not None:
            drawn = as_uint8(fakes, self.sampler.value_range, "fake_key", len(images), self.sampler.reach)
            self._feed.fake(drawn[keep], index[keep])
        elif self._is_paired:
            self._generate_for(trainer, pl_module, batch, index, keep & self._feed.first(self.num_samples))

    def _generate_for(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, index: Tensor, keep: Tensor
    ) -> None:
        if keep.any():
            with self.weights_context(pl_module):
                images = self._draw(trainer, pl_module, len(keep), seed_of(self.seed, int(index[0])), batch)
            self._feed.fake(images[keep], index[keep])

    def _review(self) -> None:
        _warn(self._feed.warning())
        if self._is_paired:
            _warn(shortfall_warning(self.num_samples, int(Signature.parse(self.metric.signature()).fake)))

    def _log(self, trainer: Trainer, pl_module: LightningModule, values: dict[str, Tensor]) -> None:
        prefix = self._prefix(trainer)
        for number, (key, value) in enumerate(values.items()):
            if value.isfinite():
                shown = self.prog_bar and number == 0
                pl_module.log(prefix + key, _on(pl_module.device, value), prog_bar=shown, sync_dist=True)
            else:
                refuse_non_finite(prefix + key, [*_callbacks(trainer), *trainer.lr_scheduler_configs])
                _warn(f"{prefix + key} is not finite: it is not logged this time.")
        if trainer.is_global_zero:
            self._log_images(trainer, prefix)

    def _log_images(self, trainer: Trainer, prefix: str) -> None:
        # The step that Lightning gives the scalars; global_step counts every optimizer of a GAN.
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        if len(self.samples):
            image_log.log_images(trainer.loggers, f"{prefix}samples", self.samples, step)
        if not self._is_signed:
            image_log.log_text(trainer.loggers, f"{prefix}signature", self.metric.signature(), step)
            image_log.log_hyperparameter(trainer.loggers, f"{prefix}signature", self.metric.signature())
            self._is_signed = True

    def _write_report(self, trainer: Trainer, pl_module: LightningModule, values: dict[str, Tensor]) -> None:
        assert self._reporter
        folder, stage = trainer.log_dir or trainer.default_root_dir, _stage(trainer)
        source = _loader(trainer) if self.real == "val" else self.real
        side, in_place = self._reporter.thumbnails.side, self._feed.in_place
        find = finder(source, self.image_key, self.value_range, side, in_place=in_place)
        self._reporter.note(trainer.current_epoch, values, self.metric, find, trainer.is_global_zero)
        if trainer.is_global_zero:
            path = self._reporter.path(folder, stage)
            others = [c._reporter for c in _monitors(trainer) if c._reporter]
            sharing = [other for other in others if other.path(folder, stage) == path]
            self._reporter.write(path, sharing, f"What {type(pl_module).__name__} generates")

    def _prefix(self, trainer: Trainer) -> str:
        if not trainer.testing:
            return self.prefix
        return "test" + self.prefix.removeprefix("val") if self.prefix.startswith("val") else f"test/{self.prefix}"


@contextmanager
def _aside() -> Iterator[None]:
    """Leave no trace: no randomness used up, no gradients, no inference tensors, which training could not use."""
    with isolated_rng(), torch.inference_mode(False), torch.no_grad():
        yield


def _on(device: torch.device, value: Tensor) -> Tensor:
    return value.to(device, torch.float32 if device.type == "mps" else value.dtype)


def _loader(trainer: Trainer) -> Any:
    # trainer.val_dataloaders would be those of an earlier fit, in a validate that follows it.
    return trainer._evaluation_loop._combined_loader.flattened[0]  # pyright: ignore[reportOptionalMemberAccess]


def _source(trainer: Trainer) -> Any:
    """Return what yields a batch: the first dataloader, or all of them where a batch is of several."""
    combined = trainer._evaluation_loop._combined_loader
    alone = combined._mode == "sequential" or len(combined.flattened) == 1  # pyright: ignore[reportOptionalMemberAccess]
    return _loader(trainer) if alone else combined


def _callbacks(trainer: Trainer) -> list[Callback]:
    return trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]


def _monitors(trainer: Trainer) -> list[GenerationMonitor]:
    return [callback for callback in _callbacks(trainer) if isinstance(callback, GenerationMonitor)]


def _stage(trainer: Trainer) -> str:
    return trainer.state.fn.value  # pyright: ignore[reportOptionalMemberAccess]


def _warn(message: str | None) -> None:
    if message:
        rank_zero_warn(message)


_NO_BATCH = (
    "Rank {} had no validation batch: its images are generated at the end of the epoch, when an EMA callback may have "
    "put the raw weights back. Remedy: at least as many validation batches as ranks."
)
