"""GenerationMonitor in real trainings: numbers, checkpoints, EMA, precision, ranks, and what it leaves untouched."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

import pickle
import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from test_image_log import events
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics, NotEnoughSamples, Signature
from streaming_metrics.images.batches import find_images
from streaming_metrics.measures.base import Inputs, Measure, Roles
from streaming_metrics.monitor import GenerationMonitor
from streaming_metrics.monitor.checks import sharding_warning
from streaming_metrics.sampling import chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
    pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:.*srun.*command is available"),
    pytest.mark.filterwarnings("ignore:.* of them distinct:streaming_metrics.RepeatsWarning"),
]

MEASURES = [FID(), KID(subsets=3, subset_size=6), PRDC(k=2)]
REAL = torch.randint(0, 256, (23, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Pixels(nn.Module):
    """Means of halves of the image: 6 features."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float(), (2, 1)).flatten(1) / 255


class Noisy(Pixels):
    """An extractor that draws."""

    num_features = 6

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 1e-3 * torch.rand(len(images), 6)


class Model(LightningModule):
    """Draws brightened noise; its training uses every source of randomness."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 3 * 8 * 8), nn.Dropout(0.2))

    def sample(self, n: int) -> Tensor:
        return self.layer(torch.randn(n, 4, device=self.device)).sigmoid().view(n, 3, 8, 8)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        drawn = self.sample(len(batch[0])) + 0.1 * np.random.rand() + 0.1 * random.random()
        return (drawn - batch[0] / 255).square().mean()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        return {"reconstruction": find_images(batch).flip(-1), "loss": torch.rand(())}

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def loader(images: Tensor = REAL, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(images), batch_size=options.pop("batch_size", 4), **options)


def monitor(measures: Any = MEASURES, **options: Any) -> GenerationMonitor:
    common = {"extractor": Pixels(), "num_samples": 20, "batch_size": 8}
    return GenerationMonitor(measures, **{**common, **options})


def trainer(*callbacks: Callback, **options: Any) -> Trainer:
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    checkpoints = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    quiet["enable_checkpointing"] = checkpoints
    common = {"accelerator": "cpu", "max_epochs": 2, "num_sanity_val_steps": 0, "log_every_n_steps": 1}
    return Trainer(callbacks=[*callbacks], **{**quiet, **common, **options})


def fit(*callbacks: Callback, model: LightningModule | None = None, real: Any = None, **options: Any) -> Trainer:
    fitted = trainer(*callbacks, **options)
    fitted.fit(model or Model(), loader(shuffle=True), loader() if real is None else real)
    return fitted


def validate(watching: GenerationMonitor, *others: Callback, real: Any = None, **options: Any) -> dict[str, float]:
    seed_everything(0, verbose=False)
    return dict(
        trainer(watching, *others, **options).validate(Model(), loader() if real is None else real, verbose=False)[0]
    )


def expected(fake: Tensor, real: Tensor = REAL, measures: Any = MEASURES, prefix: str = "val/") -> dict[str, float]:
    """Return the values without Lightning."""
    metric = GenerativeMetrics(measures, Pixels())
    metric.update(real, real=True, index=torch.arange(len(real)))
    metric.update(fake, real=False, index=torch.arange(len(fake)))
    return {prefix + key: value.item() for key, value in metric.compute().items()}


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread: OpenMP's pool does not survive a fork."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Counts(Callback):
    """Logs how many samples the monitor before it has counted."""

    def __init__(self, watching: GenerationMonitor) -> None:
        self.watching = watching

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        signature = Signature.parse(self.watching.metric.signature())
        pl_module.log_dict({"real": float(signature.real), "fake": float(signature.fake)}, sync_dist=True)


# The number.


def test_it_is_the_metric_of_the_real_and_the_sampled_images() -> None:
    watching = monitor()
    got = validate(watching)
    seed_everything(0, verbose=False)
    model = Model().eval()
    drawn = [watching.sampler.draw(model, chunk.size, chunk.seed) for chunk in chunks(20, 8, seed=0)]
    assert got == pytest.approx(expected(torch.cat(drawn)), rel=1e-5)
    assert torch.equal(watching.samples, torch.cat(drawn)[:16])


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.usefixtures("forks")
def test_ranks_give_the_single_process_value_on_eleven_images(world_size: int) -> None:
    def run(**options: Any) -> dict[str, float]:
        watching = monitor()
        return validate(watching, Counts(watching), real=loader(REAL[:11]), **options)

    got = run(devices=world_size, strategy="ddp_fork")
    assert (got["real"], got["fake"]) == (11, 20)
    assert got == pytest.approx(run(), rel=1e-5)


@pytest.mark.parametrize("real", ["val", "loader", "shuffled loader", "file"])
@pytest.mark.usefixtures("forks")
def test_ranks_agree_whatever_the_real_side_comes_from(real: str, tmp_path: Path) -> None:
    reference = GenerativeMetrics(MEASURES, Pixels())
    reference.update(REAL[:11], real=True)
    reference.save_reference(tmp_path / "real.safetensors")
    source = {
        "val": "val",
        "file": tmp_path / "real.safetensors",
        "loader": loader(REAL[:11]),
        "shuffled loader": loader(REAL[:11], shuffle=True),
    }[real]

    def run(**options: Any) -> dict[str, float]:
        watching = monitor(real=source)
        return validate(watching, Counts(watching), real=loader(REAL[:11]), **options)

    alone = run()
    assert alone["real"] == 11
    assert run(devices=2, strategy="ddp_fork") == pytest.approx(alone, rel=1e-5)
    assert alone["val/fd_pixels"] == pytest.approx(
        validate(monitor(), real=loader(REAL[:11]))["val/fd_pixels"], rel=1e-6
    )


@pytest.mark.usefixtures("forks")
def test_fakes_from_the_step_follow_the_real_images_on_any_number_of_ranks() -> None:
    def run(**options: Any) -> dict[str, float]:
        watching = monitor(fake_key="reconstruction", num_samples=11)
        return validate(watching, Counts(watching), real=loader(REAL[:11]), **options)

    alone = run()
    assert (alone.pop("real"), alone.pop("fake")) == (11, 11)
    assert alone == pytest.approx(expected(REAL[:11].flip(-1), REAL[:11]), rel=1e-6)
    assert run(devices=2, strategy="ddp_fork") == pytest.approx({**alone, "real": 11, "fake": 11}, rel=1e-5)


@pytest.mark.parametrize("fake_key", ["reconstruction", lambda outputs: outputs["reconstruction"]])
def test_fakes_need_no_real_batch_where_the_reference_is_a_file(fake_key: Any, tmp_path: Path) -> None:
    reference = GenerativeMetrics(MEASURES, Pixels())
    reference.update(REAL, real=True)
    reference.save_reference(tmp_path / "real.safetensors")
    watching = monitor(fake_key=fake_key, real=tmp_path / "real.safetensors", image_key="nowhere")
    assert validate(watching) == pytest.approx(expected(REAL.flip(-1)), rel=1e-6)


def test_a_sampler_with_a_batch_is_asked_for_each_batch_until_there_are_enough() -> None:
    asked = []

    def sample(model: LightningModule, n: int, batch: list[Tensor]) -> Tensor:
        asked.append(n)
        return 255 - batch[0]

    got = validate(monitor(sample=sample, num_samples=10))
    assert asked == [4, 4, 4]
    assert got == pytest.approx(expected(255 - REAL[:10]), rel=1e-6)


@pytest.mark.usefixtures("forks")
def test_training_on_two_ranks_logs_the_same_keys(tmp_path: Path) -> None:
    watching = monitor()
    best = ModelCheckpoint(tmp_path, monitor="val/fd_pixels")
    fitted = fit(watching, best, EarlyStopping("val/fd_pixels"), devices=2, strategy="ddp_fork")
    assert set(watching.keys) <= set(fitted.callback_metrics)


def test_the_test_stage_mirrors_validation() -> None:
    watching, model = monitor(), Model()
    running = trainer(watching)
    validated = running.validate(model, loader(), verbose=False)[0]
    tested = running.test(model, loader(), verbose=False)[0]
    assert tested == pytest.approx({key.replace("val/", "test/"): value for key, value in validated.items()})


def test_a_prefix_of_its_own_has_a_test_prefix_too() -> None:
    tested = trainer(monitor([FID()], prefix="gen/")).test(Model(), loader(), verbose=False)[0]
    assert list(tested) == ["test/gen/fd_pixels"]


def test_real_images_come_from_the_first_dataloader() -> None:
    class Two(Model):
        def validation_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> Any:
            return super().validation_step(batch, batch_idx)

    watching = monitor(fake_key="reconstruction")
    got = trainer(watching).validate(Two(), [loader(), loader(255 - REAL)], verbose=False)[0]
    assert got == pytest.approx(expected(REAL.flip(-1)), rel=1e-6)


def test_each_run_has_real_images_of_its_own() -> None:
    watching, other = monitor([FID()], fake_key="reconstruction"), 255 - REAL
    running = trainer(watching)
    for images in (REAL, other):
        got = running.validate(Model(), loader(images), verbose=False)[0]
        assert got == pytest.approx(expected(images.flip(-1), images, [FID()]), rel=1e-6)


# The schedule.


class Drifting(torch.utils.data.Dataset):
    """Real images that change each time that they are read."""

    reads = 0

    def __len__(self) -> int:
        return len(REAL)

    def __getitem__(self, item: int) -> Tensor:
        self.reads += 1
        return REAL[item] // (1 + (self.reads - 1) // len(REAL))


@pytest.mark.parametrize("refresh", [False, True])
def test_real_images_are_measured_over_the_first_epoch_only(refresh: bool) -> None:
    watching = monitor([FID()], sample=lambda model, n: REAL[:n], refresh_real=refresh)
    fitted = fit(watching, real=DataLoader(Drifting(), batch_size=4))
    assert watching.metric.is_frozen is not refresh
    real = REAL // 2 if refresh else REAL
    drawn = torch.cat([REAL[: chunk.size] for chunk in chunks(20, 8)])
    value = fitted.callback_metrics["val/fd_pixels"].item()
    assert value == pytest.approx(expected(drawn, real, [FID()])["val/fd_pixels"], rel=1e-6)


def test_the_sanity_check_draws_one_batch_that_is_not_counted() -> None:
    drawn = []

    def sample(model: LightningModule, n: int) -> Tensor:
        drawn.append((n, model.trainer.sanity_checking))
        return REAL[:n]

    watching = monitor([FID()], sample=sample)
    fitted = fit(watching, Counts(watching), num_sanity_val_steps=2, max_epochs=1)
    assert drawn == [(8, True), (8, False), (8, False), (4, False)]
    assert (fitted.callback_metrics["real"], fitted.callback_metrics["fake"]) == (23, 20)


def test_it_computes_every_n_epochs() -> None:
    drawn = []

    def sample(model: LightningModule, n: int) -> Tensor:
        drawn.append(model.current_epoch)
        return REAL[:n]

    fit(monitor([FID()], sample=sample, every_n_epochs=2, batch_size=20), max_epochs=5)
    assert drawn == [0, 1, 3], "a rehearsal, then every second epoch"


STALE = [
    (lambda key, path: ModelCheckpoint(path, monitor=key), {}, r"ModelCheckpoint\(every_n_epochs=2\)"),
    (
        lambda key, path: ModelCheckpoint(path, monitor=key, every_n_epochs=3),
        {},
        r"ModelCheckpoint\(every_n_epochs=2\)",
    ),
    (lambda key, path: ModelCheckpoint(path, monitor=key, every_n_train_steps=5), {}, "old value"),
    (lambda key, path: EarlyStopping(key), {}, r"Trainer\(check_val_every_n_epoch=2\)"),
]
FRESH = [
    (lambda key, path: ModelCheckpoint(path, monitor=key, every_n_epochs=2), {}),
    (lambda key, path: ModelCheckpoint(path, monitor=key, every_n_epochs=4), {}),
    (lambda key, path: ModelCheckpoint(path, monitor=key), {"check_val_every_n_epoch": 2}),
    (lambda key, path: EarlyStopping(key), {"check_val_every_n_epoch": 2}),
    (lambda key, path: EarlyStopping("val/other", strict=False), {}),
]


@pytest.mark.parametrize(("make", "options", "remedy"), STALE)
def test_acting_on_an_old_value_is_refused_with_the_remedy(
    make: Any, options: Any, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=remedy):
        fit(monitor([FID()], every_n_epochs=2), make("val/fd_pixels", tmp_path), **options)


@pytest.mark.parametrize(("make", "options"), FRESH)
def test_acting_on_a_fresh_value_is_not(make: Any, options: Any, tmp_path: Path) -> None:
    fit(monitor([FID()], every_n_epochs=2), make("val/fd_pixels", tmp_path), max_epochs=4, **options)


def test_checkpoint_and_early_stopping_act_on_the_key(tmp_path: Path) -> None:
    watching = monitor([FID()], sample=lambda model, n: REAL[:n] // (1 + model.current_epoch))
    best, stop = ModelCheckpoint(tmp_path, "best", monitor="val/fd_pixels"), EarlyStopping("val/fd_pixels", patience=2)
    fitted = fit(best, watching, stop, max_epochs=9)
    assert fitted.current_epoch == 3
    assert torch.load(best.best_model_path, weights_only=False)["epoch"] == 0


# Weights, randomness, memory: what it touches and what it does not.


class Swap(Callback):
    """As an EMA callback does: other weights while validating."""

    def __init__(self, start: str, end: str) -> None:
        setattr(self, start, lambda trainer, model: self.set(model, 2.0))
        setattr(self, end, lambda trainer, model: self.set(model, -2.0))

    def set(self, model: LightningModule, bias: float) -> None:
        with torch.no_grad():
            model.layer[0].bias.fill_(bias)


EPOCH, RUN = ("on_validation_epoch_start", "on_validation_epoch_end"), ("on_validation_start", "on_validation_end")


@pytest.mark.parametrize("hooks", [EPOCH, RUN])
def test_an_ema_callback_may_come_before_or_after(hooks: tuple[str, str]) -> None:
    before, after = validate(first := monitor(), Swap(*hooks)), validate(second := monitor(), Swap(*hooks))
    running = trainer(Swap(*hooks), watching := monitor())
    seed_everything(0, verbose=False)
    got = running.validate(Model(), loader(), verbose=False)[0]
    assert got == before == after
    assert torch.equal(watching.samples, first.samples)
    assert torch.equal(second.samples, first.samples)
    assert first.samples.float().mean() > 180


def test_weights_context_is_active_while_sampling_only() -> None:
    active = []

    @contextmanager
    def brighter(model: LightningModule) -> Iterator[None]:
        active.append(True)
        yield
        active.pop()

    def sample(model: LightningModule, n: int) -> Tensor:
        assert active == [True]
        return REAL[:n]

    validate(monitor([FID()], sample=sample, weights_context=brighter))
    assert active == []


@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
@pytest.mark.parametrize(
    "options", [{}, {"real": loader(shuffle=True)}, {"fake_key": "reconstruction"}, {"extractor": Noisy()}]
)
def test_training_ends_in_the_same_weights_with_and_without_it(options: dict[str, Any]) -> None:
    def weights(*callbacks: Callback) -> dict[str, Tensor]:
        model = Model()
        fit(*callbacks, model=model, real=loader(shuffle=True))
        return model.state_dict()

    seed_everything(1, verbose=False)
    without = weights()
    seed_everything(1, verbose=False)
    watched = weights(monitor(**options))
    assert all(torch.equal(without[name], watched[name]) for name in without)


def test_the_checkpoint_holds_nothing_of_it(tmp_path: Path) -> None:
    extractor = nn.Sequential(nn.Flatten(), nn.Linear(192, 6))
    extractor.register_forward_pre_hook(lambda module, images: images[0].float())
    watching = GenerationMonitor([FID()], extractor, num_samples=20, tag="linear", num_features=6)
    with_it, without = ModelCheckpoint(tmp_path / "a", "x"), ModelCheckpoint(tmp_path / "b", "x")
    model = Model()
    fit(watching, with_it, model=model)
    fit(without)
    saved, plain = (torch.load(c.best_model_path, weights_only=False) for c in (with_it, without))
    assert saved["state_dict"].keys() == plain["state_dict"].keys()
    assert saved["optimizer_states"][0]["param_groups"] == plain["optimizer_states"][0]["param_groups"]
    assert not any("GenerationMonitor" in key for key in saved["callbacks"])
    assert not any("xtractor" in name for name, _ in model.named_modules())


def test_sampling_leaves_no_inference_tensors_behind() -> None:
    class Caching(Model):
        table: Tensor | None = None

        def sample(self, n: int) -> Tensor:
            if self.table is None:
                self.table = torch.ones(3 * 8 * 8)
            return (super().sample(n).flatten(1) * self.table).view(n, 3, 8, 8)

    watching, model = monitor(), Caching()
    trainer(watching).validate(model, loader(), verbose=False)
    watching.metric.update(REAL, real=False)
    fit(model=model)


def test_outputs_made_in_inference_mode_are_taken() -> None:
    watching = monitor([FID()], fake_key="reconstruction")
    validate(watching)
    watching.metric.reset()
    watching.metric.update(REAL, real=False)
    assert watching.metric.compute()["fd_pixels"] >= 0


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.float32), ("bf16-true", torch.bfloat16)])
def test_the_sampler_runs_in_the_trainers_precision_and_the_extractor_in_float32(precision: str, dtype: Any) -> None:
    seen = {}

    class Spy(Pixels):
        def forward(self, images: Tensor) -> Tensor:
            seen["extractor"] = torch.is_autocast_enabled("cpu"), torch.get_default_dtype()
            return super().forward(images)

    def sample(model: LightningModule, n: int) -> Tensor:
        seen["sampler"] = torch.is_autocast_enabled("cpu"), model.layer[0].weight.dtype
        return model.sample(n)

    watching = GenerationMonitor([FID()], Spy(), sample, num_samples=20, num_features=6)
    fitted = fit(watching, precision=precision)
    assert seen == {"extractor": (False, torch.float32), "sampler": (precision == "bf16-mixed", dtype)}
    assert fitted.callback_metrics["val/fd_spy"].isfinite()


def test_it_can_be_pickled_and_used() -> None:
    watching = pickle.loads(pickle.dumps(monitor()))
    assert validate(watching) == validate(monitor())


# What is shown.


def gan_steps(model: LightningModule, batch: list[Tensor], batch_idx: int) -> None:
    for optimizer in model.optimizers():
        optimizer.zero_grad()
        model.manual_backward((model.sample(4) - 1).square().mean())
        optimizer.step()


def test_grid_and_signature_go_to_the_logger_at_the_step_of_the_scalars(tmp_path: Path) -> None:
    class Gan(Model):
        automatic_optimization = False
        training_step = gan_steps

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]

    model = Gan()
    model.automatic_optimization = False
    fit(monitor([FID()]), model=model, logger=TensorBoardLogger(tmp_path, "", ""))
    written = events(tmp_path)
    steps = [event.step for event in written.Scalars("val/fd_pixels")]
    assert [event.step for event in written.Images("val/samples")] == steps
    assert len(written.Tensors("val/signature/text_summary")) == 1
    assert len(steps) == 2


def test_no_grid_where_none_is_wanted(tmp_path: Path) -> None:
    fit(monitor([FID()], log_images=0), logger=TensorBoardLogger(tmp_path, "", ""))
    assert events(tmp_path).Tags()["images"] == []


@pytest.mark.parametrize("bar", [TQDMProgressBar(), RichProgressBar()])
def test_lightnings_own_bar_shows_the_sampling(bar: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fit(monitor([FID()]), bar, enable_progress_bar=True)
    if isinstance(bar, RichProgressBar):
        tasks = [task for task in bar.progress.tasks if task.description == "Sampling"]
        assert [(task.total, task.completed, task.visible) for task in tasks] == [(20, 20, False)] * 2
    else:
        assert "Sampling:" in capsys.readouterr().out
    assert "val/fd_pixels" in bar.get_metrics(bar.trainer, bar.trainer.lightning_module)


# What goes wrong.


def grey(model: LightningModule, n: int) -> Tensor:
    return REAL[:n, :1]


def test_grey_images_count_as_rgb() -> None:
    assert validate(monitor([FID()], sample=grey), real=loader(REAL[:, :1]))["val/fd_pixels"] >= 0


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda model, n: REAL[: n - 1], ValueError, r"Expected 8 images.*got a tensor \(7, 3, 8, 8\)"),
        (lambda model, n: REAL[:n, 0], ValueError, r"Expected 8 images.*got a tensor \(8, 8, 8\)"),
        (lambda model, n: REAL[:n, :2], ValueError, r"got \(8, 2, 8, 8\)"),
        (lambda model, n: REAL[:n].int(), TypeError, "got torch.int32"),
        (lambda model, n: REAL[:n].float(), ValueError, r"value_range=\(0, 1\), got 0 to 255"),
        (lambda model, n: torch.full((n, 3, 8, 8), torch.nan), ValueError, "Expected finite pixels"),
        (lambda model, n: [REAL[:n]], TypeError, "Expected 8 images.*got a list of Tensor"),
        (lambda model, n: None, TypeError, "Expected 8 images.*got None"),
    ],
)
def test_a_sampler_that_returns_something_else_is_told(returned: Any, error: type[Exception], message: str) -> None:
    watching = monitor(sample=returned)
    with pytest.raises(error, match=f"sample=.*lambda.*{message}"):
        validate(watching)
    assert watching.metric.num_samples("fake") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_key": "picture"}, "image_key='picture'.*a list of Tensor"),
        ({"image_key": 3}, "image_key=3.*a list of Tensor"),
        ({"image_key": lambda batch: None}, "image_key=.*lambda.*Expected a tensor"),
        ({"fake_key": "fake"}, "fake_key='fake'.*keys 'reconstruction', 'loss'"),
        ({"fake_key": lambda outputs: outputs["reconstruction"][:1]}, r"fake_key: Expected 4 images.*\(1, 3, 8, 8\)"),
    ],
)
def test_missing_images_name_what_is_there(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(monitor(**options))


@pytest.mark.parametrize("key", ["image", "images", "pixel_values", "x", "img"])
def test_auto_finds_the_images_of_a_mapping(key: str) -> None:
    rows = [{"label": torch.tensor(0), key: image} for image in REAL]
    assert validate(monitor(), real=DataLoader(rows, batch_size=4)) == validate(monitor())


@pytest.mark.parametrize("images", [REAL, [(0, image) for image in REAL]])
@pytest.mark.parametrize("image_key", ["auto", lambda batch: batch if isinstance(batch, Tensor) else batch[1]])
def test_tensors_and_pairs_are_batches_too(images: Any, image_key: Any) -> None:
    key = 1 if image_key == "auto" and isinstance(images, list) else image_key
    assert validate(monitor(image_key=key), real=DataLoader(images, batch_size=4)) == validate(monitor())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": "sample", "fake_key": "fake"}, "expected one of them"),
        ({"num_samples": 0}, "≥ 1"),
        ({"every_n_epochs": 0}, "≥ 1"),
        ({"extractor": "inception-v4"}, "inception-v3"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        monitor(**options)


def test_a_model_without_the_method_is_told_before_training() -> None:
    with pytest.raises(ValueError, match=r"Model has no such method.*def draw\(self, n\)"):
        fit(monitor(sample="draw"))


def test_two_monitors_need_two_prefixes() -> None:
    with pytest.raises(ValueError, match="prefix="):
        fit(monitor(), monitor())
    twins = monitor([FID()]), monitor([FID()], prefix="val/again/")
    assert twins[0].state_key != twins[1].state_key
    assert fit(*twins).callback_metrics.keys() == {"val/fd_pixels", "val/again/fd_pixels"}


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(NotEnoughSamples, match="fake samples, got 1"):
        validate(monitor([FID()], num_samples=1))


@dataclass(frozen=True)
class Broken(Measure):
    """Is NaN."""

    label = "broken"

    @property
    def keys(self) -> tuple[str, ...]:
        return ("broken",)

    def statistics(self, spec: Any) -> Any:
        return Roles((), ())

    def check(self, real: Any, fake: Any) -> None: ...

    def compute(self, evidence: Inputs) -> dict[str, Tensor]:
        return {"broken": torch.tensor(torch.nan, dtype=torch.float64)}


def test_a_value_that_is_not_finite_is_skipped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="val/broken_pixels is not finite"):
        assert validate(monitor([Broken(), FID()])).keys() == {"val/fd_pixels"}


def test_a_value_that_is_not_finite_and_monitored_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="EarlyStopping decides by it"):
        fit(monitor([Broken()]), EarlyStopping("val/broken_pixels"))


class Stream(IterableDataset):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.images)


def test_without_a_validation_batch_it_generates_at_the_end_with_a_warning() -> None:
    watching = monitor(real=loader())
    with pytest.warns(UserWarning, match="Rank 0 had no validation batch"):
        got = validate(watching, real=DataLoader(Stream(REAL[:0]), batch_size=4))
    assert got == validate(monitor())


class FirstRankOnly(Stream):
    def __iter__(self) -> Iterator[Tensor]:
        is_first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
        return iter(self.images if is_first else self.images[:0])


@pytest.mark.filterwarnings("ignore:Rank 1 had no validation batch")
@pytest.mark.usefixtures("forks")
def test_a_rank_without_a_validation_batch_still_generates_its_share() -> None:
    def run(**options: Any) -> dict[str, float]:
        watching = monitor()
        return validate(watching, Counts(watching), real=DataLoader(FirstRankOnly(REAL), batch_size=4), **options)

    got = run(devices=2, strategy="ddp_fork")
    assert (got["real"], got["fake"]) == (23, 20)
    alone = run()
    assert all(got[f"val/{key}_pixels"] == pytest.approx(alone[f"val/{key}_pixels"]) for key in ("fd", "precision"))


class FSDPStrategy: ...


class MyFSDP(FSDPStrategy): ...


def test_sharded_weights_are_warned_of() -> None:
    assert "fake_key=" in (sharding_warning(MyFSDP()) or "")
    assert sharding_warning(object()) is None
