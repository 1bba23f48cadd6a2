"""The rehearsal of a monitor: mistakes show before the first training step, and nothing of it is counted."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from host_reads import answer_late
from lightning.pytorch import Callback, LightningModule, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader
from trainings import QUIET, REAL, Counts, Model, Pixels, fit, loader, monitor, trainer, validate

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.monitor.rehearsal import Rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled"),
]

FLOATS = REAL.float() / 255


def made_of(mu: Tensor, log_var: Tensor) -> Tensor:
    return mu


class Untrained(Model):
    """Fails at its first training step: what is found must be found before."""

    decode = staticmethod(made_of)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise AssertionError("training has begun")


class Breaks(nn.Module):
    """An extractor of images of another size."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().flatten(1) @ torch.zeros(7, 6)


# Each as users write them: what is given to the monitor, the validation images, and what the error names.
MISTAKES = {
    "samples in [-1, 1]": ({"sample": lambda model, n: FLOATS[:n] * 2 - 1}, REAL, "value_range"),
    "samples in [0, 255]": ({"sample": lambda model, n: REAL[:n].float()}, REAL, "value_range"),
    "real images in [-1, 1]": ({}, FLOATS * 2 - 1, "real images.*value_range"),
    "real images in [0, 255]": ({}, REAL.float(), "real images.*value_range"),
    "no tensor": ({"sample": lambda model, n: [object()] * n}, REAL, "sample="),
    "another number": ({"sample": lambda model, n: REAL[: n - 1]}, REAL, "Expected 8 images"),
    "a key that is not there": ({"image_key": "picture"}, REAL, "image_key='picture'"),
    "outputs without the key": ({"fake_key": "fake"}, REAL, "fake_key='fake'.*'reconstruction'"),
    "decoded latents": ({"sample": "decode"}, REAL, r"sample='decode': expected a function.*got \(mu, log_var\)"),
    "a function of n alone": ({"sample": lambda n: REAL[:n]}, REAL, "expected a function of the number of images"),
    "another size": ({"extractor": Breaks(), "num_features": 6}, REAL, "mat1 and mat2"),
    "a sampler that fails": ({"sample": lambda model, n: 1 / 0}, REAL, "division by zero"),
    "a batch that fails": ({"sample": lambda model, n, batch: batch["x"]}, REAL, "indices must be integers"),
    "NaN": ({"sample": lambda model, n: FLOATS[:n] * float("nan")}, REAL, "finite"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_before_the_first_training_step(mistake: str) -> None:
    options, real, message = MISTAKES[mistake]
    with pytest.raises((ValueError, TypeError, RuntimeError, ZeroDivisionError), match=message):
        fit(monitor([FID()], **options), model=Untrained(), real=loader(real), num_sanity_val_steps=2)


@pytest.mark.parametrize("mistake", ["samples in [-1, 1]", "another number", "decoded latents", "another size"])
def test_without_a_sanity_check_it_is_found_as_early(mistake: str) -> None:
    options, real, message = MISTAKES[mistake]
    with pytest.raises((ValueError, RuntimeError), match=message):
        fit(monitor([FID()], **options), model=Untrained(), real=loader(real))


@pytest.mark.parametrize("mistake", ["samples in [-1, 1]", "real images in [-1, 1]", "NaN"])
def test_on_a_device_that_answers_late_it_is_found_as_early(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = answer_late(monkeypatch)
    test_a_mistake_is_found_before_the_first_training_step(mistake)
    assert answers


def test_a_loader_of_real_images_is_looked_at_too() -> None:
    with pytest.raises(ValueError, match=r"real images.*value_range"):
        fit(monitor([FID()], real=loader(FLOATS * 2 - 1)), model=Untrained())


def never(model: LightningModule, n: int) -> Tensor:
    raise AssertionError("it has generated")


@pytest.mark.parametrize(("options", "real"), [({}, REAL.float()), ({"image_key": "picture"}, REAL)])
def test_a_validation_by_itself_looks_at_its_images_before_it_generates(options: dict[str, Any], real: Tensor) -> None:
    with pytest.raises(ValueError, match=r"real images|image_key"):
        validate(monitor([FID()], sample=never, **options), real=loader(real))


# Numbers that cannot do.


TWENTY = KID(subset_size=20)


def file_of(path: Path, n: int) -> Path:
    reference = GenerativeMetrics([FID(), KID(subset_size=5)], Pixels())
    reference.update(REAL[:n], real=True)
    reference.save_reference(path)
    return path


FEW = r"KID needs at least 20 real samples, got 4"


def test_too_few_real_images_are_told_of_before_training(tmp_path: Path) -> None:
    for options in ({}, {"real": file_of(tmp_path / "real.safetensors", 4)}, {"real": loader(REAL[:4])}):
        sanity = 0 if "real" in options else 2
        with pytest.raises(NotEnoughSamples, match=FEW):
            fit(monitor([TWENTY], **options), model=Untrained(), real=loader(REAL[:4]), num_sanity_val_steps=sanity)


def test_too_few_real_images_are_told_of_before_any_generation() -> None:
    with pytest.raises(NotEnoughSamples, match=FEW):
        validate(monitor([TWENTY], sample=never), real=loader(REAL[:4]))
    with pytest.raises(NotEnoughSamples, match="got 8"):
        validate(monitor([TWENTY], sample=never), limit_val_batches=2)


@pytest.mark.parametrize("measures", [[KID(subset_size=21)], [PRDC(k=30)], [FID(), KID()]])
def test_too_few_generated_images_are_told_of_at_once(measures: Any) -> None:
    for run in (lambda watching: fit(watching, model=Untrained()), validate):
        with pytest.raises(NotEnoughSamples, match=r"fake samples, got 20|real samples"):
            run(monitor(measures, sample=never))


def test_an_item_of_several_images_is_no_reason_to_refuse() -> None:
    clips = DataLoader([*REAL[:20].view(5, 4, 3, 8, 8)], batch_size=5)  # pyright: ignore[reportArgumentType]
    watching = monitor([KID(subset_size=6)], image_key=lambda batch: batch.flatten(0, 1))
    assert validate(watching, Counts(watching), real=clips)["real"] == 20


# What it leaves.


@pytest.mark.parametrize("sanity", [0, 2])
@pytest.mark.parametrize("options", [{}, {"real": loader(shuffle=True)}, {"fake_key": "reconstruction"}])
def test_nothing_of_it_is_counted_and_no_randomness_used(sanity: int, options: dict[str, Any]) -> None:
    def run(*callbacks: Callback) -> tuple[dict[str, Tensor], Any]:
        seed_everything(1, verbose=False)
        fitted = fit(*callbacks, model=(model := Model()), num_sanity_val_steps=sanity, max_epochs=1)
        return model.state_dict(), fitted

    watching = monitor([FID()], **options)
    without, (watched, fitted) = run()[0], run(watching, Counts(watching))
    assert all(torch.equal(without[name], watched[name]) for name in without)
    assert fitted.callback_metrics["real"] == 23
    assert fitted.callback_metrics["fake"] == (23 if "fake_key" in options else 20)
    assert watching.samples.shape == (16, 3, 8, 8)


@pytest.mark.parametrize("sanity", [0, 2])
def test_it_is_forgotten_before_the_first_training_step(sanity: int) -> None:
    watching, held = monitor([FID()], real=loader()), []

    class Sees(Callback):
        def on_train_start(self, *told: Any, **more: Any) -> None:
            held.extend(watching.metric.num_samples(role) for role in ("real", "fake"))
            held.append(len(watching.samples))

    fit(watching, Sees(), num_sanity_val_steps=sanity, max_epochs=1)
    assert held == [0, 0, 0]


@pytest.mark.usefixtures("forks")
def test_an_error_on_one_rank_ends_all(capfd: pytest.CaptureFixture[str]) -> None:
    def sample(model: LightningModule, n: int) -> Tensor:
        return REAL[: n - (torch.distributed.get_rank() == 1)]

    with pytest.raises(Exception, match=r"Expected 8 images|failed on another rank"):
        fit(monitor([FID()], sample=sample), model=Untrained(), devices=2, strategy="ddp_fork", num_sanity_val_steps=1)


def test_a_rank_without_an_error_ends_with_the_others() -> None:
    with pytest.raises(RuntimeError, match="failed on another rank"):
        Rehearsal().conclude(agree=lambda is_well: False)


# A run to try things out.


@pytest.mark.filterwarnings("ignore:FID from:streaming_metrics.BiasWarning")
def test_fast_dev_run_takes_a_few_samples_and_logs_what_it_can() -> None:
    drawn = []

    def sample(model: LightningModule, n: int) -> Tensor:
        drawn.append(n)
        return REAL[:n]

    watching = monitor([FID(), KID()], sample=sample, num_samples=10_000, every_n_epochs=5)
    with pytest.warns(UserWarning, match=r"fast_dev_run: KID needs at least 1000 real samples, got 4.*not logged"):
        fitted = fit(watching, fast_dev_run=True)
    assert drawn == [8, 8], "a rehearsal and a measurement"
    assert "val/fd_pixels" in fitted.callback_metrics
    assert "val/kd_pixels" not in fitted.callback_metrics


@pytest.mark.parametrize("options", [{}, {"every_n_train_steps": 1000}])
def test_fast_dev_run_needs_no_validation_and_reads_a_few_real_images(options: dict[str, Any]) -> None:
    class Blind(Model):
        validation_step: Any = LightningModule.validation_step

    watching = monitor([FID()], real=loader(), num_samples=10_000, **options)
    running = trainer(watching, fast_dev_run=2)
    running.fit(Blind(), loader())
    assert running.callback_metrics["val/fd_pixels"].isfinite()
    assert "real:8|fake:8" in watching.metric.signature()


@pytest.mark.filterwarnings("ignore:FID from:streaming_metrics.BiasWarning")
@pytest.mark.filterwarnings("ignore:.*which is not available but strict")
def test_fast_dev_run_passes_where_a_scheduler_waits_for_what_a_few_images_cannot_give() -> None:
    class Slowing(Model):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), 0.1)
            scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val/kd_pixels"}}

    with pytest.warns(UserWarning, match=r"fast_dev_run: KID needs.*not logged"):
        fitted = fit(monitor([FID(), KID()]), model=Slowing(), fast_dev_run=True)
    assert fitted.global_step == 1


@pytest.mark.filterwarnings("ignore:FID from:streaming_metrics.BiasWarning")
def test_fast_dev_run_does_not_complain_of_the_few_batches_it_takes(recwarn: pytest.WarningsRecorder) -> None:
    fit(monitor([FID()], fake_key="reconstruction"), fast_dev_run=True)
    assert not [one for one in recwarn if "num_samples" in str(one.message)]


class Averages(Callback):
    """Holds an average from the start of training on, as most callbacks of an EMA do."""

    average: nn.Module | None = None

    def on_train_start(self, trainer: Any, pl_module: LightningModule) -> None:
        self.average = nn.Identity()

    @contextmanager
    def weights(self, pl_module: LightningModule) -> Iterator[None]:
        assert self.average is not None, "no average yet"
        yield


@pytest.mark.parametrize("num_sanity_val_steps", [0, 2])
def test_what_is_made_at_the_start_of_training_is_there(num_sanity_val_steps: int) -> None:
    averages = Averages()
    watching = monitor([FID()], weights_context=averages.weights)
    fitted = fit(watching, averages, num_sanity_val_steps=num_sanity_val_steps)
    assert fitted.callback_metrics["val/fd_pixels"].isfinite()


def test_what_the_module_makes_at_the_start_of_training_is_there() -> None:
    class Made(Model):
        def on_train_start(self) -> None:
            self.gain = 1.0

        def sample(self, n: int) -> Tensor:
            return self.gain * super().sample(n)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.layer(torch.randn(4, 4)).mean()

    assert fit(monitor([FID()]), model=Made(), num_sanity_val_steps=2).callback_metrics["val/fd_pixels"].isfinite()
