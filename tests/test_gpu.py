"""On a GPU the same numbers come as on the CPU, and no update waits for the device."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from extractor_table import Classifier, Pixels
from host_reads import HostReads
from reference_weights import draw_images

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics, IntraFID
from streaming_metrics.cli.reading import Pack, ReadResult
from streaming_metrics.core.arrival import arriving
from streaming_metrics.extractors import InceptionV3, ModuleExtractor
from streaming_metrics.extractors.fuse import ConvReLU
from streaming_metrics.pairwise.tiling import GPU_SIZE, LEAST_BF16_WIDTH
from streaming_metrics.precision import full_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

WIDTH, CLASSES, SAMPLES = 16, 5, 300
READS_OF_AN_UPDATE = {"cuda": 0, "cpu": 1}
"""Whether all features and logits are finite: a GPU is asked at the next call."""
NON_FINITE = "the update before this call: fake batch .* 1 of 300 samples have non-finite pool"

DEVICES = [pytest.param("cuda", marks=pytest.mark.gpu), "cpu"]
on_devices = pytest.mark.parametrize("device", DEVICES)


@pytest.fixture(autouse=True)
def needs_a_gpu(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("There is no CUDA device.")


def draw(seed: int) -> Features:
    generator = torch.Generator().manual_seed(seed)
    pool = torch.randn(SAMPLES, WIDTH, generator=generator) + 0.1 * seed
    return Features(pool, torch.randn(SAMPLES, CLASSES, generator=generator), torch.arange(SAMPLES))


def fed(device: str, *measures: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics(measures, extractor=None, num_features=WIDTH, num_classes=CLASSES).to(device)
    for seed, real in enumerate((True, False)):
        features = draw(seed).to(torch.device(device))
        for start in range(0, SAMPLES, 64):
            metric.update(features[slice(start, start + 64)], real=real)
    return metric


def waits(update: Callable[[], None]) -> int:
    """Return how often CUDA says that ``update`` waited for the device."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            update()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return sum("synchroniz" in str(warning.message) for warning in told)


@contextmanager
def refusing_waits() -> Iterator[None]:
    """Let everything inside fail that waits for the device."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def updates(device: str) -> tuple[GenerativeMetrics, Callable[[], None]]:
    """Return a metric, and the update of one batch that is already on its device."""
    metric = fed(device, FID(), KID(subsets=2, subset_size=9), IS(), PRDC())
    batch = draw(2).to(torch.device(device))
    given = Features(batch.pool, batch.logits)
    return metric, lambda: metric.update(given, real=False)


@on_devices
def test_an_update_reads_one_value_of_all_columns(device: str) -> None:
    metric, update = updates(device)
    metric.settle()
    with HostReads() as reads:
        update()
    assert reads.count == READS_OF_AN_UPDATE[device]
    assert metric.num_samples("fake") == 2 * SAMPLES


@pytest.mark.gpu
def test_updates_wait_for_nothing() -> None:
    metric, update = updates("cuda")
    update()  # what is made once
    with refusing_waits():
        for _ in range(3):
            update()
    assert metric.num_samples("fake") == 5 * SAMPLES


@pytest.mark.gpu
def test_labels_and_ids_on_the_device_are_checked_without_a_wait() -> None:
    metric = GenerativeMetrics([IntraFID(classes=CLASSES)], extractor=None, num_features=WIDTH).to("cuda")
    some = draw(0).having(labels=torch.arange(SAMPLES) % CLASSES).to(torch.device("cuda"))
    metric.update(some, real=True)
    with refusing_waits():
        metric.update(some, real=False)
        metric.update(some.having(index=some.index + SAMPLES), real=False)
    with refusing_waits():
        metric.update(some.having(index=some.index + 2 * SAMPLES, labels=some.labels + 1), real=False)
    with pytest.raises(ValueError, match=r"labels: expected classes in \[0, 5\), got 1 to 5"):
        metric.compute()
    assert metric.num_samples("fake") == 2 * SAMPLES


@pytest.mark.gpu
def test_a_bad_batch_is_told_by_the_next_call_and_not_added() -> None:
    metric, update = updates("cuda")
    expected = {name: state.clone() for name, state in metric.metric_state.items()}
    poisoned = draw(3).pool
    poisoned[7, 3] = torch.nan
    given = Features(poisoned, draw(3).logits).to(torch.device("cuda"))
    for call in (update, metric.compute, metric.state_dict, lambda: metric.to("cpu")):
        metric.update(given, real=False)
        with pytest.raises(ValueError, match=NON_FINITE):
            call()
    assert all(torch.equal(state, expected[name]) for name, state in metric.metric_state.items())


@pytest.mark.gpu
def test_a_batch_is_added_behind_the_work_of_its_stream() -> None:
    metric, _ = updates("cuda")
    alone, given = fed("cuda", *metric.measures), draw(2)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        metric.update(Features(given.pool.cuda(), given.logits.cuda()), real=False)
    alone.update(Features(given.pool.cuda(), given.logits.cuda()), real=False)
    for name, state in metric.metric_state.items():
        torch.testing.assert_close(state, alone.metric_state[name])


@pytest.mark.gpu
def test_what_was_given_may_be_written_over_at_once() -> None:
    metric = GenerativeMetrics([FID()], Pixels(), tag="pixels", num_features=12).to("cuda")
    images = torch.randint(0, 256, (256, 3, 64, 64), dtype=torch.uint8)
    metric.update(images, real=True)
    given = images.clone().pin_memory()
    torch.cuda._sleep(100_000_000)  # so that the copy would be late, were it behind what is queued
    metric.update(given, real=False)
    given.zero_()
    real, fake = (state for name, state in metric.metric_state.items() if "moments" in name)
    assert torch.equal(real, fake)


@pytest.mark.gpu
def test_images_are_copied_while_the_device_is_at_work() -> None:
    images = torch.zeros(64, 3, 64, 64, dtype=torch.uint8).pin_memory()
    device = torch.device("cuda", torch.cuda.current_device())
    with arriving(images, device):
        pass
    torch.cuda.synchronize()
    torch.cuda._sleep(1_000_000_000)
    busy = torch.cuda.current_stream().record_event()
    with arriving(images, device):
        pass
    assert not busy.query()


@pytest.mark.gpu
def test_the_statistics_wait_for_nothing() -> None:
    metric, _ = updates("cuda")
    batch = draw(2).having(hashes=torch.arange(SAMPLES)).to(torch.device("cuda"))
    states = metric._states.local("fake", 0).states
    with refusing_waits():
        for statistic, state in states.items():
            statistic.update(state, batch)


@on_devices
def test_states_equal_those_of_the_cpu(device: str) -> None:
    there, here = (fed(where, FID(), IS(splits=2)).metric_state for where in (device, "cpu"))
    assert there.keys() == here.keys()
    for name, state in there.items():
        torch.testing.assert_close(state.cpu(), here[name], rtol=1e-9, atol=1e-9)


def of_equal_counts(there: dict[str, Tensor], here: dict[str, Tensor]) -> bool:
    """Return whether values are of the same counts: a GPU divides by a number to the last bit only."""
    values = zip(there.values(), here.values(), strict=True)
    return there.keys() == here.keys() and all(abs(a.item() - b.item()) <= 1e-15 for a, b in values)


@on_devices
def test_counts_equal_those_of_the_cpu(device: str) -> None:
    there, here = (fed(where, PRDC(k=4, f1=True)).compute() for where in (device, "cpu"))
    assert of_equal_counts(there, here)


@on_devices
def test_autocast_outside_changes_no_feature(device: str) -> None:
    extractor = ModuleExtractor(Classifier(), tag="tiny", value_range=(0, 1)).to(device)
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, device=device)
    before = extractor(images).columns()
    with torch.autocast(device, torch.bfloat16):
        inside = extractor(images).columns()
    for name, rows in inside.items():
        assert rows.dtype == torch.float32
        assert torch.equal(rows, before[name])


@pytest.mark.gpu
def test_counts_over_several_tiles_equal_those_of_the_cpu() -> None:
    """Tiles are larger on a GPU, and bounded by bfloat16 products first."""
    generator = torch.Generator().manual_seed(0)
    sides = [torch.randn(GPU_SIZE + 300, LEAST_BF16_WIDTH, generator=generator).relu() + 0.02 * n for n in range(2)]
    values = {}
    for device in ("cuda", "cpu"):
        metric = GenerativeMetrics([PRDC(k=4)], extractor=None, num_features=LEAST_BF16_WIDTH).to(device)
        for rows, real in zip(sides, (True, False)):
            metric.update(rows.to(device), real=real)
        values[device] = metric.compute()
    assert of_equal_counts(values["cuda"], values["cpu"])


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "within"), [("fp32", 1e-5), ("tf32", 2e-2), ("bf16", 0.1)])
def test_inception_on_a_gpu_is_as_near_as_its_precision(precision: str, within: float, inception_weights: Path) -> None:
    images = draw_images(5, 40, 56)
    exact = InceptionV3(inception_weights)(images)
    network = InceptionV3(inception_weights, precision=precision).to("cuda")
    for column, rows in network(images).columns().items():
        expected = exact.columns()[column]
        assert rows.dtype == torch.float32
        assert (rows.cpu() - expected).norm() <= within * expected.norm()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_one_pass_of_cudnn_is_a_convolution_and_a_relu(dtype: torch.dtype) -> None:
    conv = torch.nn.Conv2d(3, 8, (1, 7), stride=2, padding=(0, 3)).requires_grad_(False).to("cuda", dtype)
    images = torch.randn(4, 3, 21, 17, device="cuda", dtype=dtype)
    within = 1e-5 if dtype == torch.float32 else 2e-2
    with full_precision(torch.device("cuda")):
        torch.testing.assert_close(ConvReLU(conv)(images), conv(images).relu(), rtol=within, atol=within)


@pytest.mark.gpu
def test_batches_for_a_gpu_are_pinned() -> None:
    pack = Pack(torch.arange(24, dtype=torch.uint8), [(3, 2, 2)] * 2, [4, 7], 2, ReadResult())
    for (batch, index), (plain, _) in zip(pack.groups(pinned=True), pack.groups()):
        assert batch.is_pinned()
        assert not plain.is_pinned()
        assert torch.equal(batch, plain)
        assert index.tolist() == [4, 7]


@pytest.mark.gpu
def test_pinned_images_travel_without_a_wait_and_arrive() -> None:
    metric = GenerativeMetrics([FID()], Pixels(), tag="pixels", num_features=12).to("cuda")
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    metric.update(images, real=True)
    pinned = images.pin_memory()
    metric.settle()
    torch.cuda.synchronize()
    assert waits(lambda: metric.update(pinned, real=False)) == 0
    real, fake = (state for name, state in metric.metric_state.items() if "moments" in name)
    assert torch.equal(real, fake)
