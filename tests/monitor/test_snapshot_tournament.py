"""A GAN of the digits whose snapshots play each other: untouched training, counts over ranks, what is logged."""

# ruff: noqa: ARG002 (hooks have fixed arguments)

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, seed_everything
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from trainings import QUIET, trainer

from streaming_metrics.monitor import SnapshotTournament
from streaming_metrics.monitor.snapshots import Snapshots, least_missed
from streaming_metrics.ratings.match_files import read_matches
from streaming_metrics.ratings.tournament import skills, win_rates

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [*QUIET, pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")]

DIGITS = torch.from_numpy(load_digits().images).float().div(8).sub(1).unsqueeze(1)
TRAIN, HELD_OUT = DIGITS[:640], DIGITS[640:691]
"""Real images; an odd number of them is held out, which two ranks pad."""
LATENTS = 8


class Gan(LightningModule):
    """A GAN with batch statistics, dropout and noise of its own, all of which its training depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(
            nn.Linear(LATENTS, 64),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.Tanh(),
            nn.Unflatten(1, (1, 8, 8)),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(),
            nn.utils.parametrizations.spectral_norm(nn.Linear(64, 64)),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.2),
            nn.Linear(64, 1),
        )

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        real = batch[0]
        fake = self.generator(torch.randn(len(real), LATENTS))
        for optimizer, loss in zip(self.optimizers(), (self.fooling, self.telling)):  # pyright: ignore[reportArgumentType]
            optimizer.zero_grad()
            self.manual_backward(loss(real, fake))
            optimizer.step()

    def fooling(self, real: Tensor, fake: Tensor) -> Tensor:
        scores = self.discriminator(fake)
        return cross_entropy(scores, torch.ones_like(scores))

    def telling(self, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = self.discriminator(real), self.discriminator(fake.detach())
        return cross_entropy(of_real, torch.ones_like(of_real)) + cross_entropy(of_fake, torch.zeros_like(of_fake))

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        torch.rand(1)

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(part.parameters(), 2e-3, (0.5, 0.99)) for part in (self.generator, self.discriminator)]


class Careless(Gan):
    """A GAN whose noise comes from a generator of its own, and whose sampling counts and changes modes."""

    def __init__(self) -> None:
        super().__init__()
        self.noise, self.drawn = torch.Generator(), 0
        self.register_buffer("scale", torch.ones(()))
        self.generator.sample = self.draw

    def draw(self, n: int) -> Tensor:
        self.train()
        self.scale.mul_(1.01)
        return torch.randn(n, LATENTS, generator=self.noise) + torch.rand(1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        super().training_step([batch[0] + self.draw(1).sum() * self.scale], batch_idx)


def tournament(**options: Any) -> SnapshotTournament:
    common = {"latents": LATENTS, "num_samples": 40, "batch_size": 16, "file": False}
    return SnapshotTournament(**{**common, **options})


def fitted(*callbacks: Callback, epochs: int = 3, kind: type[Gan] = Gan, **options: Any) -> Gan:
    seed_everything(0, verbose=False)
    model = kind()
    running = trainer(*callbacks, max_epochs=epochs, **options)
    running.fit(model, DataLoader(TensorDataset(TRAIN), 32, shuffle=True), DataLoader(TensorDataset(HELD_OUT), 16))
    return model


class Logged(Callback):
    """Keeps what was logged at each validation."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Any, pl_module: LightningModule) -> None:
        self.values.append({key: float(value) for key, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize(("kind", "latents"), [(Gan, LATENTS), (Careless, None)])
def test_training_goes_on_bit_by_bit_as_without_it(kind: type[Gan], latents: int | None) -> None:
    alone = fitted(kind=kind).state_dict()
    watched = fitted(tournament(latents=latents), kind=kind).state_dict()
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_the_new_ones_play_all_that_are_kept() -> None:
    playing = tournament(keep=3)
    fitted(playing, epochs=5)
    met = [(m.generator, m.discriminator) for m, _ in playing.matches if m.generator]
    steps = [f"step={20 * epoch - 1}" for epoch in range(1, 6)]
    assert met[:4] == [(steps[0], steps[0]), (steps[1], steps[0]), (steps[1], steps[1]), (steps[0], steps[1])]
    assert playing.matches.met(steps[4]) == (steps[0], steps[2], steps[4])
    assert {judged.samples for _, judged in playing.matches} == {40}


def test_a_match_is_what_the_networks_say() -> None:
    playing = tournament(num_samples=16)
    model = fitted(playing, epochs=1).eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(next(iter(playing._tournament._chunks(OneRank()))).seed)  # pyright: ignore[reportArgumentType]
        fooled = model.discriminator(model.generator(torch.randn(16, LATENTS))) >= 0
        right = model.discriminator(HELD_OUT[:16]) > 0
    assert playing.matches.of("step=19", "step=19").called_real == int(fooled.sum())
    assert playing.matches.real("step=19").called_real == int(right.sum())


class OneRank:
    rank, world_size = 0, 1


def test_a_trained_generator_is_rated_above_the_first() -> None:
    playing = tournament(num_samples=200)
    fitted(playing, epochs=8)
    found = skills(playing.matches, prior=3.0).generators
    first, last = next(iter(found)), list(found)[-1]
    assert found[last].value - found[first].value > 1
    late = playing.matches.discriminators[-1]
    assert playing.matches.of(last, late).called_real > playing.matches.of(first, late).called_real


def test_it_logs_the_latest(tmp_path: Path) -> None:
    playing, logged = tournament(file=True), Logged()
    fitted(playing, logged, default_root_dir=tmp_path)
    assert [set(values) for values in logged.values] == [set(playing.keys)] * 3
    table = read_matches(tmp_path / "matches.csv")
    assert table == playing.matches
    last = logged.values[-1]
    assert last["val/win_rate"] == pytest.approx(win_rates(table)["step=59"].value)
    assert last["val/skill"] == pytest.approx(skills(table, 3.0).generators["step=59"].value)
    assert last["val/discriminator_skill"] == pytest.approx(skills(table, 3.0).discriminators["step=59"].value)


@pytest.mark.usefixtures("forks")
def test_two_ranks_count_as_one(tmp_path: Path) -> None:
    tables = []
    for world_size in (1, 2):
        options = {} if world_size == 1 else {"devices": 2, "strategy": "ddp_fork"}
        path = tmp_path / f"{world_size}.csv"
        seed_everything(0, verbose=False)
        running = trainer(tournament(num_samples=100, file=path), max_epochs=2, limit_train_batches=1, **options)
        running.fit(Still(), DataLoader(TensorDataset(TRAIN), 32), DataLoader(TensorDataset(HELD_OUT), 16))
        tables.append(read_matches(path))
    alone, both = tables
    assert both.of("step=0", "step=0").samples == 100
    assert both.real("step=0").samples == len(HELD_OUT)  # the padding is no image
    assert [(m, j[:2]) for m, j in both] == [(m, j[:2]) for m, j in alone]


class Still(Gan):
    """A GAN that learns nothing, so that it is the same on any number of ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = True

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return sum((parameter * 0).sum() for parameter in self.parameters())  # pyright: ignore[reportReturnType]

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_snapshots_are_spread_over_the_training() -> None:
    snapshots = Snapshots(keep=4)
    for step in range(32):
        snapshots.take(step, nn.Linear(1, 1))
        assert snapshots.steps[0] == 0
        assert snapshots.steps[-1] == step
    gaps = [after - before for before, after in zip(snapshots.steps, snapshots.steps[1:])]
    assert len(snapshots.steps) == 4
    assert max(gaps) <= 3 * min(gaps) + 1
    assert least_missed([0, 1, 5, 6]) == 1


def test_a_snapshot_runs_without_touching_the_network() -> None:
    snapshots, norm = Snapshots(keep=2), nn.BatchNorm1d(2)
    snapshots.take(0, norm)
    with torch.no_grad():
        norm.weight.fill_(5.0)
    given = torch.randn(4, 2)
    before = norm.running_mean.clone()  # pyright: ignore[reportOptionalMemberAccess]
    was = snapshots.run(0, norm, torch.device("cpu"))(given)
    assert torch.equal(norm.running_mean, before)  # pyright: ignore[reportArgumentType]
    assert was.std() < 1.5 < norm(given).std()


def test_it_is_rehearsed_and_refused_early() -> None:
    with pytest.raises(ValueError, match=r"discriminator='critic': Expected a module, a part of Gan.*Remedy"):
        fitted(tournament(discriminator="critic"), num_sanity_val_steps=1)
    with pytest.raises(ValueError, match=r"latents: Expected the width of the noise.*Remedy"):
        fitted(tournament(latents=None), num_sanity_val_steps=1)
    with pytest.raises(ValueError, match=r"expected probabilities in \[0, 1\].*Remedy: Matches\(logits=True\)"):
        fitted(tournament(logits=False), num_sanity_val_steps=1)
    with pytest.raises(ValueError, match="keep: expected at least 2, got 1"):
        tournament(keep=1)
    sharded = SimpleNamespace(strategy=type("FSDPStrategy", (), {})())
    with pytest.raises(ValueError, match=r"got FSDPStrategy, which shards them\. Remedy: strategy='ddp'"):
        tournament().setup(sharded, Gan(), "fit")  # pyright: ignore[reportArgumentType]


def test_the_table_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    first, other, resumed = tournament(), tournament(prefix="wide/", num_samples=8), tournament()
    seed_everything(0, verbose=False)
    running = trainer(first, other, max_epochs=2)
    running.fit(Gan(), DataLoader(TensorDataset(TRAIN), 32), DataLoader(TensorDataset(HELD_OUT), 16))
    running.save_checkpoint(tmp_path / "gan.ckpt")
    again = trainer(resumed, tournament(prefix="wide/"), max_epochs=3)
    loaders = DataLoader(TensorDataset(TRAIN), 32), DataLoader(TensorDataset(HELD_OUT), 16)
    again.fit(Gan(), *loaders, ckpt_path=tmp_path / "gan.ckpt")
    before = dict(first.matches)
    assert {meeting: judged for meeting, judged in resumed.matches if meeting in before} == before
    assert resumed.matches.met("step=59") == ("step=59",)  # the snapshots before it are gone, what they did is not
    assert {judged.samples for _, judged in other.matches} == {8}


def test_scores_may_be_of_half_precision_and_of_patches() -> None:
    class Patches(Gan):
        def __init__(self) -> None:
            super().__init__()
            self.discriminator = nn.Conv2d(1, 1, 5)

    playing = tournament(num_samples=16)
    model = fitted(playing, epochs=1, kind=Patches, precision="bf16-mixed").eval()
    assert model.discriminator(HELD_OUT[:1]).shape == (1, 1, 4, 4)
    with torch.no_grad():
        patches = model.discriminator(HELD_OUT[:16]).flatten(1)
    assert playing.matches.real("step=19").samples == 16
    assert playing.matches.real("step=19").score == pytest.approx(float(patches.mean(1).sigmoid().sum()), abs=0.1)


def test_nothing_is_played_outside_of_fit_or_in_other_epochs(tmp_path: Path) -> None:
    playing = tournament(every_n_epochs=2, file=tmp_path / "deep" / "matches.jsonl")
    model = fitted(playing, epochs=3)
    assert playing.matches.generators == ("step=39",)
    assert read_matches(tmp_path / "deep" / "matches.jsonl") == playing.matches
    trainer(playing).validate(model, DataLoader(TensorDataset(HELD_OUT), 16), verbose=False)
    assert playing.matches.generators == ("step=39",)
    quick = tournament(file=tmp_path / "none.csv")
    fitted(quick, fast_dev_run=True)
    assert quick.matches.generators
    assert not (tmp_path / "none.csv").exists()
