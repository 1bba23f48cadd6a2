"""Labels in a monitor: found beside real images, and beside generated ones wherever these come from."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset, default_collate
from trainings import QUIET, REAL, TINY, Model, Pixels, fit, monitor, trainer

from streaming_metrics import FID, GenerativeMetrics, IntraFID
from streaming_metrics.images.columns import checked_columns, find_labels

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [*QUIET, TINY, pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")]

MEASURES = [FID(), IntraFID(classes=2, per_class=True)]
LABELS = torch.arange(len(REAL)) % 2
DRAWN, DRAWN_LABELS = REAL.flip(0), (torch.arange(len(REAL)) // 3) % 2
ROWS: Any = [{"image": image, "label": int(label)} for image, label in zip(REAL, LABELS)]


class Step(Model):
    """Mirrors the images of a batch in its validation step."""

    returns = "images"

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        images, labels = (batch["image"], batch["label"]) if isinstance(batch, dict) else batch
        columns = {"labels": 1 - torch.as_tensor(labels)}
        return {"fake": (images.flip(-1), columns) if self.returns == "pair" else images.flip(-1)}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.sample(2).mean()


def sample(model: LightningModule, n: int) -> Any:
    """Return images with their classes: always the first of the same ones."""
    return DRAWN[:n], {"labels": DRAWN_LABELS[:n]}


def pairs(images: Tensor = REAL, labels: Any = LABELS, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(images, labels), batch_size=options.pop("batch_size", 4), **options)


def watching(**options: Any) -> Any:
    common = {"measures": MEASURES, "sample": sample, "label_key": 1, "num_samples": len(REAL), "batch_size": len(REAL)}
    common |= {"sample": None} if "fake_key" in options else {}
    return monitor(**{**common, **options})


def run(callback: Any, real: Any = None, model: LightningModule | None = None, **options: Any) -> dict[str, float]:
    model = model or Step()
    real = pairs() if real is None else real
    return dict(trainer(callback, **options).validate(model, real, verbose=False)[0])


def expected(fake: Tensor, labels: Tensor, real: Tensor = REAL, real_labels: Tensor = LABELS) -> dict[str, float]:
    """Return the values of the metric by itself."""
    metric = GenerativeMetrics(MEASURES, Pixels())
    metric.update(real, real=True, labels=real_labels)
    metric.update(fake, real=False, labels=labels)
    return {f"val/{key}": value.item() for key, value in metric.compute().items()}


def of_a_batch(model: LightningModule, n: int, batch: list[Tensor]) -> Tensor:
    return 255 - batch[0]


def of_a_batch_with_labels(model: LightningModule, n: int, batch: list[Tensor]) -> Any:
    return 255 - batch[0], {"labels": (1 - batch[1]).tolist()}


class Flipped(Step):
    returns = "pair"


SOURCES = {
    "sample": ({}, Step, expected(DRAWN, DRAWN_LABELS)),
    "sample of a batch": ({"sample": of_a_batch}, Step, expected(255 - REAL, LABELS)),
    "sample of a batch, with labels": ({"sample": of_a_batch_with_labels}, Step, expected(255 - REAL, 1 - LABELS)),
    "step": ({"fake_key": "fake"}, Step, expected(REAL.flip(-1), LABELS)),
    "step, with labels": ({"fake_key": "fake"}, Flipped, expected(REAL.flip(-1), 1 - LABELS)),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("world_size", [1, pytest.param(2, marks=pytest.mark.slow), 3])
@pytest.mark.usefixtures("forks")
def test_they_go_with_their_images_on_any_number_of_ranks(source: str, world_size: int) -> None:
    """23 images on 2 or 3 ranks: what the sampler repeats to fill up the ranks has labels too, and is not counted."""
    options, model, values = SOURCES[source]
    ranks = {"devices": world_size, "strategy": "ddp_fork"} if world_size > 1 else {}
    assert run(watching(**options), model=model(), **ranks) == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize(
    ("label_key", "real"),
    [
        (1, pairs()),
        (-1, pairs()),
        (lambda batch: batch[1], pairs()),
        (1, pairs(labels=LABELS.to(torch.int32))),
        (1, pairs(labels=LABELS.to(torch.uint8))),
        ("label", DataLoader(ROWS, batch_size=4)),
        (
            "label",
            DataLoader(
                ROWS,
                batch_size=4,
                collate_fn=lambda rows: {**default_collate(rows), "label": [r["label"] for r in rows]},
            ),
        ),
        (lambda batch: batch["label"].numpy(), DataLoader(ROWS, batch_size=4)),
    ],
)
def test_they_are_found_by_key_position_and_callable_in_any_form(label_key: Any, real: Any) -> None:
    callback = watching(label_key=label_key, image_key="image" if real.dataset is ROWS else 0)
    assert run(callback, real) == pytest.approx(expected(DRAWN, DRAWN_LABELS), rel=1e-6)


@pytest.mark.parametrize("source", ["loader", "file"])
def test_real_labels_come_with_a_loader_or_a_file(source: str, tmp_path: Path) -> None:
    metric = GenerativeMetrics(MEASURES, Pixels())
    metric.update(REAL, real=True, labels=LABELS)
    metric.save_reference(tmp_path / "real.safetensors")
    options = {"real": pairs()} if source == "loader" else {"real": tmp_path / "real.safetensors", "label_key": None}
    assert run(watching(**options)) == pytest.approx(expected(DRAWN, DRAWN_LABELS), rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            LABELS[:3],
            ValueError,
            r"integers \(4,\), one an image, got a tensor \(3,\) of torch.int64.*repeat_interleave",
        ),
        (LABELS[:4, None], ValueError, r"integers \(4,\), one an image, got a tensor \(4, 1\).*labels.flatten"),
        (LABELS[:4].float(), TypeError, r"integers \(4,\), got a tensor \(4,\) of torch.float32.*labels.long"),
        (LABELS[:4].bool(), TypeError, "got a tensor .* of torch.bool"),
        (["cat", "dog", "cat", "dog"], TypeError, "got a list of str, str, str, str.*numbers of their classes"),
        (None, ValueError, "label_key=.*Expected labels of the images in the batch, got a list of Tensor, NoneType"),
    ],
)
def test_other_labels_are_refused(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_labels([REAL[:4], labels], 1, 4)


def test_columns_of_other_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sample: Expected columns among \['labels', 'captions'\].*got 'classes'"):
        checked_columns({"classes": LABELS}, 23, "sample")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_key": None}, r"label_key=: intra_fid\(.*\) reads labels of real images, got no way to them. Remedy:"),
        ({"measures": [FID()]}, "label_key=: expected a measure that reads labels, got none that does. Remedy:"),
    ],
)
def test_a_key_is_given_exactly_where_a_measure_reads_labels(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        watching(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_key": 2}, "label_key=2: Expected labels of the images in the batch, got a list of Tensor, Tensor"),
        ({"label_key": "label"}, "label_key='label': Expected labels"),
        ({"sample": lambda model, n: DRAWN[:n]}, r"sample=.*lambda.*Expected labels beside the images.*got the images"),
        ({"sample": lambda model, n: DRAWN[:n]}, "A model that draws no class has none: leave out the measures"),
        ({"sample": lambda model, n: (DRAWN[:n], {})}, r"sample=.*lambda.*Expected labels beside the images"),
        (
            {"sample": lambda model, n: (DRAWN[:n], {"labels": LABELS[:2]})},
            r"sample=.*lambda.*Expected labels, integers",
        ),
    ],
)
def test_missing_labels_show_before_the_first_step_and_nothing_is_counted(
    options: dict[str, Any], message: str
) -> None:
    callback, model = watching(**options), Step()
    with pytest.raises((ValueError, TypeError), match=message):
        fit(callback, model=model, real=pairs(), num_sanity_val_steps=1)
    assert model.global_step == 0
    assert callback.metric.num_samples("real") == callback.metric.num_samples("fake") == 0


def test_a_step_against_a_file_without_labels_is_told(tmp_path: Path) -> None:
    metric = GenerativeMetrics(MEASURES, Pixels())
    metric.update(REAL, real=True, labels=LABELS)
    metric.save_reference(tmp_path / "real.safetensors")
    options = {"fake_key": "fake", "real": tmp_path / "real.safetensors", "label_key": None}
    with pytest.raises(ValueError, match="fake_key: Expected labels beside the images, as a measure reads them"):
        run(watching(**options))
    assert run(watching(**options), model=Flipped()) == pytest.approx(expected(REAL.flip(-1), 1 - LABELS), rel=1e-6)
    assert run(watching(**{**options, "label_key": 1})) == pytest.approx(expected(REAL.flip(-1), LABELS), rel=1e-6)


def test_other_measures_take_a_pair_too() -> None:
    got = run(watching(measures=[FID()], label_key=None))
    assert got["val/fd_pixels"] == pytest.approx(expected(DRAWN, DRAWN_LABELS)["val/fd_pixels"], rel=1e-6)
