"""Davidson's model: parity with choix and SciPy's minimiser, its information, and games without a maximum."""

from __future__ import annotations

from dataclasses import replace

import choix
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from streaming_metrics.ratings.davidson import Games, NoMaximum, chances, fit, information, log_likelihood, scores
from streaming_metrics.ratings.separation import fit_or_tell, receding

NAMES = ("a", "b", "c", "d", "e")


def drawn(seed: int, players: int = 5, *, ties: bool = True, sided: bool = True, n: int = 30) -> Games:
    """Return games of players of known strengths, n of each two in either order."""
    rng = np.random.default_rng(seed)
    strengths = np.linspace(-1, 1, players)
    first, second = (axis.ravel() for axis in np.meshgrid(np.arange(players), np.arange(players)))
    first, second = first[first != second], second[first != second]
    odds = strengths[first] - strengths[second] + (0.4 if sided else 0.0)
    found = np.stack(chances(odds, np.log(0.5) if ties else None), 1)
    return Games(players, first, second, rng.multinomial(n, found).astype(float), sided)


def wins_of(games: Games) -> list[tuple[int, int]]:
    """Return winner and loser of each game."""
    rows = zip(games.first, games.second, games.outcomes)
    return [pair for a, b, (won, _, lost) in rows for pair in [(a, b)] * int(won) + [(b, a)] * int(lost)]


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_it_is_the_maximum_that_choix_finds(seed: int) -> None:
    games = drawn(seed, ties=False, sided=False)
    found = fit(games).parameters
    assert found == pytest.approx(choix.mm_pairwise(5, wins_of(games), tol=1e-12), abs=1e-7)
    assert found == pytest.approx(choix.opt_pairwise(5, wins_of(games), tol=1e-10), abs=1e-5)
    assert found.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("prior", [0.5, 3.0])
def test_the_prior_is_a_ridge(prior: float) -> None:
    games = drawn(0, ties=False, sided=False, n=2)
    expected = choix.opt_pairwise(5, wins_of(games), alpha=1 / (2 * prior**2), tol=1e-12)
    assert fit(games, prior).parameters == pytest.approx(expected, abs=1e-6)


def by_hand(games: Games) -> np.ndarray:
    """Return Davidson's maximum, by a minimiser over π, γ and ν: ties do not feel the order, as Davidson and Beaver."""
    n = games.players

    def loss(parameters: np.ndarray) -> float:
        worth, order, tie = np.exp(parameters[:n]), np.exp(parameters[n]), np.exp(parameters[-1])
        one, other = worth[games.first], order * worth[games.second]
        drawn = tie * np.sqrt(worth[games.first] * worth[games.second])
        chance = np.stack([one, drawn, other], 1) / (one + drawn + other)[:, None]
        return float(-(games.outcomes * np.log(chance)).sum() + parameters[:n].sum() ** 2)

    return minimize(loss, np.zeros(n + 2), method="BFGS", options={"gtol": 1e-6}).x


@pytest.mark.parametrize("seed", range(3))
def test_ties_and_places_are_davidsons_and_beavers(seed: int) -> None:
    games = drawn(seed)
    found, (*strengths, order, tie) = fit(games).parameters, by_hand(games)
    assert found[:5] == pytest.approx(strengths, abs=1e-4)
    assert found[5] == pytest.approx(-order, abs=1e-4)
    assert found[6] == pytest.approx(tie - order / 2, abs=1e-4)  # ν of ours is ν / √γ of theirs


def test_gradient_and_information_are_derivatives() -> None:
    games, at = drawn(0), np.random.default_rng(1).normal(size=7)
    gradient = approx_fprime(at, lambda p: log_likelihood(games, p), 1e-7)
    assert scores(games, at).sum(0) == pytest.approx(gradient, abs=1e-3)
    hessian = np.stack([approx_fprime(at, lambda p, k=k: scores(games, p).sum(0)[k], 1e-7) for k in range(7)])
    assert information(games, at) == pytest.approx(-hessian, abs=1e-3)


def test_the_inverse_information_is_the_spread_of_fits() -> None:
    fits = [fit(drawn(seed, n=40)) for seed in range(300)]
    spread = np.stack([one.parameters for one in fits]).std(0)
    told = np.sqrt(np.mean([np.diag(one.inverse) for one in fits], 0))
    assert told == pytest.approx(spread, rel=0.15)
    assert fits[0].inverse[:5].sum(0) == pytest.approx(np.zeros(7), abs=1e-12)


def test_influences_sum_to_nothing_and_rows_may_be_split() -> None:
    games = drawn(0)
    rows = np.repeat(np.arange(len(games.first)), 2)
    half = Games(5, games.first[rows], games.second[rows], games.outcomes[rows] / 2, sided=True)
    assert fit(half).parameters == pytest.approx(fit(games).parameters, abs=1e-9)
    assert fit(half).influence(half).sum(0) == pytest.approx(np.zeros(7), abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0, 2])), min_size=3, max_size=14))
def test_without_ties_a_maximum_is_strong_connection(rows: list[tuple[int, int, int]]) -> None:
    """Ford 1957: there is a maximum just where every player can be reached from every other by wins."""
    rows = [row for row in rows if row[0] != row[1]]
    if not rows:
        return
    outcomes = np.eye(3)[[how for _, _, how in rows]]
    games = Games(4, np.array([a for a, _, _ in rows]), np.array([b for _, b, _ in rows]), outcomes)
    beat = np.eye(4, dtype=bool)
    for a, b, how in rows:
        beat[(a, b) if how == 0 else (b, a)] = True
    reach = np.linalg.matrix_power(beat.astype(int), 4) > 0
    if reach.all():
        assert np.isfinite(fit_or_tell(games, NAMES).parameters).all()
        assert receding(games) is None
    else:
        with pytest.raises(ValueError, match=r"Strengths: expected .*Remedy: .*prior=3\.0"):
            fit_or_tell(games, NAMES)
    assert np.isfinite(fit(games, prior=3.0).parameters).all()


def told(outcomes: dict[tuple[int, int], tuple[int, int, int]], *, sided: bool = False) -> str:
    pairs = list(outcomes)
    first, second = (np.array([pair[place] for pair in pairs]) for place in (0, 1))
    games = Games(max(map(max, pairs)) + 1, first, second, np.array(list(outcomes.values()), float), sided)
    with pytest.raises(ValueError, match="Remedy: more judgements") as error:
        fit_or_tell(games, NAMES)
    return str(error.value)


def test_it_says_who_is_apart() -> None:
    assert "got 'a' that never lost to 'b', 'c'" in told({(0, 1): (3, 0, 0), (0, 2): (2, 0, 0), (1, 2): (1, 0, 1)})
    assert "got 'a', 'b' that never lost to 'c'" in told({(0, 1): (1, 0, 1), (0, 2): (2, 0, 0), (1, 2): (1, 0, 0)})
    assert "got none between 'c', 'd' and 'a', 'b', 'e'" in told(
        {(0, 1): (1, 0, 1), (2, 3): (1, 0, 1), (0, 4): (1, 0, 1)}
    )
    assert "every game was tied" in told({(0, 1): (0, 3, 0)})
    assert "one place won them all" in told({(0, 1): (3, 0, 0), (1, 0): (3, 0, 0)}, sided=True)
    assert "got 'a' that never lost to 'b' but where the first place may explain it" in told(
        {(0, 1): (3, 0, 0), (1, 0): (1, 0, 1)}, sided=True
    )


def test_of_two_players_a_tie_bounds_no_strength() -> None:
    games = Games(2, np.array([0]), np.array([1]), np.array([[3.0, 1.0, 0.0]]))
    assert receding(games) is not None  # both the distance and ν may grow
    assert receding(Games(2, np.array([0]), np.array([1]), np.array([[3.0, 1.0, 1.0]]))) is None


def test_one_lost_game_of_many_is_a_finite_strength_and_none_is_not() -> None:
    first, second = np.array([0, 1]), np.array([1, 2])
    rare = Games(3, first, second, np.array([[1e6, 0, 1], [5.0, 0, 5]]))
    assert fit_or_tell(rare, NAMES).parameters[:2] @ [1, -1] == pytest.approx(np.log(1e6), abs=1e-6)
    with pytest.raises(ValueError, match="got 'a' that never lost to 'b', 'c'"):
        fit_or_tell(Games(3, first, second, np.array([[1.0, 0, 0], [5e5, 0, 5e5]])), NAMES)


def test_sides_that_were_never_swapped_are_told() -> None:
    games = Games(2, np.array([0]), np.array([1]), np.array([[3.0, 1.0, 2.0]]), sided=True)
    with pytest.raises(ValueError, match=r"a strength and the first place's advantage explain the same.*sides=False"):
        fit_or_tell(games, NAMES)
    assert fit_or_tell(replace(games, sided=False), NAMES).parameters[0] > 0
    assert fit_or_tell(games, NAMES, prior=3.0).parameters[0] > 0


@pytest.mark.parametrize("seed", range(40))
def test_newton_finds_a_maximum_just_where_the_linear_programme_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(3, size=8)
    outcomes = np.eye(3)[rng.integers(3, size=8)] * rng.choice([1, 1000])
    games = Games(3, first, (first + rng.integers(1, 3, size=8)) % 3, outcomes)
    if len(set(games.first) | set(games.second)) < 3:
        return
    try:
        fit(games)
    except NoMaximum:
        assert receding(games.summed()) is not None
    else:
        assert receding(games.summed()) is None
