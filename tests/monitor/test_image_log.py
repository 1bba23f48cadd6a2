"""Grids and lines of text reach the loggers that take them, and leave the others alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
import torch

from streaming_metrics.monitor.image_log import image_grid, log_hyperparameter, log_images, log_text

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Logger:
    def __init__(self) -> None:
        self.experiment, self.log_image, self.run_id = MagicMock(), MagicMock(), "run"
        self.log_hyperparams = MagicMock()


class WandbLogger(Logger): ...


class MyWandbLogger(WandbLogger): ...


class MLFlowLogger(Logger): ...


class CSVLogger(Logger): ...


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def test_tensorboard_gets_a_picture_at_the_step_and_the_text(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import TensorBoardLogger

    logger = TensorBoardLogger(tmp_path, name="", version="")
    assert log_images([logger], "val/samples", IMAGES, step=12) == ["TensorBoardLogger"]
    assert log_text([logger], "val/signature", "fid|v0", step=12) == ["TensorBoardLogger"]
    logger.experiment.flush()
    written = events(tmp_path)
    [picture] = written.Images("val/samples")
    assert picture.step == 12
    assert (picture.height, picture.width) == image_grid(IMAGES).shape[1:]
    assert b"fid|v0" in written.Tensors("val/signature/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.parametrize("kind", [WandbLogger, MyWandbLogger])
def test_wandb_gets_one_picture(kind: type[Logger]) -> None:
    logger = kind()
    assert log_images([logger], "val/samples", IMAGES, step=3) == [kind.__name__]
    [call] = logger.log_image.call_args_list
    assert call.args[0] == "val/samples"
    assert call.args[1][0].shape == (*image_grid(IMAGES).shape[1:], 3)
    assert call.kwargs == {"step": 3}
    log_text([logger], "val/signature", "fid|v0", step=3)
    logger.experiment.summary.__setitem__.assert_called_once_with("val/signature", "fid|v0")


def test_mlflow_gets_one_picture_of_its_run() -> None:
    logger = MLFlowLogger()
    assert log_images([logger], "val/samples", IMAGES, step=3) == ["MLFlowLogger"]
    [call] = logger.experiment.log_image.call_args_list
    assert call.args[0] == "run"
    assert call.kwargs == {"key": "val/samples", "step": 3}
    log_text([logger], "val/signature", "fid|v0", step=3)
    logger.experiment.set_tag.assert_called_once_with("run", "val/signature", "fid|v0")


def test_a_hyper_parameter_goes_to_every_logger_whose_parameters_may_change() -> None:
    loggers = [WandbLogger(), CSVLogger(), MLFlowLogger(), object()]
    assert log_hyperparameter(loggers, "val/signature", "fid|v0") == ["WandbLogger", "CSVLogger"]
    for logger in loggers[:2]:
        logger.log_hyperparams.assert_called_once_with({"val/signature": "fid|v0"})
    loggers[2].log_hyperparams.assert_not_called()


def test_tensorboard_keeps_the_modules_own_hyper_parameters(tmp_path: Path) -> None:
    import yaml
    from lightning.pytorch.loggers import TensorBoardLogger

    logger = TensorBoardLogger(tmp_path, name="", version="")
    logger.log_hyperparams({"width": 3})
    logger.save()
    assert log_hyperparameter([logger], "val/signature", "fid|v0") == ["TensorBoardLogger"]
    assert yaml.safe_load((tmp_path / "hparams.yaml").read_text()) == {"width": 3, "val/signature": "fid|v0"}
    assert [event.value for event in events(tmp_path).Scalars("hp_metric")] == [-1.0]


def test_other_loggers_are_passed_over() -> None:
    logger = CSVLogger()
    assert log_images([logger, WandbLogger()], "x", IMAGES, step=0) == ["WandbLogger"]
    assert log_text([logger], "x", "y", step=0) == []
    assert not logger.experiment.mock_calls
    assert not logger.log_image.mock_calls


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 3, 8, 8), (3, 64, 64)),
        ((16, 3, 8, 8), (3, 4 * 66 + 2, 4 * 66 + 2)),
        ((4, 1, 30, 20), (3, 2 * 92 + 2, 2 * 62 + 2)),
        ((2, 3, 100, 64), (3, 104, 2 * 66 + 2)),
    ],
)
def test_small_images_are_enlarged_by_a_whole_number(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    grid = image_grid(torch.zeros(shape, dtype=torch.uint8))
    assert grid.shape == expected
    assert grid.dtype == torch.uint8


def test_enlarging_repeats_pixels() -> None:
    assert torch.equal(image_grid(IMAGES[:1])[:, ::8, ::8], IMAGES[0])
