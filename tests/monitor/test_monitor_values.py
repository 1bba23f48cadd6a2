"""Values of a monitor: those of the metric on the same images, on any number of ranks, wherever images come from."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import LightningModule, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader
from trainings import (
    MEASURES,
    QUIET,
    REAL,
    TINY,
    Counts,
    Model,
    Pixels,
    Stream,
    expected,
    fit,
    loader,
    monitor,
    trainer,
    validate,
)

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.sampling import chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [*QUIET, TINY]


def test_it_is_the_metric_of_the_real_and_the_sampled_images() -> None:
    watching = monitor()
    got = validate(watching)
    seed_everything(0, verbose=False)
    model = Model().eval()
    drawn = [watching.sampler.draw(model, chunk.size, chunk.seed).pixels for chunk in chunks(20, 8, seed=0)]
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


@pytest.mark.parametrize("key", ["image", "images", "pixel_values", "x", "img"])
def test_auto_finds_the_images_of_a_mapping(key: str) -> None:
    rows = [{"label": torch.tensor(0), key: image} for image in REAL]
    assert validate(monitor(), real=DataLoader(rows, batch_size=4)) == validate(monitor())


@pytest.mark.parametrize("images", [REAL, [(0, image) for image in REAL]])
@pytest.mark.parametrize("image_key", ["auto", lambda batch: batch if isinstance(batch, Tensor) else batch[1]])
def test_tensors_and_pairs_are_batches_too(images: Any, image_key: Any) -> None:
    key = 1 if image_key == "auto" and isinstance(images, list) else image_key
    assert validate(monitor(image_key=key), real=DataLoader(images, batch_size=4)) == validate(monitor())


def grey(model: LightningModule, n: int) -> Tensor:
    return REAL[:n, :1]


def test_grey_images_count_as_rgb() -> None:
    assert validate(monitor([FID()], sample=grey), real=loader(REAL[:, :1]))["val/fd_pixels"] >= 0


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
