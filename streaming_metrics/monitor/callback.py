"""GenerationMonitor: generates, measures and logs while a model trains. The only door to Lightning.

    Trainer(callbacks=[GenerationMonitor([FID(), PRDC()], sample="sample", num_samples=10_000)])

Hooks are thin: what they call knows no Lightning.
"""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.data import DataLoader

try:
    from lightning.pytorch import Callback as Callback
    from lightning.pytorch import LightningModule as LightningModule
    from lightning.pytorch import Trainer as Trainer
except ModuleNotFoundError as error:
    raise ImportError(
        f"GenerationMonitor: expected the package lightning, got {error}. Remedy: pip install lightning, and import "
        "lightning.pytorch in place of pytorch_lightning, whose Trainer is another one."
    ) from error

from streaming_metrics import GenerativeMetrics
from streaming_metrics.images.batches import Key
from streaming_metrics.images.columns import COLUMNS
from streaming_metrics.images.image_sampler import ImageSampler
from streaming_metrics.images.ranges import Reach
from streaming_metrics.monitor.checks import refuse, refuse_twice, refuse_undecided, sharding_warning
from streaming_metrics.monitor.clock import At
from streaming_metrics.monitor.deciding import Decider
from streaming_metrics.monitor.kept_evidence import KeptEvidence
from streaming_metrics.monitor.kept_samples import KeptSamples
from streaming_metrics.monitor.measurement import Measurement
from streaming_metrics.monitor.named_samplers import named_samplers, refuse_mixed
from streaming_metrics.monitor.paired import PairedMetrics
from streaming_metrics.monitor.rehearsal import refuse_uncallable
from streaming_metrics.monitor.reporter import Reporter
from streaming_metrics.monitor.schedule import Schedule
from streaming_metrics.monitor.settings import Settings, refuse_conditional
from streaming_metrics.monitor.sides import refuse_sides
from streaming_metrics.monitor.trainer import Run
from streaming_metrics.monitor.value_log import ValueLog
from streaming_metrics.monitor.variants import Variant, beside_each_other
from streaming_metrics.sampling import isolated_rng

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from streaming_metrics.core.given_metrics import MetricsGiven
    from streaming_metrics.core.references import References
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.measures.registry import MeasuresGiven


class GenerationMonitor(Callback):
    """Callback that measures generated images against real ones while a model trains, alike on any number of ranks.

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
        measures: e.g. ``[FID(), KID(), IS(), PRDC()]``; or ``"fid,kid,is,prdc"``. With ``[FVD(), JEDi()]`` and a
            network of clips, all that is said of images here goes for clips ``(N, T, 3 or 1, H, W)``: of samplers,
            loaders and steps; logs and reports show their first, middle and last frames.
        extractor: a name, an :class:`Extractor`, or any ``nn.Module`` from uint8 images to ``(N, D)``. Several networks
            by name, ``{"inception": "inception-v3", "dino": …}``, look at the same images, generated once: a measure
            reads the first unless it says ``on="dino"``.
        sample: a method's name, ``method(n)``, or a callable ``(pl_module, n)``, to ``(n, 3 or 1, H, W)``, PIL images,
            arrays with channels last, or a pipeline's output; ``"sample"`` by default. It may return a pair, ``(images,
            {"labels": labels})``. If it has a parameter ``batch``, it is called at every validation batch instead, with
            that batch and its number of images, until there are ``num_samples``: conditions come from the batch, so
            do labels by default, and the images depend on how many ranks there are.
            Several samplers by name, ``{"cfg=1": fn1, "cfg=3": fn2}``, are measured against the same real side, which
            is read once, from the same seeds: under ``val/cfg=1/fid`` and ``val/cfg=3/fid``, in one report, with a
            signature each; ``keep_samples=`` and ``keep_evidence=`` get a folder of each. The samples of one are held
            at a time but in the first measurement against validation images, and where samplers take a batch.
        fake_key: instead of ``sample``, where the generated images are in the outputs of ``validation_step``: a key, a
            position, or a callable from the outputs, to images or such a pair; labels are the batch's by default. For
            reconstructions, image to image, and sharded models.
        real: ``"val"``, the validation images (of the first dataloader); a reference file, or a list with one of each
            network; or a ``DataLoader`` that is the same on every rank.
        train: training images, for measures that ask for them (:class:`~streaming_metrics.AuthPct`): a reference, or a
            ``DataLoader``, as for ``real``; read before the first measurement, and kept.
        heldout: real images that the model was not trained on, for measures that hold those beside training images
            (:class:`~streaming_metrics.CTScore`, :class:`~streaming_metrics.FLD`): given, read and kept as ``train``.
        image_key: where the images are in a batch: a key, a position, a callable, or ``"auto"``: the only part that
            looks like images.
        label_key: where their labels are, one integer an image, for measures that read them
            (:class:`~streaming_metrics.IntraFID`): a key, a position or a callable.
        paired: metrics of torchmetrics between the generated image of a validation item and the real one, ``["psnr",
            "ssim", "ms-ssim", "mse", "rmse", "lpips", "paired-sharpness"]``, any other instance of ``(preds,
            target)``, or a dict of either by key. They take what is measured (uint8) as float32 in [0, 1]:
            ``data_range=1.0``. With ``fake_key``, or a sample with a parameter ``batch``: reconstructions,
            super-resolution, image to image.
        captioned: metrics of torchmetrics of generated images, uint8, and their captions: ``["clip-score"]``, or any
            instance of ``(images, captions)``.
        caption_key: where captions are in a batch, for these and for measures that read them (``FID(captions=True)``);
            else they come beside images, ``(images, {"captions": [str, …]})``.
        through: metrics of torchmetrics of a generator: ``["ppl"]``, or instances; every rank computes the same.
        generator: that generator: a part of the module by name, or a callable from the module; ``sample(n)`` returns
            latents ``(n, z)``, and calling it with them float images.
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
            neighbours, modes, units that tell the sides apart and a map of features; measures that bind
            (``PRDC(recall=False)``, NDB) then keep them too. Of the generated images 256 small copies a rank are kept;
            real ones are read again. Where images come from ``sample`` and the model has a method
            ``interpolate(ways, steps)`` to images ``(ways, steps, 3 or 1, H, W)``, ways between samples. Monitors with
            one path share a report: raw weights beside their average, say. Needs matplotlib.
        keep_samples: a folder that keeps the first generated images of every measurement of a training for people to
            judge: ``epoch=03-step=450/0000.png``, with the step of checkpoints. They come from the same noise
            (of a sampler with a parameter ``batch`` from the first batches), so that image k is comparable through the
            epochs, and are written whole or not at all, by the first rank, of its own images. A folder of them is what
            ``streaming-metrics study new STUDY.toml --epochs FOLDER`` takes.
        keep_evidence: a folder that keeps, for every measurement of a training, its scores and what they are compared
            by: ``epoch=03-step=450.json``, at most 67 KB a score that has evidence (``FID(se=True)``). Which of two
            epochs is better, of one run or of two with the same seeds, says ``streaming-metrics test A.json B.json``.
        keep: how many samples.
        decide: the score that decides whether an epoch is better than the best so far, by the name of its key; its
            measure must know each sample's influence: ``"fid"`` with ``FID(se=True)``, ``"kid"`` with ``KID(se=True)``.
            The first epoch is measured in full. Later ones are looked at on the way, at numbers of samples that double
            up to ``num_samples``, by bias-corrected differences to the best of the same seeds and as many samples, and
            generation stops once that tells them apart; a better one goes on for one look more, and is from then on
            what is compared with, at its looks. Logged beside the usual values, which are then of the samples used:
            ``<key>_verdict``, 1 for better, −1 for worse, 0 for undecided or the first; ``<key>_samples``; and
            ``<key>_decided``, which falls (rises, where higher is better) on a verdict alone, by the difference told:
            what a ``ModelCheckpoint`` or ``EarlyStopping`` must monitor. It keeps noise from being followed and saves
            samples. It does not find the optimum of a curve that still improves: epochs that are undecided may be
            better or worse by less than can be told. Not with images that come batch by batch.
        alpha: how often a verdict, better or worse, is told between epochs that do not differ.
        alpha_over: whether that is of one ``"comparison"``, all of its looks together, or of the whole ``"training"``,
            where each of its comparisons has a share.
        rescore: how many of the best epochs to measure again when a fit ends: ``num_samples`` each, all from the same
            new seeds, so that neither the samples nor the luck that ranked them count. Their weights, as sampling saw
            them, wait in the CPU's memory; the module ends with its own. The table is printed, and in the report.
        metric_options: more options of :class:`GenerativeMetrics`: ``weights``, ``resize``, ``tag``, ``timeout``, …

    Attributes:
        settings: the arguments, checked.
        metric: the :class:`GenerativeMetrics` of this run; ``metric.signature()`` says how the numbers came about.
        decider: what decides; ``decider.log.words()`` tells all verdicts so far. None without ``decide=``.
        variants: the samplers, each with its ``decider``, ``reporter`` and ``pictures``, in the order given;
            ``sampler``, ``decider`` and ``samples`` are those of the first.

    Raises:
        ValueError: for arguments that contradict each other; at the start of ``fit``, where the model has no such
            method, nothing would ever be measured, or a checkpoint, stop or scheduler would act on an old value.
        NotEnoughSamples: before anything is generated, where a measure is not defined on so few images.

    Example:
        >>> import torch
        >>> from streaming_metrics import FID
        >>> monitor = GenerationMonitor([FID()], torch.nn.Flatten(), num_samples=100, tag="pixels", num_features=192)
        >>> monitor.keys
        ('val/fd_pixels',)
    """

    def __init__(
        self,
        measures: MeasuresGiven,
        extractor: str | Extractor | nn.Module | Mapping[str, Any] = "inception-v3",
        sample: str | Callable[..., Any] | Mapping[str, str | Callable[..., Any]] | None = None,
        *,
        fake_key: Key | None = None,
        real: References | DataLoader[Any] = "val",
        train: References | DataLoader[Any] | None = None,
        heldout: References | DataLoader[Any] | None = None,
        image_key: Key = "auto",
        label_key: Key | None = None,
        paired: MetricsGiven | None = None,
        captioned: MetricsGiven | None = None,
        caption_key: Key | None = None,
        through: MetricsGiven | None = None,
        generator: str | Callable[[LightningModule], Any] | None = None,
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
        keep_samples: str | Path | None = None,
        keep_evidence: str | Path | None = None,
        keep: int = 64,
        decide: str | None = None,
        alpha: float = 0.05,
        alpha_over: Literal["comparison", "training"] = "comparison",
        rescore: int = 0,
        **metric_options: Any,
    ) -> None:
        super().__init__()
        refuse(sample is not None and fake_key is not None, "sample= and fake_key=: expected one of them, got both.")
        named = named_samplers(sample)
        refuse(len(named) > 1 and through is not None, _THROUGH)
        self.settings = Settings.checked(
            fake_key=fake_key,
            real=real,
            train=train,
            heldout=heldout,
            image_key=image_key,
            label_key=label_key,
            caption_key=caption_key,
            generator=generator,
            num_samples=num_samples,
            batch_size=batch_size,
            seed=seed,
            value_range=value_range,
            sample_range=sample_range,
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            prefix=prefix,
            log_images=log_images,
            weights_context=weights_context or nullcontext,
            refresh_real=refresh_real,
            keep_samples=keep_samples,
            keep_evidence=keep_evidence,
            keep=keep,
            decide=decide,
            alpha=alpha,
            alpha_over=alpha_over,
            rescore=rescore,
        )
        self.prog_bar = prog_bar
        kept = {"bind_limit": 0} if report else {}  # its gallery looks at features, which measures that bind let go
        with isolated_rng():
            self._blank = GenerativeMetrics(
                measures,
                extractor,
                value_range=self.settings.value_range,
                reference=self.settings.references,
                **{"name": prefix, **kept, **metric_options},
            )
            self._blank_beside = PairedMetrics(paired, captioned, through)
        needed = tuple(column for column in COLUMNS if self._blank.readers("fake", column))
        self._blank_beside.refuse_contradictions(self._blank.keys, self.settings, "captions" in needed)
        refuse_sides(self._blank, self.settings)
        self._blank_beside.declare()
        takes = self._blank.takes
        self._blank_beside.refuse_clips(takes)
        ranges = self.settings.sample_range
        self.variants = tuple(
            self._variant(ImageSampler(one, ranges, Reach(), needed, caption_key, takes, name), report)
            for name, one in named.items()
        )
        self._begin(self._blank, self._blank_beside)
        self._state_key = self._generate_state_key(keys=self.keys)

    def __getattr__(self, name: str) -> Any:
        """Return a setting: arguments are attributes too."""
        settings = vars(self).get("settings")
        if settings is None or name not in vars(settings):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(settings, name)

    @property
    def metric(self) -> GenerativeMetrics:
        """The metric of this run."""
        return self._measurement.metric

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that a measurement logs; checkpoints and early stopping may monitor one of them."""
        return self._keys_in("fit")

    @property
    def samples(self) -> Tensor:
        """This rank's first images of the first sampler, ``(≤ log_images, 3, H, W)`` uint8."""
        return self.variants[0].pictures.shown[: self.settings.log_images]

    @property
    def sampler(self) -> ImageSampler:
        """The first sampler."""
        return self.variants[0].sampler

    @property
    def decider(self) -> Decider | None:
        """What decides; of the first sampler."""
        return self.variants[0].decider

    @property
    def state_key(self) -> str:
        """The name that tells the monitors of one trainer apart; Lightning reads it at every hook."""
        return self._state_key

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Keep a report's values, and the best so far, so that a run that is resumed goes on with them."""
        # No state_dict: with one, Lightning refuses two monitors before refuse_twice says why.
        for name, prefix, keeper in self._keepers():
            checkpoint.setdefault(name, {})[prefix] = keeper.state_dict()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take up what :meth:`on_save_checkpoint` kept."""
        for name, prefix, keeper in self._keepers():
            kept = checkpoint.get(name, {}).get(prefix)
            if kept and Run(trainer, pl_module).stage == "fit":  # others only look at its weights
                keeper.load_state_dict(kept)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check what can be known before any work, and start from no samples, on the trainer's device."""
        refuse(not isinstance(trainer, Trainer), _FOREIGN.format(type(trainer)))
        refuse_twice(_monitors(trainer))
        run = Run(trainer, pl_module)
        if self.settings.fake_key is None:
            samplers = [variant.sampler for variant in self.variants]
            for sampler in samplers:
                refuse_uncallable(sampler.bind(pl_module), sampler.source, sampler.is_conditional(pl_module))
            refuse_mixed(samplers, pl_module)
            run.warn(sharding_warning(trainer.strategy))
            refuse_conditional(self.settings, samplers[0].is_conditional(pl_module))
        blank, beside = deepcopy(self._blank), deepcopy(self._blank_beside)
        self._begin(blank.to(run.device), beside.to(run.device), run.rank, run.world_size)
        beside.refuse_unpaired(self._measurement.is_paired(pl_module), caption_key=self.settings.caption_key)
        self._measurement.refuse_too_few(run)
        if stage == "fit":
            self._schedule.set(run, self._measurement.is_paired(pl_module))
        for variant in self.variants:
            if variant.reporter:
                variant.reporter.begin(run.stage, variant.settings.prefix_in(run.stage).strip("/"))

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a training whose first images went wrong, on every rank."""
        self._measurement.rehearsal.conclude(Run(trainer, pl_module).agree)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check who will act on the values."""
        run, has_own_weights = Run(trainer, pl_module), self.settings.weights_context is not nullcontext
        self._schedule.set(run, self._measurement.is_paired(pl_module))
        self._schedule.begin(run, self.keys, dict(zip(self._keys_in("test"), self.keys)), has_own_weights)
        for variant in self.variants:
            if variant.decider:
                variant.decider.begin(self._schedule.measurements(run))
                decided = variant.settings.prefix + variant.decider.keys[-1]
                refuse_undecided(run.deciding, {*self._keys_of(variant, "fit")} - {decided}, decided)
        self._must_rehearse = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Rehearse before the first step what is left: by now all is there that is made when training starts."""
        if self._must_rehearse:
            self._must_rehearse = False
            self._measurement.rehearse_rest(Run(trainer, pl_module))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Measure, where ``every_n_train_steps`` rules; checkpoint callbacks come last, and see the value."""
        run = Run(trainer, pl_module)
        if self._schedule.is_due(run, At.BATCH):
            self._measurement.measure(run)
            self._conclude(run)
        self._schedule.pass_batch(run)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, where there is no validation."""
        run = Run(trainer, pl_module)
        if self._schedule.is_due(run, At.EPOCH):
            self._measurement.measure(run)
            self._conclude(run)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so where nothing was measured; tell the verdicts of the training."""
        self._schedule.end(Run(trainer, pl_module))
        for variant in self.variants:
            if variant.decider and variant.decider.log.lines:
                self._tell(Run(trainer, pl_module), variant, variant.decider)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Leave the device to others."""
        self.metric.to("cpu")
        self._measurement.beside.to("cpu")
        for variant in self.variants:  # where an error ended a measurement
            variant.aside = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last epoch's images; read the real ones if a dataloader has them."""
        run = Run(trainer, pl_module)
        if self._schedule.is_due(run):
            self._measurement.start(run)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        """Generate, at the first batch: by now an EMA callback has swapped its weights in, whatever the order."""
        self._measurement.generate_at(Run(trainer, pl_module), batch)

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
        run, measurement = Run(trainer, pl_module), self._measurement
        if dataloader_idx != 0:
            return
        if run.is_sanity_check and not measurement.rehearsal.is_done:
            measurement.rehearse(run, outputs, batch)
            measurement.rehearse_generation(run)
        if self._schedule.is_due(run):
            measurement.take(run, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute on every rank, and log."""
        run = Run(trainer, pl_module)
        if self._schedule.is_due(run):
            self._measurement.generate_late(run)
            self._conclude(run)

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _variant(self, sampler: ImageSampler, report: bool | str | Path) -> Variant:
        """Return what belongs to one sampler."""
        settings = self.settings.of(sampler.name)
        reporter = Reporter(report, settings.prefix.strip("/")) if report else None
        decider = Decider(settings, self._blank) if settings.decide is not None else None
        return Variant(sampler.name, settings, sampler, reporter, decider)

    def _begin(self, metric: GenerativeMetrics, beside: PairedMetrics, rank: int = 0, world_size: int = 1) -> None:
        """Begin a run: nothing is measured, logged or rehearsed."""
        self._measurement = Measurement(self.settings, self.variants, metric, rank, world_size, beside, self._keep)
        self._schedule, self._must_rehearse = Schedule(self.settings), False
        self._logs = [ValueLog(self.prog_bar and variant is self.variants[0]) for variant in self.variants]

    def _conclude(self, run: Run) -> None:
        """Compute on every rank, log at the step, and report."""
        self._schedule.has_measured = True
        self._measurement.conclude(run)
        for variant, log in zip(self.variants, self._logs):
            prefix, shown = variant.settings.prefix_in(run.stage), variant.pictures.shown[: self.settings.log_images]
            assert variant.measured
            log.log(run, variant.measured.values, prefix, self._schedule.step(run), shown, variant.measured.signature)
        self._report(run)

    def _keep(self, run: Run, variant: Variant, values: Mapping[str, Tensor], warned: Sequence[str]) -> None:
        """Keep what was measured of a sampler's images, which are at hand; collective."""
        settings, decider = variant.settings, variant.decider
        if settings.keep_evidence is not None:
            by_batch = self._measurement.is_paired(run.module)
            KeptEvidence(Path(settings.keep_evidence), settings, by_batch).keep(run, values, self.metric)
        if settings.keep_samples is not None:
            KeptSamples(Path(settings.keep_samples), settings.keep).keep(run, variant.pictures.shown)
        if variant.reporter and values:
            verdicts = decider.log.words() if decider and run.stage == "fit" else ""
            step = self._schedule.step(run)
            variant.reporter.note(run, values, step, self._measurement, warned, variant.ways, verdicts)

    def _report(self, run: Run) -> None:
        """Write the reports of all samplers, once each."""
        reporters = [one for monitor in _monitors(run.trainer) for one in monitor._reporters]
        for reporter in self._reporters[:1]:
            reporter.write(run, reporters, partial(beside_each_other, self.variants))

    def _tell(self, run: Run, variant: Variant, decider: Decider) -> None:
        """Measure the best epochs again if so asked, and tell the verdicts of a training; collective."""
        try:
            self._measurement.measure_again(run, variant)
        finally:  # a model that no longer samples takes no verdict away
            run.trainer.print(*filter(None, [variant.name]), decider.log.words(), sep="\n")
        if variant.reporter and decider.log.rescored:
            variant.reporter.history.about.append(("re-scored", decider.log.rescored))
            self._report(run)

    @property
    def _reporters(self) -> list[Reporter]:
        return [variant.reporter for variant in self.variants if variant.reporter]

    def _keepers(self) -> Iterable[tuple[str, str, Any]]:
        """Yield what a checkpoint keeps: under which name and prefix, and what has its state."""
        for variant in self.variants:
            if variant.reporter:
                yield "GenerationMonitor", variant.settings.prefix, variant.reporter.training
            if variant.decider:
                yield DECIDED, variant.settings.prefix, variant.decider

    def _keys_in(self, stage: str) -> tuple[str, ...]:
        return tuple(key for variant in self.variants for key in self._keys_of(variant, stage))

    def _keys_of(self, variant: Variant, stage: str) -> tuple[str, ...]:
        decided = variant.decider.keys if variant.decider and stage == "fit" else ()
        keys = (*self.metric.keys, *self._measurement.beside.keys, *decided)
        return tuple(variant.settings.prefix_in(stage) + key for key in keys)


def _monitors(trainer: Trainer) -> list[GenerationMonitor]:
    callbacks = Run(trainer, trainer.lightning_module).callbacks
    return [callback for callback in callbacks if isinstance(callback, GenerationMonitor)]


DECIDED = "GenerationMonitor.decide"
"""Where a checkpoint keeps the best so far."""
_THROUGH = (
    "through=: expected one sampler, since it measures the generator whatever draws from it, got several. Remedy: a "
    "monitor of its own, with another prefix=."
)
_FOREIGN = (
    "GenerationMonitor: expected a Trainer of lightning.pytorch, got {}. Remedy: import lightning.pytorch in place of "
    "pytorch_lightning, everywhere."
)
