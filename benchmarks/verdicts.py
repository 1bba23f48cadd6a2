"""How often are verdicts of epochs wrong, how often are they told, and how many samples do they take?

    python benchmarks/verdicts.py [--reps 200] [--large]

Three tables. Boundaries: looks that double, as motions with a drift of so many standard errors at the last look. FID:
``FID(se=True)`` of Gaussian features from streams, two generators with noise that is correlated as that of two
checkpoints from the same seeds, by corrected values and by raw ones; where both are equally far from the reference, but
one spreads too much and the other too little, raw values differ by their bias. Trainings: epochs that are all equal,
what each rule keeps of them, and how far what it follows is from the truth.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from harness.common import table
from scipy.stats import norm

from streaming_metrics import FID, BiasWarning, GenerativeMetrics
from streaming_metrics.verdicts.evidence import Evidence, Influence
from streaming_metrics.verdicts.looks import looks, threshold
from streaming_metrics.verdicts.sequential import Sequential

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming_metrics.verdicts.sequential import Outcome

    Array: TypeAlias = np.ndarray

ALPHA = 0.05
SHARES = np.array([0.125, 0.25, 0.5, 1.0])
MOTIONS = 50_000
DRIFTS = (0.0, 2.4, 4.0, 8.0)
CORRELATION = 0.9
EPOCHS, SAMPLES = 50, 800


def boundaries() -> dict[str, Array]:
    """Return the standard errors that each rule asks for at four looks that double; all but the last err at 5 %."""
    wang_tsiatis = np.array([threshold(share, len(SHARES), ALPHA) for share in SHARES])
    single = float(norm.isf(ALPHA / 2))
    return {
        "C·(N/N_k)^¼, as built": wang_tsiatis,
        "O'Brien–Fleming": 1.978 / np.sqrt(SHARES),
        "one look": np.array([np.inf, np.inf, np.inf, single]),
        "1.96 at each look": np.full(len(SHARES), single),
    }


def motions(drift: float, seed: int = 0) -> Array:
    """Return z-scores at the looks of Brownian motions that end at a drift of so many standard errors."""
    steps = np.random.default_rng(seed).standard_normal((MOTIONS, len(SHARES))) * np.sqrt(np.diff(SHARES, prepend=0))
    return (steps.cumsum(1) + drift * SHARES) / np.sqrt(SHARES)


def boundary_rows() -> Iterator[list[str]]:
    for name, boundary in boundaries().items():
        row = [name]
        for drift in DRIFTS:
            told = np.abs(motions(drift)) >= boundary
            used = SHARES[np.where(told.any(1), told.argmax(1), len(SHARES) - 1)].mean()
            row.append(f"{told.any(1).mean():.3f}, {used:.2f}")
        yield row


@dataclass(frozen=True)
class Generator:
    """Generator of features: the reference's, stretched, and moved along the first of them."""

    stretch: float = 1.0
    move: float = 0.0

    def draw(self, noise: Array, scale: Array) -> Array:
        features = self.stretch * noise * scale
        features[:, 0] += self.move * scale[0]
        return features


CASES = {
    "equal, alike": (Generator(1.05), Generator(1.05)),
    "equal, one wider": (Generator(1.05), Generator(0.95)),
    "6 % better": (Generator(move=1), Generator(move=sqrt(0.94))),
    "35 % better": (Generator(move=1), Generator(move=sqrt(0.65))),
}


class Stream:
    """Stream of two generators' features against one reference, whose mean and covariance are exact.

    Args:
        width: features.
        times: samples of the last look, in widths.
    """

    def __init__(self, width: int, times: int) -> None:
        self.scale = np.arange(1, width + 1) ** -0.5
        rows = np.random.default_rng(0).standard_normal((4 * width, width))
        rows -= rows.mean(0)
        root = np.linalg.cholesky(np.cov(rows.T))
        self.real = np.linalg.solve(root, rows.T).T * self.scale
        self.looks = looks(times * width, least=4 * width)
        self.metric = GenerativeMetrics([FID(se=True)], extractor=None, num_features=width)
        self.metric.update(torch.from_numpy(self.real), real=True, index=torch.arange(len(self.real)))
        self.metric.freeze_real()

    def evidence(self, features: Array) -> dict[int, tuple[Evidence, Evidence]]:
        """Return, at each look, the evidence of the corrected distance and that of the raw one."""
        found, start = {}, 0
        self.metric.reset()
        for n in self.looks:
            self.metric.update(torch.from_numpy(features[start:n]), real=False, index=torch.arange(start, n))
            value = float(self.metric.compute()["fd_features"])
            corrected = self.metric.evidence["fd_features"]
            found[n], start = (corrected, replace(corrected, value=value)), n
        return found

    def outcomes(self, pair: tuple[Generator, Generator], seed: int) -> tuple[Outcome, Outcome]:
        """Return what the second generator is told to be against the first: by corrected and by raw values."""
        drawn = np.random.default_rng(seed).standard_normal((2, self.looks[-1], len(self.scale)))
        second = CORRELATION * drawn[0] + sqrt(1 - CORRELATION**2) * drawn[1]
        found = [self.evidence(one.draw(noise, self.scale)) for one, noise in zip(pair, (drawn[0], second))]
        corrected, raw = (outcome([{n: one[n][which] for n in one} for one in found]) for which in (0, 1))
        return corrected, raw


def outcome(found: list[dict[int, Evidence]]) -> Outcome:
    """Return the outcome of the second of two candidates."""
    course = Sequential(list(found[0]), ALPHA)
    return [ended(course, evidence) for evidence in found][-1]


def ended(course: Sequential, evidence: dict[int, Evidence]) -> Outcome:
    """Return a candidate's outcome."""
    course.begin()
    while (n := course.next_look) is not None:
        course.take(evidence[n], course.compare(evidence[n]))
    return course.end("")


def distance_rows(width: int, times: int, reps: int) -> Iterator[list[str]]:
    stream = Stream(width, times)
    for name, pair in CASES.items():
        found = [stream.outcomes(pair, seed) for seed in range(reps)]
        row = [f"{name}, D = {width}, N = {times} D"]
        for of_rule in zip(*found):
            share = {verdict: np.mean([one.verdict == verdict for one in of_rule]) for verdict in ("better", "worse")}
            used = np.mean([one.num_samples for one in of_rule]) / stream.looks[-1]
            row += [f"{share['better']:.3f} / {share['worse']:.3f}", f"{used:.2f}"]
        yield row


def plateau_rows(reps: int) -> Iterator[list[str]]:
    """Yield what each rule makes of a training whose epochs are all equal, and share most of their noise."""
    error = 1 / sqrt(SAMPLES)
    planned = looks(SAMPLES, least=100)
    for name, alpha in {f"verdicts, α = {ALPHA}": ALPHA, f"verdicts, α = {ALPHA} / {EPOCHS}": ALPHA / EPOCHS}.items():
        changes, values, used = [], [], []
        for seed in range(reps):
            course = Sequential(planned, alpha)
            ends = [ended(course, evidence_of_mean(epoch_noise(seed, epoch), planned)) for epoch in range(EPOCHS)]
            changes.append(sum(one.verdict == "better" for one in ends))
            values.append(ends[-1].decided - epoch_noise(seed, 0).mean())
            used.append(np.mean([one.num_samples for one in ends]) / SAMPLES)
        yield [name, f"{np.mean(changes):.2f}", f"{np.mean(values) / error:.2f}", f"{np.mean(used):.2f}"]
    lowest = [
        np.minimum.accumulate([epoch_noise(seed, epoch).mean() for epoch in range(EPOCHS)]) for seed in range(reps)
    ]
    changes = np.mean([(np.diff(one) < 0).sum() for one in lowest])
    yield ["the lowest value", f"{changes:.2f}", f"{np.mean([one[-1] - one[0] for one in lowest]) / error:.2f}", "1.00"]


def epoch_noise(seed: int, epoch: int) -> Array:
    return np.random.default_rng([seed, epoch]).standard_normal(SAMPLES)


def evidence_of_mean(samples: Array, planned: list[int]) -> dict[int, Evidence]:
    means = {n: float(samples[:n].mean()) for n in planned}
    return {n: Evidence("mean", mean, Influence(np.arange(n), samples[:n] - mean, n)) for n, mean in means.items()}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=200, help="pairs of generators, and half as many trainings")
    parser.add_argument("--large", action="store_true", help="96 and 256 features too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", BiasWarning)
    print(f"Told apart, and share of the samples used, by drift in standard errors; {MOTIONS:,} motions each:")
    print(table(["boundary", *(f"{drift:g}" for drift in DRIFTS)], list(boundary_rows())))
    spread = sqrt(ALPHA * (1 - ALPHA) / options.reps)
    print(f"\nFID, told better / worse, and share used; α = {ALPHA} ± {spread:.3f}, {options.reps} pairs:")
    sizes = [(24, 32), (96, 32), (256, 5)] if options.large else [(24, 32)]
    rows = [row for size in sizes for row in distance_rows(*size, options.reps)]
    print(table(["second against first", "corrected", "used", "raw", "used"], rows))
    print(f"\nTrainings of {EPOCHS} equal epochs, {options.reps // 2} of each:")
    head = ["rule", "changes of the best", "what is followed, in standard errors", "samples used"]
    print(table(head, list(plateau_rows(options.reps // 2))))


if __name__ == "__main__":
    main()
