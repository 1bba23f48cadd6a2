"""Measures that bring their network, in a monitor: values, files of both networks, ranks, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from trainings import QUIET, REAL, TINY, Pixels, fit, monitor, validate

from streaming_metrics import FID, GenerativeMetrics, ImageStatistics, SharpnessDifference

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

pytestmark = [*QUIET, TINY]
MEASURES = [FID(), ImageStatistics(), SharpnessDifference()]
DRAWN = REAL.flip(-1).flip(0)[:20] // 2


def sample(model: Any, n: int) -> Tensor:  # noqa: ARG001
    return DRAWN[:n]


def watching(**options: Any) -> Any:
    return monitor(MEASURES, **{"sample": sample, "num_samples": 20, "batch_size": 20, **options})


def expected() -> dict[str, float]:
    metric = GenerativeMetrics(MEASURES, Pixels())
    metric.update(REAL, real=True)
    metric.update(DRAWN, real=False)
    return {f"val/{key}": value.item() for key, value in metric.compute().items()}


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.usefixtures("forks")
def test_the_values_are_those_of_the_metric(world_size: int) -> None:
    ranks = {"devices": world_size, "strategy": "ddp_fork"} if world_size > 1 else {}
    assert validate(watching(), **ranks) == pytest.approx(expected(), rel=1e-6)


def test_real_is_a_file_of_each_network(tmp_path: Path) -> None:
    metric = GenerativeMetrics(MEASURES, Pixels())
    metric.update(REAL, real=True)
    files = [tmp_path / "pixels", tmp_path / "low"]
    for name, file in zip(metric.networks, files):
        metric.save_reference(file, on=name)
    assert validate(watching(real=files)) == pytest.approx(expected(), rel=1e-6)
    with pytest.raises(ValueError, match="got none of 'low-level-1"):
        watching(real=files[0])


def test_checkpoints_follow_its_key_and_the_report_has_it(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, monitor="val/sharpness_difference_pixels")
    fitted = fit(watching(report=tmp_path / "report.html"), best, max_epochs=2)
    assert best.best_model_score == fitted.callback_metrics["val/sharpness_difference_pixels"]
    page = (tmp_path / "report.html").read_text()
    assert all(name in page for name in ("luminance_pixels", "gradients_pixels", "sharpness_excess_pixels"))
