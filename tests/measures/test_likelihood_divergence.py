"""FLD against the authors' procedure, by autograd over whole matrices; what copies and outliers do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from scores import normal

from streaming_metrics import FLD, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.measures import mixtures
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning"),
]
TRAIN, HELDOUT = normal(0, 90, 6), normal(1, 60, 6)
FAKES = {
    "good": normal(2, 80, 6),
    "shifted": normal(2, 80, 6) + 1,
    "copies": TRAIN[:50],
    "few": normal(2, 3, 6),
    "far": normal(2, 40, 6) + 50,
}


def metric_of(sides: Mapping[str, Tensor], **options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics([FLD(**options)], extractor=None, num_features=sides["train"].shape[1])
    for role, rows in sides.items():
        for index in torch.arange(len(rows)).split(37):
            metric.update(Features(rows[index], index=index), role=role)
    return metric


def values_of(fake: Tensor, train: Tensor = TRAIN, heldout: Tensor = HELDOUT, **options: Any) -> dict[str, float]:
    computed = metric_of({"train": train, "heldout": heldout, "fake": fake}, **options).compute()
    return {key.removesuffix("_features"): value.item() for key, value in computed.items()}


def loss(rows: Tensor, centres: Tensor, logs: Tensor) -> Tensor:
    """−log p / D of each row under the mixture."""
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(len(centres)).double()),
        torch.distributions.Independent(torch.distributions.Normal(centres, (logs / 2).exp()[:, None]), 1),
    )
    return -mixture.log_prob(rows) / rows.shape[1]


def fitted(centres: Tensor, rows: Tensor) -> Tensor:
    """The authors' fit: Adam on the logarithms of variances, a Gaussian around the mean of the rows beside."""
    d = rows.shape[1]
    nearest = torch.cdist(rows, centres).square().amin(0)
    logs = ((nearest + 1e-3) / d).log().requires_grad_()
    background = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logs, background], lr=0.5)
    for _ in range(mixtures.EPOCHS):
        for batch in rows.split(mixtures.BATCH):
            optimizer.zero_grad()
            origin = 0.81 * (batch - rows.mean(0)).square().sum(1)
            far = -origin / (2 * background.exp()) - d / 2 * (background + torch.tensor(2 * torch.pi).double().log())
            together = torch.logaddexp(-d * loss(batch, centres, logs), far)
            (-together.mean() / d).backward()
            optimizer.step()
            logs.data.clamp_(-40, 20)
    return logs.detach()


def authors(fake: Tensor, train: Tensor = TRAIN, heldout: Tensor = HELDOUT) -> tuple[float, float]:
    """FLD and its gap; shuffled as the measure says."""
    sides = [rows[hashed(torch.arange(len(rows))).argsort()].double() for rows in (train, heldout, fake)]
    mean, std = sides[1].mean(0), sides[1].std(0)
    train, heldout, fake = ((rows - mean) / std for rows in sides)
    of_fake, size = fitted(fake, train), min(len(fake), len(train) // 2)
    base = loss(heldout, train[:size], fitted(train[:size], train[size:])).mean()
    ours = loss(heldout, fake, of_fake).mean()
    return 100 * (ours - base).item(), 100 * (loss(train, fake, of_fake).mean() - ours).item()


@pytest.mark.parametrize("fake", FAKES.values(), ids=FAKES)
def test_it_is_the_authors(fake: Tensor) -> None:
    got = values_of(fake, gap=True)
    assert (got["fld"], got["fld_gap"]) == pytest.approx(authors(fake), rel=1e-6, abs=1e-6)


def test_batches_and_chunks_are_the_authors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BATCH": 32, "AT_ONCE": 1000, "EPOCHS": 4}.items():
        monkeypatch.setattr(mixtures, name, value)
    assert values_of(FAKES["good"])["fld"] == pytest.approx(authors(FAKES["good"])[0], rel=1e-6)


def test_good_samples_are_better_than_others_and_copies_are_told() -> None:
    good, shifted, copies = (values_of(FAKES[name], gap=True) for name in ("good", "shifted", "copies"))
    assert good["fld"] < 10 < shifted["fld"] < 1000 < copies["fld"]
    assert copies["fld_gap"] < -1000 < -100 < good["fld_gap"]


def test_the_error_is_that_of_a_mean_over_held_out_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    got = values_of(FAKES["shifted"], se=True)
    monkeypatch.setattr(mixtures, "EPOCHS", 5)
    alike = [values_of(FAKES["shifted"], heldout=normal(seed, 60, 6))["fld"] for seed in range(10, 22)]
    assert got["fld_se"] == pytest.approx(torch.tensor(alike).std().item(), rel=0.5)


def test_the_baseline_is_made_once_for_frozen_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    fitting = mixtures.Mixture.fitted
    monkeypatch.setattr(mixtures.Mixture, "fitted", lambda *sides: made.append(len(sides[1])) or fitting(*sides))
    metric = metric_of({"train": TRAIN, "heldout": HELDOUT})
    metric.freeze("train")
    metric.freeze("heldout")
    found = []
    for fake in (FAKES["good"], FAKES["shifted"]):
        metric.reset()
        metric.update(fake, real=False)
        found.append(metric.compute()["fld_features"].item())
    assert made == [90, 45, 90]
    assert found == pytest.approx([values_of(FAKES[name])["fld"] for name in ("good", "shifted")], rel=1e-12)


def test_a_feature_that_is_constant_in_held_out_samples_keeps_its_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixtures, "EPOCHS", 2)
    dead = torch.tensor([1.0, 1, 1, 0, 1, 1])
    assert torch.tensor(values_of(FAKES["good"] * dead, TRAIN * dead, HELDOUT * dead)["fld"]).isfinite()


def test_generated_samples_beyond_the_centres_are_drawn_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixtures, "EPOCHS", 2)
    order = hashed(torch.arange(80)).argsort()
    changed = FAKES["good"].clone()
    changed[order[20:]] = 7.0
    assert values_of(changed, centres=20) == values_of(FAKES["good"], centres=20) != values_of(changed)


def test_too_few_samples_are_told() -> None:
    with pytest.raises(NotEnoughSamples, match=r'FLD needs at least 2 heldout samples, got 1.*role="heldout"'):
        values_of(FAKES["few"], heldout=HELDOUT[:1])
    with pytest.raises(NotEnoughSamples, match="FLD needs at least 1 fake samples, got 0"):
        values_of(FAKES["few"][:0])
