"""Image log: sends a grid of images, and a line of text, to loggers that take them: TensorBoard, W&B, MLflow.

A logger is known by the name of its class (or of a base class), so that none of their packages is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torchvision.utils import make_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor


def image_grid(images: Tensor, *, columns: int | None = None, min_side: int = 64) -> Tensor:
    """Return the images as one picture, as square as can be, small images enlarged by a whole number.

    Args:
        images: ``(N, 1 or 3, H, W)`` uint8, N ≥ 1.
        columns: images in a row; None takes ``ceil(sqrt(N))``.
        min_side: images smaller than this are repeated pixel by pixel until they are not.

    Returns:
        ``(3, H', W')`` uint8, on the CPU.

    Example:
        >>> image_grid(torch.zeros(5, 3, 8, 8, dtype=torch.uint8)).shape
        torch.Size([3, 134, 200])
    """
    factor = max(1, -(-min_side // max(images.shape[-2:])))
    enlarged = images.cpu().repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    nrow = columns or int(torch.tensor(len(images)).sqrt().ceil())
    return make_grid(enlarged, nrow=nrow, padding=2, pad_value=255)


def log_images(loggers: Iterable[Any], tag: str, images: Tensor, step: int) -> list[str]:
    """Send one grid of the images to every logger that takes pictures.

    Args:
        loggers: Lightning loggers; those not known here are passed over.
        tag: the picture's name, e.g. ``"val/samples"``.
        images: ``(N, 1 or 3, H, W)`` uint8.
        step: the trainer's global step.

    Returns:
        The class names of the loggers that took it.
    """
    picture = image_grid(images).permute(1, 2, 0).numpy()
    return _send(_IMAGE_DOORS, loggers, tag, picture, step)


def log_text(loggers: Iterable[Any], tag: str, text: str, step: int) -> list[str]:
    """Send a line of text, such as a metric's signature, to every logger that takes one; see :func:`log_images`."""
    return _send(_TEXT_DOORS, loggers, tag, text, step)


def log_hyperparameter(loggers: Iterable[Any], name: str, value: str) -> list[str]:
    """Add one hyper-parameter to those that loggers have; return the class names of the loggers that took it.

    TensorBoard's goes into ``hparams.yaml``, beside the module's own: its summary of hyper-parameters can be written
    once only. MLflow is passed over: its parameters never change, and the tag of :func:`log_text` says the same.
    """
    doors = {"Logger": _any_hyperparameter, "TensorBoardLogger": _tensorboard_hyperparameter, "MLFlowLogger": None}
    return _send(doors, loggers, name, value)


def _send(doors: Mapping[str, Callable[..., None] | None], loggers: Iterable[Any], *message: Any) -> list[str]:
    found = [(logger, _door(doors, logger)) for logger in loggers]
    for logger, door in found:
        if door is not None:
            door(logger, *message)
    return [type(logger).__name__ for logger, door in found if door is not None]


def _door(doors: Mapping[str, Callable[..., None] | None], logger: Any) -> Callable[..., None] | None:
    names: Sequence[str] = [base.__name__ for base in type(logger).__mro__]
    return next((doors[name] for name in names if name in doors), None)


def _tensorboard_image(logger: Any, tag: str, picture: NDArray[Any], step: int) -> None:
    logger.experiment.add_image(tag, picture, step, dataformats="HWC")


def _wandb_image(logger: Any, tag: str, picture: NDArray[Any], step: int) -> None:
    logger.log_image(tag, [picture], step=step)


def _mlflow_image(logger: Any, tag: str, picture: NDArray[Any], step: int) -> None:
    logger.experiment.log_image(logger.run_id, picture, key=tag, step=step)


def _tensorboard_text(logger: Any, tag: str, text: str, step: int) -> None:
    logger.experiment.add_text(tag, f"`{text}`", step)


def _wandb_text(logger: Any, tag: str, text: str, step: int) -> None:  # noqa: ARG001
    logger.experiment.summary[tag] = text


def _mlflow_text(logger: Any, tag: str, text: str, step: int) -> None:  # noqa: ARG001
    logger.experiment.set_tag(logger.run_id, tag, text)


def _any_hyperparameter(logger: Any, name: str, value: str) -> None:
    logger.log_hyperparams({name: value})


def _tensorboard_hyperparameter(logger: Any, name: str, value: str) -> None:
    logger.log_hyperparams({name: value}, metrics={})
    Path(logger.log_dir, logger.NAME_HPARAMS_FILE).unlink(missing_ok=True)
    logger.save()  # which writes the file only where there is none


_IMAGE_DOORS = {
    "TensorBoardLogger": _tensorboard_image,
    "WandbLogger": _wandb_image,
    "MLFlowLogger": _mlflow_image,
}
_TEXT_DOORS = {
    "TensorBoardLogger": _tensorboard_text,
    "WandbLogger": _wandb_text,
    "MLFlowLogger": _mlflow_text,
}
