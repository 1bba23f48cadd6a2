"""Whoever starts the ranks, the number is the same: torchrun, Fabric, accelerate; Lightning is in tests/monitor."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import WIDTH, draw_features

from streaming_metrics import FID, PRDC, Features, GenerativeMetrics

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks

REAL, FAKE = draw_features(1), draw_features(2, shift=0.3)


def value_of(real: Features, fake: Features) -> dict[str, float]:
    metric = GenerativeMetrics([FID(), PRDC(k=3)], extractor=None, num_features=WIDTH)
    metric.update(Features(real.pool, index=real.index), real=True)
    metric.update(Features(fake.pool, index=fake.index), real=False)
    return {key: value.item() for key, value in metric.compute().items()}


TORCHRUN = """
import pathlib, sys, torch, torch.distributed as dist
from streaming_metrics import FID, GenerativeMetrics

dist.init_process_group("gloo")
metric = GenerativeMetrics([FID()], extractor=None, num_features=2)
rows = torch.arange(24.0).view(12, 2).sin()
for role in (True, False):
    metric.update((rows + role)[dist.get_rank() :: dist.get_world_size()], real=role)
pathlib.Path(sys.argv[1], str(dist.get_rank())).write_text(str(metric.compute()["fd_features"].item()))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(TORCHRUN)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, *launch, str(script), str(tmp_path)]
    subprocess.run(command, capture_output=True, check=True, env=environment)
    values = [float((tmp_path / str(rank)).read_text()) for rank in range(2)]
    assert values == [pytest.approx(2.0, rel=1e-6)] * 2


def in_fabric(fabric: Any, folder: str) -> None:
    torch.set_num_threads(1)
    part = slice(fabric.global_rank, None, fabric.world_size)
    torch.save(value_of(REAL[part], FAKE[part]), f"{folder}/{fabric.global_rank}.pt")


def test_fabric(tmp_path: Path) -> None:
    from lightning.fabric import Fabric

    Fabric(accelerator="cpu", devices=2, strategy="ddp_fork").launch(in_fabric, str(tmp_path))
    answers = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert answers[0] == answers[1] == pytest.approx(value_of(REAL, FAKE), rel=1e-9)


def in_a_spawned_process(_: int, metric: GenerativeMetrics, path: str) -> None:
    torch.save({key: value.item() for key, value in metric.compute().items()}, path)


@pytest.mark.slow
def test_a_metric_travels_to_a_process_that_is_spawned(tmp_path: Path) -> None:
    metric = GenerativeMetrics([FID(), PRDC(k=3)], extractor=None, num_features=WIDTH)
    for side, real in ((REAL, True), (FAKE, False)):
        metric.update(side, real=real)
    torch.multiprocessing.spawn(in_a_spawned_process, (metric, str(tmp_path / "values.pt")))
    assert torch.load(tmp_path / "values.pt") == {key: value.item() for key, value in metric.compute().items()}


def in_accelerate(_: Any, gather: bool) -> tuple[dict[str, float], str]:
    """Each rank gives its own batches; or, gathered, all samples to a metric that is told not to sync."""
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration
    from torch.utils.data import DataLoader, TensorDataset

    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(even_batches=gather))
    assert REAL.pool is not None
    assert FAKE.pool is not None
    data = TensorDataset(torch.arange(len(REAL)), REAL.pool, FAKE.pool)
    measures = [FID(), PRDC(k=3)]
    metric = GenerativeMetrics(measures, extractor=None, num_features=WIDTH, sync_on_compute=not gather)
    for batch in accelerator.prepare(DataLoader(data, batch_size=3)):
        index, real, fake = accelerator.gather_for_metrics(batch) if gather else batch
        metric.update(real, real=True, index=index)
        metric.update(fake, real=False, index=index)
    return {key: value.item() for key, value in metric.compute().items()}, accelerator.distributed_type.value


@pytest.mark.parametrize("gather", [True, False])
def test_accelerate(ranks: Ranks, gather: bool) -> None:
    for answer, kind in ranks.run(4, in_accelerate, gather):
        assert kind != "NO"
        assert answer == pytest.approx(value_of(REAL, FAKE), rel=1e-9)


def gathered_and_synced(_: Any) -> str:
    metric = GenerativeMetrics([PRDC(k=3)], extractor=None, num_features=WIDTH)
    for role, side in ((True, REAL), (False, FAKE)):
        metric.update(Features(side.pool, index=side.index), real=role)
    with pytest.raises(ValueError, match="gather_for_metrics") as caught:
        metric.compute()
    return str(caught.value)


def test_gathered_samples_that_are_synced_again_are_refused(ranks: Ranks) -> None:
    assert all("120 real samples came twice" in message for message in ranks.run(4, gathered_and_synced))
