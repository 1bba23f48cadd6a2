"""Tournaments of discriminators as raters: win rates, skills, GAM and NRDS, by hand and against independent fits."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import choix
import numpy as np
import pytest
from scipy.special import expit

from streaming_metrics.ratings.gam import gam
from streaming_metrics.ratings.matches import Judged, Matches
from streaming_metrics.ratings.nrds import nrds
from streaming_metrics.ratings.tournament import online_skills, skills, win_rates

if TYPE_CHECKING:
    from collections.abc import Mapping


def played(fooled: Mapping[tuple[str, str], int], wrong: Mapping[str, int] | None = None, n: int = 100) -> Matches:
    """Return matches of n samples each."""
    matches = Matches()
    for (generator, discriminator), called in fooled.items():
        matches.add(generator, discriminator, Judged(n, called, float(called)), real=False)
    for discriminator, mistaken in (wrong or {}).items():
        matches.add("", discriminator, Judged(n, n - mistaken, float(n - mistaken)), real=True)
    return matches


FOOLED = {("g1", "d1"): 40, ("g1", "d2"): 10, ("g2", "d1"): 70, ("g2", "d2"): 30}


def test_the_win_rate_is_the_mean_share_judged_wrongly() -> None:
    found = win_rates(played(FOOLED, {"d1": 20, "d2": 0}))
    assert found["g1"].value == pytest.approx(((0.4 + 0.2) / 2 + (0.1 + 0) / 2) / 2)
    assert found["g2"].value == pytest.approx(((0.7 + 0.2) / 2 + (0.3 + 0) / 2) / 2)
    assert (found["g1"].raters, found["g1"].judgements) == (2, 400)
    assert win_rates(played(FOOLED))["g1"].value == pytest.approx(0.25)


def test_it_is_of_the_discriminators_that_were_met() -> None:
    found = win_rates(played({("g1", "d1"): 40, ("g2", "d2"): 30, ("g1", "d2"): 20}))
    assert (found["g2"].value, found["g2"].raters) == (0.3, 1)


def test_its_interval_covers() -> None:
    rng, covered = np.random.default_rng(0), 0
    chances, wrong = np.array([0.02, 0.3, 0.0]), np.array([0.1, 0.4, 0.0])
    truth = (chances.mean() + wrong.mean()) / 2
    for _ in range(1000):
        fakes = {("g", f"d{k}"): int(rng.binomial(60, p)) for k, p in enumerate(chances)}
        found = win_rates(played(fakes, {f"d{k}": int(rng.binomial(60, p)) for k, p in enumerate(wrong)}, n=60))["g"]
        covered += found.low <= truth <= found.high
        assert 0 <= found.low <= found.value <= found.high <= 1
    assert 935 <= covered <= 985


def test_skills_are_bradley_terry_strengths_of_both_sides() -> None:
    matches = played(FOOLED, {"d1": 20, "d2": 5})
    found = skills(matches)
    games = []
    for (generator, discriminator), called in FOOLED.items():
        g, d = ["g1", "g2", "d1", "d2"].index(generator), ["g1", "g2", "d1", "d2"].index(discriminator)
        won = called + {"d1": 20, "d2": 5}[discriminator]
        games += [(g, d)] * won + [(d, g)] * (200 - won)
    expected = choix.mm_pairwise(4, games, tol=1e-12)
    values = [estimate.value for estimate in (*found.generators.values(), *found.discriminators.values())]
    assert values == pytest.approx(expected, abs=1e-6)
    assert list(found.generators) == ["g1", "g2"]
    assert found.generators["g1"].judgements == 400


def test_names_may_be_the_same_on_both_sides() -> None:
    found = skills(played({("step=1", "step=1"): 30, ("step=2", "step=1"): 60, ("step=2", "step=2"): 40}))
    assert found.generators["step=2"].value > found.generators["step=1"].value
    assert found.generators["step=1"] != found.discriminators["step=1"]


def tournament(seed: int, spread: float, n: int = 80, size: int = 6) -> tuple[Matches, np.ndarray]:
    """Return matches of players of known skills, whose matches vary by more than samples do."""
    rng = np.random.default_rng(seed)
    generators, discriminators = np.linspace(-1, 1, size), np.linspace(-0.5, 1.5, size)
    odds = generators[:, None] - discriminators + spread * rng.normal(size=(size, size))
    fooled = rng.binomial(n, expit(odds))
    named = {(f"g{g}", f"d{d}"): int(fooled[g, d]) for g in range(size) for d in range(size)}
    both = np.concatenate([generators, discriminators])
    return played(named, n=n), both - both.mean()


@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_their_intervals_cover_where_matches_vary_too(spread: float) -> None:
    covered, dispersions = [], []
    for seed in range(150):
        matches, truth = tournament(seed, spread)
        found = skills(matches)
        pairs = zip([*found.generators.values(), *found.discriminators.values()], truth)
        covered += [estimate.low <= value <= estimate.high for estimate, value in pairs]
        dispersions.append(found.dispersion)
    assert 0.925 <= np.mean(covered) <= 0.975
    assert np.mean(dispersions) == pytest.approx(1, abs=0.1) if not spread else np.mean(dispersions) > 3


def test_one_that_never_won_needs_a_prior() -> None:
    matches = played({("g1", "d1"): 0, ("g2", "d1"): 30, ("g1", "d2"): 0, ("g2", "d2"): 20})
    with pytest.raises(ValueError, match=r"that never lost to 'g1'.*Remedy: .*prior=3\.0"):
        skills(matches)
    found = skills(matches, prior=3.0)
    assert found.prior == 3.0
    assert -12 < found.generators["g1"].value < found.generators["g2"].value - 3
    assert np.isnan(skills(played({("g", "d"): 3})).dispersion)


@pytest.mark.parametrize("model", ["plackett-luce", "bradley-terry"])
def test_online_skills_know_the_better_generator(model: str) -> None:
    found = online_skills(played({**FOOLED, ("g3", "d1"): 10, ("g3", "d2"): 0}), model)
    assert list(found) == ["g1", "g2", "g3"]
    assert found["g3"].mu < found["g1"].mu < found["g2"].mu
    assert found["g1"].games == 20


def test_games_are_won_in_proportion() -> None:
    every = online_skills(played({("g", "d"): 50}), games=2)["g"]
    assert every.mu == pytest.approx(25, abs=1)
    assert online_skills(played({("g", "d"): 100}), games=2)["g"].mu > 27


SWAP = ("g1", "d1"), ("g2", "d2")


@pytest.mark.parametrize(
    ("wrong", "winner"),
    [
        ({"d1": 20, "d2": 20}, "g1"),
        ({"d1": 21, "d2": 20}, "g1"),
        ({"d1": 30, "d2": 20}, None),
        ({"d1": 0, "d2": 9}, None),
    ],
)
def test_gam_tells_a_winner_only_where_both_know_the_real_samples_alike(wrong: dict[str, int], winner: str) -> None:
    matches = played({("g2", "d1"): 10, ("g1", "d2"): 40}, wrong)
    found = gam(matches, *SWAP)
    assert found.r_samples.value == pytest.approx(0.25)
    assert found.r_test.value == pytest.approx(wrong["d1"] / wrong["d2"])
    assert (found.winner, found.certain) == (winner, winner is not None)
    swapped = gam(matches, *reversed(SWAP))
    assert swapped.r_samples.value == pytest.approx(4)
    assert gam(matches, *SWAP, tolerance=0.5).winner == (winner or ("g1" if wrong["d1"] else None))


def test_equal_errors_are_a_ratio_of_one_and_few_samples_tell_nothing() -> None:
    none = gam(played({("g2", "d1"): 0, ("g1", "d2"): 0}, {"d1": 0, "d2": 0}), *SWAP)
    assert (none.r_test.value, none.r_samples.value, none.winner) == (1, 1, None)
    few = gam(played({("g2", "d1"): 3, ("g1", "d2"): 5}, {"d1": 2, "d2": 2}, n=10), *SWAP)
    assert (few.winner, few.certain) == ("g1", False)
    with pytest.raises(ValueError, match="got none by 'd1' on samples of 'g2'"):
        gam(played({("g1", "d2"): 40}, {"d1": 0, "d2": 0}), *SWAP)


def test_gams_intervals_cover() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        fooled = {("g2", "d1"): int(rng.binomial(100, 0.1)), ("g1", "d2"): int(rng.binomial(100, 0.3))}
        found = gam(played(fooled, {"d1": 10, "d2": 10}), *SWAP).r_samples
        covered += found.low <= 1 / 3 <= found.high
    assert 930 <= covered <= 975


def curves(**curve: list[float]) -> Matches:
    matches = Matches()
    for name, scores in curve.items():
        for step, score in enumerate(scores):
            matches.update(name, "judge", [score - 0.01, score + 0.01], step=10 * step)
    return matches


def test_nrds_is_an_areas_share() -> None:
    matches = curves(a=[0.5, 0.4, 0.3], b=[0.5, 0.2, 0.1])
    areas = {"a": 0.45 + 0.35, "b": 0.35 + 0.15}
    assert nrds(matches) == pytest.approx({name: area / sum(areas.values()) for name, area in areas.items()})
    assert sum(nrds(curves(a=[0.5, 0.4], b=[0.3, 0.3], c=[0.2, 0.1])).values()) == pytest.approx(1)
    matches.update("", "judge", [0.9], real=True, step=0)
    assert list(nrds(matches, "judge")) == ["a", "b"]


def test_nrds_compares_the_same_steps_of_one_discriminator() -> None:
    with pytest.raises(ValueError, match=r"got 'b' scored by 'judge' at \[0\] of \[0, 10\]"):
        nrds(curves(a=[0.5, 0.4], b=[0.5]))
    with pytest.raises(ValueError, match="two or more steps"):
        nrds(curves(a=[0.5], b=[0.5]))
    two = curves(a=[0.5, 0.4]) + played({("a", "other"): 3})
    with pytest.raises(ValueError, match=r"expected one discriminator, got discriminator=None of \['judge', 'other'\]"):
        nrds(two)
    assert nrds(two, "judge") == {"a": 1.0}


def test_without_openskill_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "openskill":
            raise ModuleNotFoundError("No module named 'openskill'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match=r"expected the package openskill.*pip install 'streaming-metrics\[study\]'"):
        online_skills(played(FOOLED))
    with pytest.raises(ValueError, match="model: expected one of"):
        online_skills(played(FOOLED), "elo")
