"""Value log: hands a run's values to Lightning, with samples and a signature beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.monitor.checks import refuse_non_finite
from streaming_metrics.monitor.image_log import log_hyperparameter, log_images, log_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.monitor.trainer import Run


class ValueLog:
    """Log of one run: values at every measurement, the signature at the first.

    Args:
        prog_bar: whether the first value is shown in the progress bar.
    """

    def __init__(self, prog_bar: bool) -> None:
        self.prog_bar, self._is_signed = prog_bar, False

    def log(
        self, run: Run, values: Mapping[str, Tensor], prefix: str, step: int, samples: Tensor, signature: str
    ) -> None:
        """Log the values that are finite, and the samples.

        Args:
            run: where to.
            values: by key.
            prefix: of the keys.
            step: of all loggers.
            samples: ``(N, 3, H, W)`` uint8; none are no picture.
            signature: how the values came about.

        Raises:
            RuntimeError: where a value that is not finite would decide over a training.
        """
        shown = prefix + next(iter(values), "") if self.prog_bar else None
        run.log(_finite(run, values, prefix), shown, step)
        if run.is_writer and values:
            loggers = run.trainer.loggers
            if len(samples):
                log_images(loggers, f"{prefix}samples", samples, step)
            if not self._is_signed:
                log_text(loggers, f"{prefix}signature", signature, step)
                log_hyperparameter(loggers, f"{prefix}signature", signature)
                self._is_signed = True


def _finite(run: Run, values: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    finite = {}
    for key, value in values.items():
        if value.isfinite():
            finite[prefix + key] = _on(run.device, value)
        else:
            refuse_non_finite(prefix + key, run.deciding)
            run.warn(f"{prefix + key} is not finite: it is not logged this time.")
    return finite


def _on(device: torch.device, value: Tensor) -> Tensor:
    return value.to(device, torch.float32 if device.type == "mps" else value.dtype)
