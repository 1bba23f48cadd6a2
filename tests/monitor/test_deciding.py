"""Verdicts of a monitor: generation stops when it is decided, alike on any number of ranks, and after a resumption."""

# ruff: noqa: ARG001, ARG002 (hooks and samplers have fixed arguments)

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from trainings import QUIET, TINY, Pixels, trainer

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics
from streaming_metrics.monitor import GenerationMonitor
from streaming_metrics.verdicts.paired import paired

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [*QUIET, TINY, pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")]

KEYS = ("val/fd_pixels_verdict", "val/fd_pixels_samples", "val/fd_pixels_decided")
LOOKS = [100, 200, 400, 800]


def images(n: int, brightness: float, seed: int = 1) -> Tensor:
    """Noise, a colour of its own for each half of an image."""
    drawn = torch.randn(n, 3, 2, 1, generator=torch.Generator().manual_seed(seed))
    return (brightness + 0.1 * drawn).clamp(0, 1).expand(-1, -1, -1, 2)


REAL = images(300, 0.5)


class Drawer(LightningModule):
    """Draws noise of a brightness that is given for each epoch, from its weight."""

    def __init__(self, course: list[float]) -> None:
        super().__init__()
        self.course, self.drawn = course, 0
        self.brightness = nn.Parameter(torch.tensor(course[0]))

    def sample(self, n: int) -> Tensor:
        self.drawn += n
        jitter = 1e-3 * torch.randn(n, 3, 2, 1) * self.brightness
        return (self.brightness + 0.1 * torch.randn(n, 3, 2, 1) + jitter).clamp(0, 1).expand(-1, -1, -1, 2)

    def on_train_epoch_start(self) -> None:
        with torch.no_grad():
            self.brightness.fill_(self.course[self.current_epoch])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.brightness * 0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Noted(Callback):
    """Notes what a monitor logs at each validation, on rank 0 into a file where one is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.rows: list[dict[str, float]] = []
        self.path = path

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rows.append({key: float(value) for key, value in trainer.callback_metrics.items()})
        if self.path and trainer.is_global_zero:
            torch.save(self.rows, self.path)


def watch(measures: Any = None, **options: Any) -> GenerationMonitor:
    common = {"extractor": Pixels(), "num_samples": 800, "batch_size": 64, "decide": "fid", "log_images": 0}
    return GenerationMonitor(measures or [FID(se=True)], **{**common, **options})


def fit(course: list[float], *callbacks: Callback, ckpt_path: Any = None, **options: Any) -> Trainer:
    running = trainer(*callbacks, max_epochs=options.pop("max_epochs", len(course)), **options)
    batches = DataLoader(TensorDataset(REAL), batch_size=100)
    running.fit(Drawer(course), batches, batches, ckpt_path=ckpt_path)
    return running


def run(course: list[float], watching: GenerationMonitor | None = None, **options: Any) -> list[tuple[float, ...]]:
    """Return the verdict, the samples and the decided value of each epoch."""
    noted = Noted(options.pop("path", None))
    fit(course, watching or watch(), noted, **options)
    if options.get("devices", 1) > 1:
        assert noted.path
        noted.rows = torch.load(noted.path)
    return [tuple(row[key] for key in KEYS) for row in noted.rows]


COURSE = [0.38, 0.42, 0.42, 0.40, 0.46, 0.46001]
VERDICTS = [0, 1, 0, -1, 1, 0]
SAMPLES = [800, 200, 200, 100, 200, 200]


def test_generation_stops_when_it_is_decided() -> None:
    told = run(COURSE)
    assert [row[0] for row in told] == VERDICTS
    assert [row[1] for row in told] == SAMPLES
    decided = [row[2] for row in told]
    assert decided[0] > decided[1] == decided[2] == decided[3] > decided[4] == decided[5] > 0


def evidence(brightness: float, n: int) -> Any:
    """Return the evidence of the first n images of an epoch, without Lightning."""
    watching, model = watch(), Drawer([brightness])
    metric = GenerativeMetrics([FID(se=True)], Pixels())
    metric.update((REAL * 255).round().byte(), real=True, index=torch.arange(len(REAL)))
    from streaming_metrics.sampling import chunks

    for chunk in chunks(800, 64):
        drawn = watching.sampler.draw(model, chunk.size, chunk.seed)
        inside = chunk.index < n
        if inside.any():
            metric.update(drawn[inside].pixels, real=False, index=chunk.index[inside])
    return metric.evidence_of("fd_pixels")


def test_the_value_falls_by_the_corrected_difference_at_the_look_that_decided() -> None:
    told = run([0.38, 0.42])
    assert told[0][2] == pytest.approx(evidence(0.38, 800).value, rel=1e-6)
    difference = paired(evidence(0.42, 100), evidence(0.38, 100)).difference
    assert told[1][2] - told[0][2] == pytest.approx(difference, rel=1e-6)


@pytest.mark.usefixtures("forks")
def test_ranks_decide_alike(tmp_path: Path) -> None:
    """Of three; two do below."""
    together = run(COURSE, path=tmp_path / "rows", devices=3, strategy="ddp_fork")
    assert [row[:2] for row in together] == list(zip(VERDICTS, SAMPLES))
    assert together == [pytest.approx(row, rel=1e-6) for row in run(COURSE)]


def reference(folder: Path) -> Path:
    metric = GenerativeMetrics([FID(se=True)], Pixels())
    metric.update((REAL * 255).round().byte(), real=True, index=torch.arange(len(REAL)))
    metric.save_reference(folder / "real.safetensors")
    return folder / "real.safetensors"


@pytest.mark.parametrize("kind", ["file", "loader"])
def test_real_images_may_come_from_elsewhere(kind: str, tmp_path: Path) -> None:
    real = reference(tmp_path) if kind == "file" else DataLoader(TensorDataset(REAL), batch_size=90)
    assert run(COURSE, watch(real=real)) == [pytest.approx(row, rel=1e-9) for row in run(COURSE)]


def test_no_more_is_drawn_than_looks_ask_for() -> None:
    model, batches = Drawer([0.38, 0.42, 0.38]), DataLoader(TensorDataset(REAL), batch_size=100)
    trainer(watch(), max_epochs=3).fit(model, batches, batches)
    rehearsed = 64
    assert model.drawn == rehearsed + 800 + 256 + 128  # whole chunks up to 200 and up to 100


@pytest.mark.parametrize("until", [1, 2, 4])
def test_a_resumed_training_goes_on_with_the_best(until: int, tmp_path: Path) -> None:
    noted, watching = Noted(), watch()
    fit(COURSE, watch(), noted, max_epochs=until).save_checkpoint(tmp_path / "last.ckpt")
    first = [tuple(row[key] for key in KEYS) for row in noted.rows]
    later = run(COURSE, watching, ckpt_path=tmp_path / "last.ckpt")
    whole = run(COURSE)
    # Real images are read anew, so the first epoch after it is generated in full; its verdict is the same.
    assert [row[0] for row in first + later] == [row[0] for row in whole]
    assert [row[2] for row in first + later] == pytest.approx([row[2] for row in whole], rel=1e-9)
    assert later[0][1] == 800
    assert watching.decider
    assert len(watching.decider.log.lines) == len(COURSE)


@pytest.mark.parametrize(
    ("options", "real", "told"),
    [
        ({}, images(300, 0.46, seed=2), "against real images"),
        ({"num_samples": 400}, REAL, r"at 100\+200\+400\+800 samples"),
        ({"measures": [FID(se=True, reservoir=500)]}, REAL, "reservoir=500"),
    ],
    ids=["as many other real images", "other looks", "another estimate"],
)
def test_a_best_that_does_not_compare_is_forgotten_in_words(
    options: dict[str, Any], real: Tensor, told: str, tmp_path: Path
) -> None:
    fit([0.38], watch()).save_checkpoint(tmp_path / "last.ckpt")
    batches, watching = DataLoader(TensorDataset(real), batch_size=100), watch(**options)
    running = trainer(watching, max_epochs=2)
    with pytest.warns(UserWarning, match=f"the first of others: .*{told}"):
        running.fit(Drawer([0.38, 0.46]), batches, batches, ckpt_path=tmp_path / "last.ckpt")
    assert watching.decider
    assert [line.verdict for line in watching.decider.log.lines] == ["first", "first"]


def test_real_images_in_other_batches_are_the_same_ones(tmp_path: Path) -> None:
    fit([0.38], watch()).save_checkpoint(tmp_path / "last.ckpt")
    batches, watching = DataLoader(TensorDataset(REAL.flip(0)), batch_size=70), watch()
    trainer(watching, max_epochs=2).fit(Drawer([0.38, 0.42]), batches, batches, ckpt_path=tmp_path / "last.ckpt")
    assert watching.decider
    assert [line.verdict for line in watching.decider.log.lines] == ["first", "better"]


def test_checkpoints_follow_the_decided_value_alone(tmp_path: Path) -> None:
    for other in (
        ModelCheckpoint(tmp_path, monitor="val/fd_pixels"),
        EarlyStopping("val/fd_corrected_pixels", patience=5),
        EarlyStopping(KEYS[0], patience=5, mode="max"),  # a second "better" is no more than the first
    ):
        with pytest.raises(ValueError, match=r"does not compare.*Remedy: 'val/fd_pixels_decided'"):
            fit([0.38, 0.42], watch(), other)
    best = ModelCheckpoint(tmp_path, "{epoch}", monitor=KEYS[-1])
    fit(COURSE, watch(), best)
    assert best.best_model_path.endswith("epoch=4.ckpt")


def test_kid_decides_too_and_other_measures_bound_the_first_look() -> None:
    noted = Noted()
    measures = [KID(subsets=2, subset_size=150, se=True), PRDC(k=3)]
    fit(COURSE[:4], watch(measures, decide="kid"), noted)
    assert [row["val/kd_pixels_verdict"] for row in noted.rows] == [0, 1, 0, -1]
    assert [row["val/kd_pixels_samples"] for row in noted.rows] == [800, 400, 400, 200]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": [FID()]}, r"knows each sample's influence, got fid\. Remedy: FID\(se=True\)"),
        ({"measures": [PRDC(), FID(se=True)], "decide": "recall"}, r"got prdc.*Remedy"),
        ({"decide": "is"}, "expected one of"),
        ({"refresh_real": True}, "the same real images"),
        ({"fake_key": "reconstruction", "sample": None}, "sample= a function of n"),
        ({"num_samples": 60}, r"Remedy: num_samples=100"),
        ({"alpha": 1.0}, r"alpha: expected an error rate"),
        ({"rescore": 2, "decide": None}, "rescore= without decide="),
        ({"alpha_over": "epoch"}, "alpha_over: expected one of"),
    ],
)
def test_mistakes_are_told_with_the_remedy(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        watch(**options)


def test_a_sampler_that_takes_batches_is_refused() -> None:
    def sample(model: LightningModule, n: int, batch: Any) -> Tensor:
        return batch[0]

    with pytest.raises(ValueError, match="parameter `batch`"):
        fit([0.42], watch(sample=sample))


def test_alpha_may_be_that_of_a_whole_training() -> None:
    watching = watch(alpha_over="training")
    fit(5 * [0.42], watching)
    assert watching.decider
    assert watching.decider.alpha == pytest.approx(0.05 / 4)
    with pytest.raises(ValueError, match=r"without an end. Remedy: Trainer\(max_epochs=…\)"):
        fit([0.42], watch(alpha_over="training"), max_epochs=-1)


def test_words_stand_in_the_report_and_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(COURSE[:2], watch(report=tmp_path / "report.html", rescore=1))
    page = (tmp_path / "report.html").read_text()
    printed = capsys.readouterr().out
    told = "first, 800 images", "better (fd_pixels against epoch 0: -", "saved: 600", "800 other images each"
    for words in told:
        assert words in page
        assert words in printed


def test_a_validation_by_itself_is_measured_in_full() -> None:
    watching = watch()
    values = trainer(watching).validate(Drawer([0.42]), DataLoader(TensorDataset(REAL), batch_size=100), verbose=False)[
        0
    ]
    assert set(values) == {"val/" + key for key in watching.metric.keys}


def test_the_best_epochs_are_measured_again_in_full_and_the_training_ends_as_without_it() -> None:
    watching = watch(rescore=2)
    model, plain = Drawer(COURSE), Drawer(COURSE)
    batches = DataLoader(TensorDataset(REAL), batch_size=100)
    trainer(watching, max_epochs=6).fit(model, batches, batches)
    trainer(max_epochs=6).fit(plain, batches, batches)
    assert torch.equal(model.brightness, plain.brightness)
    assert watching.decider
    head, first, second = watching.decider.log.rescored.splitlines()
    assert head == "fd_pixels of 800 other images each, of the same new seeds, bias-corrected:"
    assert (first[:8], second[:8]) == ("epoch 5:", "epoch 4:")  # a hundred-thousandth nearer to the real brightness
    assert "to the first, from" in second


class Caching(Drawer):
    """Has a buffer that grows, as a cache does, and one that validation makes anew in inference mode."""

    def __init__(self, course: list[float]) -> None:
        super().__init__(course)
        self.register_buffer("cache", torch.zeros(1))
        self.register_buffer("count", torch.zeros(()))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.cache, self.count = torch.zeros(2 + self.current_epoch), self.count + 1


def test_buffers_that_grow_end_no_training(tmp_path: Path) -> None:
    watching, model, plain = watch(rescore=2, real=reference(tmp_path)), Caching([0.38, 0.42]), Caching([0.38, 0.42])
    batches = DataLoader(TensorDataset(REAL), batch_size=100)
    trainer(watching, max_epochs=2).fit(model, batches, batches)
    trainer(max_epochs=2).fit(plain, batches, batches)
    assert watching.decider
    assert "epoch 0:" in watching.decider.log.rescored
    assert (len(model.cache), int(model.count)) == (len(plain.cache), int(plain.count))


def test_verdicts_are_told_where_measuring_again_fails(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(Drawer):
        def sample(self, n: int) -> Tensor:
            return super().sample(n) if self.drawn < 864 else 1 / 0  # pyright: ignore

    batches = DataLoader(TensorDataset(REAL), batch_size=100)
    with pytest.raises(ZeroDivisionError):
        trainer(watch(rescore=1), max_epochs=1).fit(Failing([0.42]), batches, batches)
    assert "epoch 0: first, 800 images" in capsys.readouterr().out


@pytest.mark.usefixtures("forks")
def test_ranks_measure_again_alike(capfd: pytest.CaptureFixture[str]) -> None:
    told = []
    for several in ({}, {"devices": 2, "strategy": "ddp_fork"}):
        fit(COURSE, watch(rescore=3), **several)
        told.append(capfd.readouterr().out.partition("other images each")[2].splitlines()[:4])
    assert told[0] == told[1]
    assert told[0][1].startswith("epoch 5: ")


def test_weights_that_an_average_swaps_in_are_those_that_are_measured_again() -> None:
    """As an EMA's context does, which swaps other weights in for sampling alone."""

    @contextmanager
    def brighter(model: Any) -> Iterator[None]:
        with torch.no_grad():
            model.brightness += 0.02
            yield
            model.brightness -= 0.02

    watching = watch(weights_context=brighter, rescore=1)
    fit([0.40, 0.44], watching)
    assert watching.decider
    assert watching.decider.finalists.kept[0].weights["brightness"] == pytest.approx(0.46)


def test_several_validations_of_an_epoch_are_compared_each() -> None:
    noted = Noted()
    fit([0.38, 0.42], watch(), noted, val_check_interval=1)  # three batches an epoch
    assert [row[KEYS[0]] for row in noted.rows] == [0, 0, 0, 1, 0, 0]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_measurements_without_a_validation_are_decided_too(tmp_path: Path) -> None:
    watching = watch(real=reference(tmp_path))
    running = trainer(watching, max_epochs=4)
    running.fit(Drawer(COURSE), DataLoader(TensorDataset(REAL), batch_size=100))
    assert watching.decider
    assert [line.verdict for line in watching.decider.log.lines] == ["first", "better", "undecided", "worse"]
    assert KEYS[-1] in running.callback_metrics


class First(IterableDataset):
    """Real images that the first rank alone has."""

    def __iter__(self) -> Iterator[Tensor]:
        is_first = not dist.is_initialized() or dist.get_rank() == 0
        return iter(REAL if is_first else REAL[:0])


@pytest.mark.usefixtures("forks")
@pytest.mark.filterwarnings("ignore:Rank 1 had no validation batch")
def test_a_rank_without_a_validation_batch_decides_with_the_others(tmp_path: Path) -> None:
    noted = Noted(tmp_path / "rows")
    running = trainer(watch(), noted, max_epochs=4, devices=2, strategy="ddp_fork")
    running.fit(Drawer(COURSE), DataLoader(TensorDataset(REAL), batch_size=100), DataLoader(First(), batch_size=100))
    rows = torch.load(tmp_path / "rows")
    assert [(row[KEYS[0]], row[KEYS[1]]) for row in rows] == list(zip(VERDICTS, SAMPLES))[:4]
