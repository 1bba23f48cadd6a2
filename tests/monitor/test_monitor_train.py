"""Training and held-out images of a monitor: read once, dealt to ranks, kept; asked for exactly where a measure reads
them.
"""

# ruff: noqa: ARG001 (samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from trainings import QUIET, REAL, TINY, Model, Pixels, fit, kept_features, loader, monitor, trainer, validate

from streaming_metrics import FID, FLD, AuthPct, CTScore, GenerativeMetrics, NotEnoughSamples, Reference

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

pytestmark = [*QUIET, TINY]

TRAIN, HELDOUT = torch.randint(0, 256, (2, 13, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
DRAWN = torch.cat([TRAIN[:3], REAL[:9]])
IMAGES = {"train": TRAIN, "heldout": HELDOUT}
MEASURES = {"train": [FID(), AuthPct()], "heldout": [FID(), CTScore(cells=1, least=1, components=192), FLD()]}
KEYS = {"train": "val/authpct_pixels", "heldout": "val/ct_pixels"}
NAMES = {"train": "training", "heldout": "held-out"}
of_either_role = pytest.mark.parametrize("role", IMAGES)


def draw(model: Any, n: int) -> Tensor:
    return DRAWN[:n]


def watching(role: str, **options: Any) -> Any:
    """Return a monitor of measures that read the role, and of training images whatever the role."""
    common = {"measures": MEASURES[role], "sample": draw, "num_samples": 12, "batch_size": 12}
    return monitor(**{**common, "train": loader(TRAIN), role: loader(IMAGES[role]), **options})


def authentic() -> float:
    """Return the percentage of authentic samples by definition."""
    features = Pixels()
    x, y = features(TRAIN).double(), features(DRAWN).double()
    near = torch.cdist(y, x).min(1)
    others = torch.cdist(x, x).fill_diagonal_(torch.inf).min(1).values
    return 100 * (others[near.indices] < near.values).double().mean().item()


def copied() -> float:
    """Return the CT score in one cell by definition."""
    features = Pixels()
    x, tests, y = (features(images).double() for images in (TRAIN, HELDOUT, DRAWN))
    of_tests, of_fakes = torch.cdist(tests, x).amin(1), torch.cdist(y, x).amin(1)
    n, m = len(of_tests), len(of_fakes)
    farther = (of_fakes[:, None] - of_tests).sign().add(1).div(2).sum().item()
    return (farther - n * m / 2 + 0.5) / (n * m * (n + m + 1) / 12) ** 0.5


def expected(role: str) -> float:
    return {"train": authentic, "heldout": copied}[role]()


def reference(folder: Path, role: str) -> Path:
    metric = GenerativeMetrics("prdc", Pixels())
    metric.update(IMAGES[role], real=True, index=torch.arange(len(IMAGES[role])))
    metric.save_reference(folder / f"{role}.safetensors")
    return folder / f"{role}.safetensors"


@pytest.mark.parametrize(
    ("source", "world_size"), [("loader", 2), ("loader", 3), ("shuffled loader", 3), ("file", 2), ("Reference", 3)]
)
@pytest.mark.usefixtures("forks")
@of_either_role
def test_ranks_give_the_value_of_the_definition(role: str, source: str, world_size: int, tmp_path: Path) -> None:
    given = {
        "loader": lambda: loader(IMAGES[role]),
        "shuffled loader": lambda: loader(IMAGES[role], shuffle=True),
        "file": lambda: reference(tmp_path, role),
        "Reference": lambda: Reference.load(reference(tmp_path, role)),
    }[source]()
    alone = validate(watching(role, **{role: given}))
    assert alone[KEYS[role]] == pytest.approx(expected(role), rel=1e-5)
    together = validate(watching(role, **{role: given}), devices=world_size, strategy="ddp_fork")
    assert together == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("source", ["loader", "file"])
def test_measures_that_read_both_give_the_values_of_a_metric_by_hand(source: str, tmp_path: Path) -> None:
    both = {role: loader(IMAGES[role]) if source == "loader" else reference(tmp_path, role) for role in IMAGES}
    metric = GenerativeMetrics(MEASURES["heldout"][1:], Pixels())
    for role, images in {**IMAGES, "fake": DRAWN}.items():
        metric.update(images, role=role, index=torch.arange(len(images)))  # FLD draws by ids: those of loaders
    values = validate(watching("heldout", **both))
    for key, value in metric.compute().items():
        assert values[f"val/{key}"] == pytest.approx(value.item(), rel=1e-5)


class Reads(Dataset):
    """Images that count how often they are read."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.reads = images, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: int) -> Tensor:
        self.reads += 1
        return self.images[item]


@pytest.mark.parametrize("refresh_real", [False, True])
@of_either_role
def test_they_are_read_once_and_kept_over_epochs(role: str, refresh_real: bool) -> None:
    images = Reads(IMAGES[role])
    callback = watching(role, **{role: DataLoader(images, batch_size=4)}, refresh_real=refresh_real)
    fitted = fit(callback, max_epochs=3)
    assert images.reads == len(images) + 4  # the rehearsal's batch
    assert callback.metric.num_samples(role) == len(images)
    assert float(fitted.callback_metrics[KEYS[role]]) == pytest.approx(expected(role), rel=1e-5)


@of_either_role
def test_each_run_reads_its_own(role: str) -> None:
    running = trainer(watching(role))
    first, second = (running.validate(Model(), loader(), verbose=False)[0][KEYS[role]] for _ in range(2))
    assert first == second == pytest.approx(expected(role), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "{role}=: .* reads {name} images, got none. Remedy: {role}= a DataLoader of them, or a reference file"),
        ({"measures": "loader"}, "{role}=: expected a measure that reads {name} images, got none that does. Remedy"),
        ({"measures": "file"}, "reference: expected roles among.*'{role}', which no measure here reads"),
    ],
)
@of_either_role
def test_they_are_given_exactly_where_a_measure_reads_them(
    role: str, options: dict[str, str], message: str, tmp_path: Path
) -> None:
    unread = {"loader": loader(IMAGES[role]), "file": reference(tmp_path, role)}
    given = {"measures": [FID()], "train": None, role: unread[options["measures"]]} if options else {role: None}
    with pytest.raises(ValueError, match=message.format(role=role, name=NAMES[role])):
        watching(role, **given)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda images: images[:1], NotEnoughSamples, "(AuthPct|FLD) needs at least 2 {role} samples, got 1"),
        (
            lambda images: images[:, :2],
            ValueError,
            r"{role} images: Expected images \(N, 3, H, W\), got \(4, 2,",
        ),
        (lambda images: images.float(), ValueError, r"{role} images: .*value_range=\(0, 1\), got 0 to 255"),
    ],
)
@of_either_role
def test_mistakes_show_before_the_first_step(role: str, change: Any, error: type[Exception], message: str) -> None:
    callback, model = watching(role, **{role: loader(change(IMAGES[role]))}), Model()
    with pytest.raises(error, match=message.format(role=role)):
        fit(callback, model=model)
    assert model.global_step == 0
    assert callback.metric.num_samples(role) == callback.metric.num_samples("fake") == 0


@of_either_role
def test_images_of_another_range_are_told(role: str) -> None:
    halved, message = IMAGES[role] / 255, r"The {} images never leave the upper half of value_range=\(-1, 1\)"
    with pytest.warns(UserWarning, match=message.format(NAMES[role])):  # in [0, 1], declared as [-1, 1]
        validate(watching(role, **{role: loader(halved)}, value_range=(-1, 1)))


@of_either_role
def test_a_run_for_development_takes_one_batch(role: str) -> None:
    callback = watching(role, measures=MEASURES[role][1:])
    fit(callback, fast_dev_run=True)
    assert callback.metric.num_samples(role) == 4


def test_measures_bind_before_anything_is_generated_and_keep_no_features() -> None:
    held = []

    def sample(model: Any, n: int) -> Tensor:
        held.append(kept_features(callback.metric))
        return draw(model, n)

    callback = watching("train", measures=[AuthPct()], sample=sample)
    validate(callback)
    assert [*held, kept_features(callback.metric)] == [0, 0]
