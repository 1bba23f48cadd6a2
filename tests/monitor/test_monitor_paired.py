"""Paired metrics of a monitor: those of torchmetrics on the same pairs, on any number of ranks."""

# ruff: noqa: ARG001, ARG002 (hooks and samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as functional
from lightning.pytorch import Callback, LightningModule, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from skimage import metrics as skimage_metrics
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Metric
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure, UniversalImageQualityIndex
from torchmetrics.regression import MeanSquaredError
from torchmetrics.wrappers import Running
from trainings import QUIET, REAL, TINY, Model, Stream, fit, loader, monitor, trainer

from streaming_metrics import FID
from streaming_metrics.measures.keys import group_of, scalar_of
from streaming_metrics.paired_sharpness import PairedSharpness
from streaming_metrics.plots.result_keys import by_group

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [*QUIET, TINY]

NAMES = ["psnr", "ssim", "mse"]


class Listed(Metric):
    """The brightness of each pair's difference, in a list that torchmetrics would gather element by element."""

    higher_is_better, full_state_update = False, False
    errors: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("errors", default=[], dist_reduce_fx=None)

    def update(self, preds: Tensor, target: Tensor) -> None:
        assert preds.dtype == target.dtype == torch.float32
        self.errors.append((preds - target).square().mean((1, 2, 3)))

    def compute(self) -> Tensor:
        return torch.cat(self.errors).sqrt().mean()


class Breaks(Listed):
    """Fails at a batch, or at its value."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def update(self, preds: Tensor, target: Tensor) -> None:
        if self.at == "batch":
            raise KeyError("window")
        super().update(preds, target)

    def compute(self) -> Tensor:
        raise AssertionError


class Reconstructs(Model):
    """Darkens what it is given, by floats that are rounded when they are measured."""

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        images = batch if isinstance(batch, Tensor) else batch[0]
        return {"reconstruction": darkened(images)}

    test_step = validation_step


def darkened(images: Tensor) -> Tensor:
    return images.float() / 255 * torch.linspace(0.4, 1, images.shape[-1], dtype=torch.float32)


def rounded(images: Tensor) -> Tensor:
    return (darkened(images) * 255).round() / 255


def watching(**options: Any) -> Any:
    """Return a monitor of what the step returns, all of it, or of a sampler."""
    few = {} if "sample" in options else {"num_samples": 1}
    return monitor([FID()], **{"fake_key": "reconstruction", **few, **options})


def run(callback: Any, real: Any = None, model: Any = None, **options: Any) -> dict[str, float]:
    real = loader() if real is None else real
    return dict(trainer(callback, **options).validate(model or Reconstructs(), real, verbose=False)[0])


def expected(real: Tensor = REAL) -> dict[str, float]:
    fake, real = rounded(real), real / 255
    return {
        "val/psnr": functional.peak_signal_noise_ratio(fake, real, data_range=1.0).item(),
        "val/ssim": functional.structural_similarity_index_measure(fake, real, data_range=1.0).item(),  # pyright: ignore
        "val/mse": (fake - real).square().mean().item(),
        "val/listed": (fake - real).square().mean((1, 2, 3)).sqrt().mean().item(),
    }


def paired(values: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if key in expected()}


# --- values -----------------------------------------------------------------------------------------------------------


def test_they_are_torchmetrics_on_all_pairs() -> None:
    callback = watching(paired=[*NAMES, Listed()])
    assert callback.keys == ("val/fd_pixels", "val/psnr", "val/ssim", "val/mse", "val/listed")
    got = run(callback)
    assert paired(got) == pytest.approx(expected(), rel=1e-5)
    assert got.keys() == set(callback.keys)


def test_they_are_scikit_images_per_image() -> None:
    """Means over images; by name, PSNR is that of the error over all of them.

    torchmetrics goes on beyond the border by a mirror, scikit-image leaves the border out.
    """
    of_each = {"psnr": PeakSignalNoiseRatio(1.0, dim=(1, 2, 3)), "ssim": "ssim"}
    got = run(watching(paired=of_each))
    pairs = [(np.float64(fake), np.float64(real)) for fake, real in zip(rounded(REAL).numpy(), (REAL / 255).numpy())]
    psnr = [skimage_metrics.peak_signal_noise_ratio(real, fake, data_range=1) for fake, real in pairs]
    assert got["val/psnr"] == pytest.approx(np.mean(psnr), rel=1e-5)
    options = {"data_range": 1, "channel_axis": 0, "gaussian_weights": True, "use_sample_covariance": False}
    mirrored = [[np.pad(image, ((0, 0), (5, 5), (5, 5)), "reflect") for image in pair] for pair in pairs]
    ssim = [skimage_metrics.structural_similarity(real, fake, **options) for fake, real in mirrored]
    assert got["val/ssim"] == pytest.approx(np.mean(ssim), rel=1e-5)


def test_ms_ssim_and_equal_images() -> None:
    big = REAL[:8].repeat_interleave(24, -1).repeat_interleave(24, -2)
    callback = watching(paired=["ms-ssim", "ssim", "mse"])
    got = run(callback, loader(big))
    assert callback.keys[1:] == ("val/ms_ssim", "val/ssim", "val/mse")
    oracle = functional.multiscale_structural_similarity_index_measure(rounded(big), big / 255, data_range=1.0)
    assert got["val/ms_ssim"] == pytest.approx(oracle.item(), rel=1e-5)
    same = run(watching(paired=["ms-ssim", "ssim", "mse"], fake_key=None, sample=copied, num_samples=8), loader(big))
    assert (same["val/ms_ssim"], same["val/ssim"], same["val/mse"]) == pytest.approx(
        (1, 1, 0), abs=1e-3
    )  # variances of float32


def copied(model: LightningModule, n: int, batch: Any) -> Tensor:
    return batch[0]


def test_psnr_of_equal_images_is_not_finite_and_not_logged() -> None:
    with pytest.warns(UserWarning, match="val/psnr is not finite"):
        got = run(watching(paired=["psnr", "mse"], fake_key=None, sample=copied))
    assert "val/psnr" not in got
    assert got["val/mse"] == 0


def test_a_sampler_with_a_batch_is_paired_until_there_are_enough() -> None:
    def brighter(model: LightningModule, n: int, batch: Any) -> Tensor:
        return rounded(batch[0])

    got = run(watching(fake_key=None, sample=brighter, num_samples=10, paired=[*NAMES, Listed()]))
    assert paired(got) == pytest.approx(expected(REAL[:10]), rel=1e-5)


def test_a_wrapper_that_does_not_count_its_batches_is_not_taken_for_empty() -> None:
    got = run(watching(paired={"windowed": Running(MeanSquaredError(), window=20)}))
    assert got["val/windowed"] == pytest.approx(expected()["val/mse"], rel=1e-5)


def test_a_metric_of_metrics_is_merged_too() -> None:
    both = PeakSignalNoiseRatio(1.0) + StructuralSimilarityIndexMeasure(data_range=1.0)
    got = run(watching(paired={"sum": both}))
    assert got["val/sum"] == pytest.approx(expected()["val/psnr"] + expected()["val/ssim"], rel=1e-5)


def test_images_to_compare_with_are_those_of_the_key() -> None:
    """Image to image: a batch of inputs and targets."""
    targets = DataLoader(TensorDataset(255 - REAL, REAL), batch_size=4)

    class Translates(Model):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return {"reconstruction": darkened(255 - batch[0])}

    got = run(watching(paired=[*NAMES, Listed()], image_key=1), targets, Translates())
    assert paired(got) == pytest.approx(expected(), rel=1e-5)


# --- ranks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.usefixtures("forks")
def test_ranks_give_the_single_process_value_on_eleven_pairs(world_size: int) -> None:
    callback = watching(paired=[*NAMES, Listed()])
    got = run(callback, loader(REAL[:11], batch_size=2), devices=world_size, strategy="ddp_fork")
    assert paired(got) == pytest.approx(expected(REAL[:11]), rel=1e-5)


class Uneven(Stream):
    """Rank 0 has seven batches; rank 1 has two, or none."""

    second = 8

    def __iter__(self) -> Iterator[Tensor]:
        is_first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
        return iter(self.images if is_first else self.images[: self.second])


class OnOne(Uneven):
    second = 0


class OnTheSecond(Stream):
    """Rank 0 has no batch."""

    second = 0

    def __iter__(self) -> Iterator[Tensor]:
        is_first = torch.distributed.is_initialized() and torch.distributed.get_rank() == 0
        return iter(self.images[: self.second] if is_first else self.images)


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("stream", [Uneven, OnOne, OnTheSecond])
def test_ranks_with_other_numbers_of_batches_or_none(stream: Any) -> None:
    quality = UniversalImageQualityIndex(kernel_size=(3, 3), sigma=(0.5, 0.5))  # keeps the images, to be concatenated
    windowed = Running(MeanSquaredError(), window=20)  # keeps states of its own, and does not count updates
    callback = watching(paired=[*NAMES, Listed(), quality, windowed])
    real = DataLoader(stream(REAL), batch_size=4)
    got = run(callback, real, devices=2, strategy="ddp_fork")
    every = torch.cat([REAL, REAL[: stream.second]])
    assert paired(got) == pytest.approx(expected(every), rel=1e-5)
    oracle = functional.universal_image_quality_index(rounded(every), every / 255, (3, 3), (0.5, 0.5))
    assert got["val/universal_image_quality_index"] == pytest.approx(oracle.item(), rel=1e-5)
    assert got["val/running"] == pytest.approx(got["val/mse"], rel=1e-5)


# --- isolation --------------------------------------------------------------------------------------------------------


def test_each_epoch_begins_anew_and_real_images_are_read_again() -> None:
    seen: list[dict[str, float]] = []

    class Keeps(Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            seen.append({key: value.item() for key, value in trainer.callback_metrics.items()})

    callback = watching(paired=[*NAMES, Listed()])
    fit(callback, Keeps(), model=Reconstructs(), num_sanity_val_steps=2, max_epochs=2)
    assert callback.metric.is_frozen
    assert len(seen) == 3  # the sanity check too, which logs nothing of it
    for values in seen[1:]:
        assert paired(values) == pytest.approx(expected(), rel=1e-5)


def test_users_instances_and_checkpoints_hold_nothing_of_it(tmp_path: Path) -> None:
    own, model = PeakSignalNoiseRatio(data_range=1.0), Reconstructs()
    own.update(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8))
    names = set(model.state_dict())
    best = ModelCheckpoint(tmp_path, "best", monitor="val/psnr", mode="max")
    fitted = fit(watching(paired=[own]), best, model=model)
    assert fitted.callback_metrics["val/psnr"].item() == pytest.approx(expected()["val/psnr"], rel=1e-5)
    assert own.compute().item() == 0
    assert set(model.state_dict()) == names
    kept = torch.load(tmp_path / "best.ckpt", weights_only=False)
    assert set(kept["state_dict"]) == names
    assert not [key for key in kept["callbacks"] if "GenerationMonitor" in key]


class Draws(Listed):
    """Uses randomness up."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds * torch.rand(()) * np.random.rand(), target)


def test_training_goes_on_as_without_it() -> None:
    def weights(**options: Any) -> Tensor:
        seed_everything(0, verbose=False)
        model = Reconstructs()
        fit(watching(**options), model=model)
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(paired=[Draws(), "ssim"]), weights())


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_metrics_are_float32_whatever_the_trainers_precision(precision: Any) -> None:
    got = run(watching(paired=[*NAMES, Listed()]), precision=precision)
    assert paired(got) == pytest.approx(expected(), rel=1e-5)


def test_the_test_stage_mirrors_validation() -> None:
    callback = watching(paired=NAMES)
    tested = trainer(callback).test(Reconstructs(), loader(), verbose=False)[0]
    assert tested["test/psnr"] == pytest.approx(expected()["val/psnr"], rel=1e-5)


# --- directions -------------------------------------------------------------------------------------------------------


def test_reports_know_which_values_are_better() -> None:
    watching(paired={"psnr_rgb": PeakSignalNoiseRatio(1.0), "crookedness": Listed(), "plain": "mse"})
    better = {key: scalar_of(f"val/{key}").better for key in ("psnr_rgb", "crookedness", "plain", "ms_ssim", "lpips")}
    assert better == {
        "psnr_rgb": "higher",
        "crookedness": "lower",
        "plain": "lower",
        "ms_ssim": "higher",
        "lpips": "lower",
    }


def test_an_instance_has_the_name_of_what_it_yields() -> None:
    class PeakSignalNoiseRatio(Listed):
        """One of a user's own, lower is better."""

    given = [MeanSquaredError(squared=False), MeanSquaredError(), PeakSignalNoiseRatio()]
    callback = watching(paired=given)
    assert callback.keys[1:] == ("val/rmse", "val/mse", "val/peak_signal_noise_ratio")
    assert scalar_of("val/peak_signal_noise_ratio").better == "lower"
    got = run(callback)
    assert got["val/rmse"] ** 2 == pytest.approx(got["val/mse"], rel=1e-5)


def test_reports_show_them_under_headings_of_their_own() -> None:
    watching(paired={"contrast_kept": Listed()}, captioned={"in_words": Listed()})
    keys = ["loss", "val/contrast_kept", "val/in_words", "val/psnr", "val/clip_score", "fid"]
    assert by_group(keys) == {
        "core": ["fid"],
        "text": ["val/in_words", "val/clip_score"],
        "paired": ["val/contrast_kept", "val/psnr"],
        "own": ["loss"],
    }


def test_sharpness_difference_of_pairs_has_a_name() -> None:
    oracle = PairedSharpness()
    oracle.update(rounded(REAL), REAL / 255)
    assert run(watching(paired="paired-sharpness"))["val/paired_sharpness"] == pytest.approx(
        oracle.compute().item(), rel=1e-5
    )


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paired": ["psnr", "fsim"]}, ValueError, "fsim"),
        ({"paired": [PeakSignalNoiseRatio]}, TypeError, "expected names .*instance"),
        ({"paired": ["psnr", PeakSignalNoiseRatio(1.0)]}, ValueError, "two metrics yield 'psnr'"),
        ({"paired": {"fd_pixels": Listed()}}, ValueError, "paired: two metrics yield fd_pixels"),
        ({"paired": {"fid": Listed()}}, ValueError, "paired: expected another key than 'fid', which is a measure's"),
        ({"paired": {"a b": Listed()}}, ValueError, "letters, digits and underscores"),
        ({"caption_key": 1}, ValueError, "expected captioned="),
        ({"through": [Listed()]}, ValueError, "expected both or neither"),
        ({"generator": "layer"}, ValueError, "expected both or neither"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        watching(**options)


def test_a_key_that_was_refused_stays_a_measures() -> None:
    with pytest.raises(ValueError, match="two metrics yield fd_pixels"):
        watching(paired={"fd_pixels": Listed()})
    with pytest.raises(ValueError, match="which is a measure's"):
        watching(paired={"likeness": Listed(), "fid": Listed()})
    assert group_of("val/fd_pixels") == "core"
    assert group_of("val/likeness") == "own"


def test_a_sampler_of_nothing_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"paired=: expected generated images that belong to an item.*fake_key="):
        run(watching(fake_key=None, paired=NAMES), model=Model())


def test_other_sizes_are_named() -> None:
    def half(model: LightningModule, n: int, batch: Any) -> Tensor:
        return batch[0][..., ::2, ::2]

    with pytest.raises(ValueError, match="size of the real ones, 8 × 8, got 4 × 4"):
        run(watching(fake_key=None, sample=half, paired=NAMES))


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        ("ms-ssim", ValueError, "paired: ms_ssim: .*larger than"),
        (
            PeakSignalNoiseRatio(1.0, dim=(1, 2, 3), reduction="none"),
            ValueError,
            r"paired: psnr: expected one number, got \(23,\)",
        ),
        (Breaks("batch"), RuntimeError, r"paired: breaks: KeyError\('window'\)"),
        (Breaks("value"), RuntimeError, r"paired: breaks: AssertionError\(\)"),
    ],
)
def test_what_a_metric_cannot_take_or_give_says_which_it_is(metric: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(watching(paired=[metric]))


def test_mistakes_show_before_the_training() -> None:
    model = Reconstructs()
    before = model.layer[0].weight.clone()
    with pytest.raises(ValueError, match="expected one number"):
        fit(
            watching(paired=[PeakSignalNoiseRatio(1.0, dim=(1, 2), reduction="none")]),
            model=model,
            num_sanity_val_steps=1,
        )
    assert torch.equal(before, model.layer[0].weight)
