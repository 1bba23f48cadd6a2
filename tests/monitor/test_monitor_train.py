"""Training images of a monitor: read once, dealt to ranks, kept; asked for exactly where a measure reads them."""

# ruff: noqa: ARG001 (samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from trainings import QUIET, REAL, TINY, Model, Pixels, fit, kept_features, loader, monitor, trainer, validate

from streaming_metrics import FID, AuthPct, GenerativeMetrics, NotEnoughSamples, Reference

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

pytestmark = [*QUIET, TINY]

TRAIN = torch.randint(0, 256, (13, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
DRAWN = torch.cat([TRAIN[:3], REAL[:9]])
MEASURES = [FID(), AuthPct()]
KEY = "val/authpct_pixels"


def draw(model: Any, n: int) -> Tensor:
    return DRAWN[:n]


def watching(**options: Any) -> Any:
    common = {"measures": MEASURES, "sample": draw, "num_samples": 12, "batch_size": 12, "train": loader(TRAIN)}
    return monitor(**{**common, **options})


def expected(train: Tensor = TRAIN) -> float:
    """Return the percentage of authentic samples by definition."""
    features = Pixels()
    x, y = features(train).double(), features(DRAWN).double()
    near = torch.cdist(y, x).min(1)
    others = torch.cdist(x, x).fill_diagonal_(torch.inf).min(1).values
    return 100 * (others[near.indices] < near.values).double().mean().item()


def reference(folder: Path, images: Tensor = TRAIN) -> Path:
    metric = GenerativeMetrics("prdc", Pixels())
    metric.update(images, real=True)
    metric.save_reference(folder / "train.safetensors")
    return folder / "train.safetensors"


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("source", ["loader", "shuffled loader", "file", "Reference"])
@pytest.mark.usefixtures("forks")
def test_ranks_give_the_value_of_the_definition(source: str, world_size: int, tmp_path: Path) -> None:
    train = {
        "loader": lambda: loader(TRAIN),
        "shuffled loader": lambda: loader(TRAIN, shuffle=True),
        "file": lambda: reference(tmp_path),
        "Reference": lambda: Reference.load(reference(tmp_path)),
    }[source]()
    alone = validate(watching(train=train))
    assert alone[KEY] == pytest.approx(expected())
    together = validate(watching(train=train), devices=world_size, strategy="ddp_fork")
    assert together == pytest.approx(alone, rel=1e-6)


class Reads(Dataset):
    """Training images that count how often they are read."""

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return len(TRAIN)

    def __getitem__(self, item: int) -> Tensor:
        self.reads += 1
        return TRAIN[item]


@pytest.mark.parametrize("refresh_real", [False, True])
def test_they_are_read_once_and_kept_over_epochs(refresh_real: bool) -> None:
    images = Reads()
    callback = watching(train=DataLoader(images, batch_size=4), refresh_real=refresh_real)
    fitted = fit(callback, max_epochs=3)
    assert images.reads == len(TRAIN) + 4  # the rehearsal's batch
    assert callback.metric.num_samples("train") == len(TRAIN)
    assert float(fitted.callback_metrics[KEY]) == pytest.approx(expected())


def test_each_run_reads_its_own() -> None:
    callback = watching()
    running = trainer(callback)
    first, second = (running.validate(Model(), loader(), verbose=False)[0][KEY] for _ in range(2))
    assert first == second == pytest.approx(expected())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": None}, r"train=: authpct reads training images, got none. Remedy: train= a DataLoader"),
        ({"measures": [FID()]}, "train=: expected a measure that reads training images, got none that does. Remedy"),
        ({"measures": "fid", "train": "file"}, "reference: expected roles among.*'train', which no measure here reads"),
    ],
)
def test_they_are_given_exactly_where_a_measure_reads_them(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    given = {**options, "train": reference(tmp_path)} if options.get("train") == "file" else options
    with pytest.raises(ValueError, match=message):
        watching(**given)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (TRAIN[:1], NotEnoughSamples, "AuthPct needs at least 2 train samples, got 1"),
        (TRAIN[:, :2], ValueError, r"train images: Expected images \(N, 3, H, W\), got \(4, 2, 8, 8\)"),
        (TRAIN.float(), ValueError, r"train images: .*value_range=\(0, 1\), got 0 to 255"),
    ],
)
def test_mistakes_show_before_the_first_step(images: Tensor, error: type[Exception], message: str) -> None:
    callback, model = watching(train=loader(images)), Model()
    with pytest.raises(error, match=message):
        fit(callback, model=model)
    assert model.global_step == 0
    assert callback.metric.num_samples("train") == callback.metric.num_samples("fake") == 0


def test_training_images_of_another_range_are_told() -> None:
    halved = TRAIN / 255  # in [0, 1], declared as [-1, 1]
    with pytest.warns(UserWarning, match=r"The training images never leave the upper half of value_range=\(-1, 1\)"):
        validate(watching(train=loader(halved), value_range=(-1, 1)))


def test_a_run_for_development_takes_one_batch() -> None:
    callback = watching(measures=[AuthPct()])
    fit(callback, fast_dev_run=True)
    assert callback.metric.num_samples("train") == 4


def test_measures_bind_before_anything_is_generated_and_keep_no_features() -> None:
    held = []

    def sample(model: Any, n: int) -> Tensor:
        held.append(kept_features(callback.metric))
        return draw(model, n)

    callback = watching(measures=[AuthPct()], sample=sample)
    validate(callback)
    assert [*held, kept_features(callback.metric)] == [0, 0]
