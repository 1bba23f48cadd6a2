"""Contributions: by removal of each sample, by planted faults, on clean data, and by classes, captions and prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scores import normal
from test_directions import fitted, kept

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.contributions import GroupContributions, explained
from streaming_metrics.measures.frechet_errors import Coupling
from streaming_metrics.measures.gaussian import frechet_distance
from streaming_metrics.measures.kept_rows import KeptRows

WIDTH = 16
SCALE = torch.arange(1, WIDTH + 1) ** -0.5


def labelled(rows: torch.Tensor, labels: torch.Tensor) -> KeptRows:
    return KeptRows(rows, torch.arange(len(rows)), len(rows), Comm.single(), labels, num_labels=int(labels.max()) + 1)


def classes(seed: int, n: int, labels: int, fault: int | None = None) -> KeptRows:
    """Return samples of classes with centres of their own; those of one may be shifted."""
    centres, label = normal(99, labels, WIDTH) * SCALE, torch.arange(n) % labels
    rows = normal(seed, n, WIDTH) * SCALE + centres[label]
    if fault is not None:
        rows[label == fault] += 0.7 * SCALE * normal(98, 1, WIDTH).sign()
    return labelled(rows, label)


def groups_of(real: KeptRows | None, fake: KeptRows, real_rows: torch.Tensor | None = None) -> GroupContributions:
    rows = real.rows if real is not None else real_rows
    assert rows is not None
    found = explained(Coupling(fitted(rows), fitted(fake.rows)), real, fake).groups
    assert found is not None
    return found


def test_a_contribution_is_what_the_distance_loses_with_the_sample() -> None:
    real, fake = normal(0, 500, 4), normal(1, 400, 4, 0.4) * 1.3
    found = explained(Coupling(fitted(real), fitted(fake)), kept(real), kept(fake))
    for told, rows, side in ((found.fake, fake, 1), (found.real, real, 0)):
        assert told is not None
        lost = []
        for left in range(0, len(rows), 20):
            without = [real, fake]
            without[side] = torch.cat([rows[:left], rows[left + 1 :]])
            lost.append(found.distance - float(frechet_distance(*map(fitted, without))))
        assert np.corrcoef(lost, told.values[::20])[0, 1] > 0.995
        assert float(told.values[::20].std()) == pytest.approx(np.std(lost, ddof=1), rel=0.05)


def test_highest_and_lowest_are_of_those_that_can_be_shown() -> None:
    real, fake = normal(0, 90, 4), normal(1, 70, 4)
    found = explained(Coupling(fitted(real), fitted(fake)), None, kept(fake)).fake
    assert found is not None
    order = found.values.argsort()
    assert found.lowest(3).tolist() == order[:3].tolist()
    assert found.highest(2, among=order[10:20]).tolist() == order[[19, 18]].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_a_class_with_a_fault_comes_first_and_alone(seed: int) -> None:
    found = groups_of(classes(seed, 4000, 20), classes(seed + 10, 2000, 20, fault=13))
    assert (found.kind, found.against_real, found.left_out) == ("class", True, 0)
    assert int(found.order[0]) == 13
    assert (found.table.low > found.table.centre).nonzero()[0].tolist() == [13]
    assert (found.examples[0] % 20 == 13).all()
    assert float(found.shares.sum()) == pytest.approx(1)


def test_replacing_a_class_lowers_the_distance_by_what_it_adds() -> None:
    """To first order: for a small share of it, where nothing is shrunken."""
    real, fake = classes(0, 20_000, 4), classes(1, 20_000, 4, fault=2)
    found = groups_of(real, fake)
    few = fake.rows.clone()
    bad = (torch.arange(len(few)) % 4 == 2).nonzero()[:, 0][:500]  # a tenth of the class
    few[bad] = real.rows[bad]
    before, after = (float(frechet_distance(fitted(real.rows), fitted(rows))) for rows in (fake.rows, few))
    assert before - after == pytest.approx(0.1 * float(found.amounts[0][2]), rel=0.15)


def test_captions_and_prompts_are_groups_too() -> None:
    rows, ids = classes(1, 600, 6).rows, torch.arange(600)
    captions = torch.tensor([-(2**62), 5, 17, 4, 8, 9])[ids % 6]
    found = groups_of(None, KeptRows(rows, ids, 600, Comm.single(), captions=captions), classes(0, 900, 6).rows)
    assert (found.kind, found.against_real) == ("caption", False)
    assert found.table.raw.groups.tolist() == sorted(captions[:6].tolist())
    found = groups_of(None, KeptRows(rows, ids, 600, Comm.single(), cluster=4), classes(0, 900, 6).rows)
    assert (found.kind, len(found.table.raw.groups)) == ("prompt", 150)
    assert (found.examples // 4 == torch.from_numpy(found.table.raw.groups)[found.shown][:, None])[:, :3].all()
    assert len(found.shown) == 16


def test_without_labels_captions_and_prompts_there_are_no_groups() -> None:
    rows = normal(1, 90, 4)
    assert explained(Coupling(fitted(normal(0, 90, 4)), fitted(rows)), None, kept(rows)).groups is None


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "n"), [(10, 2000), (50, 1000), (20, 2000)])
def test_of_clean_classes_no_more_stand_out_than_intervals_say(groups: int, n: int) -> None:
    """ψ is fitted to the samples, and differs between classes on clean data too: without the real samples of each
    class, most intervals of its means leave out the mean of all. With them, at most a twentieth do.
    """
    told, alone = [], []
    for seed in range(30):
        real, fake = classes(1000 + seed, 5000, groups), classes(seed, n, groups)
        told.append(groups_of(real, fake).table.stand_out.mean())
        alone.append(groups_of(None, fake, real.rows).table.stand_out.mean())
    assert np.mean(told) <= 0.05
    assert np.mean(alone) > 0.2
