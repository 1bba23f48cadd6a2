"""Kept evidence: scores of each measured epoch, and what they are compared by, as files that the command line reads."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics import Signature
from streaming_metrics.verdicts.files import save_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.monitor.settings import Settings
    from streaming_metrics.monitor.trainer import Run


@dataclass(frozen=True)
class KeptEvidence:
    """Kept evidence, a file for each measurement of a training: ``epoch=03-step=450.json``.

    Args:
        folder: where they go.
        settings: of the monitor.
        by_batch: whether images come with validation batches, and so depend on how many ranks there are.
    """

    folder: Path
    settings: Settings
    by_batch: bool = False

    def keep(self, run: Run, values: Mapping[str, Tensor], metric: GenerativeMetrics) -> None:
        """Write a measurement, on the rank that writes; an error is a warning, no reason to end a training."""
        if run.stage != "fit" or run.dev_batches or not run.is_writer or not metric.evidence:
            return
        name = f"epoch={run.epoch:02d}-step={run.step}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_scores(
                self.folder / f"{name}.json",
                {key: float(values[key]) for key in metric.keys if key in values},
                metric.signature(),
                metric.evidence,
                real=self._real(metric),
                fake={"source": name, "num_samples": _counted(metric, "fake")},
                ids={"seeds": self._seeds(run)},
            )
        except OSError as error:
            warnings.warn(f"Evidence of epoch {run.epoch} is not kept in {self.folder}: {error}", stacklevel=2)

    def _real(self, metric: GenerativeMetrics) -> dict[str, Any]:
        source = "val" if self.settings.real_is_validation else "real"
        data = (metric.samples_digest("real") or metric.frozen_digest("real")) if metric.is_frozen else None
        return {"source": source, "num_samples": _counted(metric, "real"), "data": data}

    def _seeds(self, run: Run) -> str:
        seeds = f"seed {self.settings.seed}, batches of {self.settings.batch_size}"
        return seeds + (f", with validation batches on {run.world_size} ranks" if self.by_batch else "")


def _counted(metric: GenerativeMetrics, role: str) -> int | None:
    """Return how many samples the last measurement was of, over all ranks; None where a file does not say."""
    count = getattr(Signature.parse(metric.signature()), role)
    return count if isinstance(count, int) else None
