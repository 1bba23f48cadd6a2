"""Several networks in one monitor: the values of a monitor of each, from images that are generated once."""

# ruff: noqa: ARG002 (samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from trainings import QUIET, REAL, TINY, Model, Pixels, fit, loader, monitor, trainer, validate

from streaming_metrics import FID, PRDC, GenerativeMetrics
from streaming_metrics.extractors import ModuleExtractor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [*QUIET, TINY, pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")]

DRAWN = REAL.flip(-1).flip(0)[:20]


class Rows(Pixels):
    """Means of the rows' thirds: 12 features; counts its batches."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float(), (4, 1)).flatten(1) / 255


MEASURES = [FID(), PRDC(k=2), FID(on="rows"), PRDC(k=2, on="rows")]
KEYS = [f"{key}_{tag}" for tag in ("pixels", "rows") for key in ("fd", "precision", "recall", "density", "coverage")]


def networks() -> dict[str, Any]:
    return {"pixels": Pixels(), "rows": Rows()}


class Drawn:
    """Sampler that counts what is asked of it."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, model: Any, n: int) -> Tensor:
        self.asked += n
        return DRAWN[:n]


def watching(measures: Any = MEASURES, **options: Any) -> Any:
    common = {"extractor": networks(), "sample": Drawn(), "num_samples": 20, "batch_size": 20}
    return monitor(measures, **{**common, **options})


def alone(**options: Any) -> dict[str, float]:
    """Return the values of two monitors with one network each."""
    measures = [FID(), PRDC(k=2)]
    return {
        key: value
        for network in networks().values()
        for key, value in validate(watching(measures, extractor=network, **options)).items()
    }


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.usefixtures("forks")
def test_the_values_are_those_of_a_monitor_of_each(world_size: int) -> None:
    ranks = {"devices": world_size, "strategy": "ddp_fork"} if world_size > 1 else {}
    got = validate(watching(), **ranks)
    assert list(got) == [f"val/{key}" for key in KEYS]
    assert got == pytest.approx(alone(), rel=1e-6)


def test_each_network_sees_each_batch_once_and_images_are_generated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    extract = ModuleExtractor.extract

    def counted(self: ModuleExtractor, images: Tensor) -> Any:
        seen.append((self.tag, len(images)))
        return extract(self, images)

    monkeypatch.setattr(ModuleExtractor, "extract", counted)
    callback = watching()
    validate(callback)
    batches = [4, 4, 4, 4, 4, 3, 20]
    assert {tag: sorted(n for t, n in seen if t == tag) for tag in ("pixels", "rows")} == dict.fromkeys(
        ("pixels", "rows"), sorted(batches)
    )
    assert callback.sampler.sample.asked == 20
    assert torch.equal(callback.samples, DRAWN[:16])


def test_real_is_a_file_of_each_network_in_any_order(tmp_path: Path) -> None:
    metric = GenerativeMetrics(MEASURES, networks())
    metric.update(REAL, real=True)
    files = [tmp_path / f"{name}.safetensors" for name in ("rows", "pixels")]
    for name, file in zip(("rows", "pixels"), files):
        metric.save_reference(file, on=name)
    assert validate(watching(real=files)) == pytest.approx(alone(), rel=1e-6)
    with pytest.raises(ValueError, match="expected one of each network, got none of 'module-rows"):
        watching(real=files[1:])
    with pytest.raises(ValueError, match="expected one file of each network, got two of 'module-pixels"):
        watching(real=[files[1], files[1]])


@pytest.mark.parametrize("key", ["val/fd_pixels", "val/fd_rows"])
def test_checkpoints_and_stops_follow_either_networks_key(key: str, tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, monitor=key)
    fitted = fit(watching(), best, EarlyStopping(key), max_epochs=2)
    assert best.best_model_score == fitted.callback_metrics[key]


def test_report_and_loggers_have_the_keys_of_both_and_one_picture(tmp_path: Path) -> None:
    callback = watching(report=True)
    fit(callback, max_epochs=2, logger=TensorBoardLogger(tmp_path, "", ""))
    page = (tmp_path / "report.html").read_text()
    assert all(name in page for name in ("fd_pixels", "fd_rows", "precision_rows"))
    assert "Fixed samples beside their nearest real images" in page
    assert callback.metric.signature() in page.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")


def test_a_measure_of_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected on= to name a network, got networks .*not 'dino'"):
        watching([FID(on="dino")])


def test_two_runs_of_one_monitor_are_alike() -> None:
    callback = watching()
    running = trainer(callback)
    first, second = (running.validate(Model(), loader(), verbose=False)[0] for _ in range(2))
    assert first == second
