"""Kept samples: the first generated images of each measured epoch as files, for people to judge later."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.images.encode import png_of

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.monitor.trainer import Run


@dataclass(frozen=True)
class KeptSamples:
    """Kept samples, a folder for each measurement with a PNG for each image: ``epoch=03-step=450/0000.png``.

    Args:
        folder: where those folders go.
        count: images of each, at most.
    """

    folder: Path
    count: int

    def keep(self, run: Run, images: Tensor) -> None:
        """Write images of a training, on the rank that writes; an error is a warning, no reason to end a training."""
        if run.stage != "fit" or run.dev_batches or not run.is_writer:
            return
        try:
            self.write(f"epoch={run.epoch:02d}-step={run.step}", images[: self.count])
        except OSError as error:
            warnings.warn(f"Samples of epoch {run.epoch} are not kept in {self.folder}: {error}", stacklevel=2)

    def write(self, name: str, images: Tensor) -> None:
        """Write images ``(N, 3, H, W)`` uint8 into a folder of this name: all of them, or none where it fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Hidden until it is whole, so that whoever reads the folder meanwhile passes it over.
        with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".partial", dir=self.folder) as partial:
            made, there = Path(partial, "made"), self.folder / name
            made.mkdir()
            for number, image in enumerate(images):
                (made / f"{number:04d}.png").write_bytes(png_of(image))
            if there.exists():  # of a run that was resumed from before it
                shutil.move(there, Path(partial, "before"))
            made.rename(there)
