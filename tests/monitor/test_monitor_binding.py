"""Binding in a monitor: after the first epoch no generated features are kept, and the values are the same."""

# ruff: noqa: ARG002 (hooks have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lightning.pytorch import Callback
from trainings import QUIET, REAL, TINY, fit, kept_features, loader, monitor

from streaming_metrics import NDB, PRDC, AuthPct

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

pytestmark = [*QUIET, TINY, pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")]

MEASURES = [PRDC(k=2, recall=False), NDB(bins=3), AuthPct()]
TRAIN = REAL.flip(-1)


def sample(model: LightningModule, n: int) -> Tensor:
    """Return other images at each epoch."""
    return REAL[:n] // (1 + model.current_epoch)


class Watched(Callback):
    """Notes, epoch by epoch, the rows of generated features that a monitor keeps while it computes, and its values."""

    def __init__(self, watching: Any) -> None:
        self.watching, self.kept, self.values = watching, [], []

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.kept.append(kept_features(self.watching.metric))
        self.values.append({key: float(trainer.callback_metrics[key]) for key in self.watching.keys})


def epochs(**options: Any) -> Watched:
    """Return what was noted of two epochs."""
    train = {"train": loader(TRAIN)} if AuthPct() in options.get("measures", MEASURES) else {}
    common = {"measures": MEASURES, "sample": sample, "num_samples": 20, "batch_size": 20}
    watching = monitor(**{**common, **train, **options})
    noted = Watched(watching)
    fit(watching, noted, max_epochs=2)
    return noted


@pytest.mark.parametrize("measures", [[one] for one in MEASURES] + [MEASURES], ids=str)
def test_the_second_epoch_keeps_no_features_and_has_the_unbound_values(measures: list[Any]) -> None:
    bound, unbound = epochs(measures=measures), epochs(measures=measures, bind_limit=0)
    assert bound.values == unbound.values
    assert bound.values[0] != bound.values[1]
    assert bound.kept[1] == 0
    assert unbound.kept == [20, 20]
