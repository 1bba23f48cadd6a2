"""Do FID's error bars cover, do paired comparisons tell apart what differs, and is what does not differ left alone?

    python benchmarks/coverage.py [--draws 200] [--large] [--picture] [--page docs/verdicts.md]

Features are simulated, so that the true distance is known: five laws, three distances. Prints, per law, distance and
number of samples: the standard error over the true deviation; how often ``fid ± 1.96·fid_se`` holds the mean FID of so
many samples, and how often (seldom) the true distance; how often the interval of ``fid_corrected`` holds that; and how
much of the bias is left. Then: how much narrower paired intervals are, by how alike the noise of two generators is.
Then: two generators whose true distances are equal, one too narrow, one too wide: how often a paired test at 5 % calls
them different, by raw values and by corrected ones. Last, the intervals of other measures, about their values at so
many samples.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from harness import coverage_measures
from harness.common import table
from harness.page import markdown, write_part
from harness.populations import DISTANCES, LAWS, Population
from scipy.stats import norm

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.verdicts.paired import paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.verdicts.evidence import Evidence

PICTURE = Path(__file__).parent / "pictures" / "coverage.png"
QUICK, LARGE = [(64, 5), (64, 10)], [(24, 5), (64, 2), (64, 5), (64, 10), (64, 50), (256, 5)]
"""Features, and samples for each of them."""
STYLES = {"same": "-", "near": "--", "far": ":"}
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
ALIKE = (0.0, 0.5, 0.9, 0.99)
NARROW, WIDE = 0.95, 1.05
HEAD = [
    "law",
    "distance",
    "D",
    "N",
    "SE / SD",
    "fid holds E[FID_N]",
    "fid holds truth",
    "corrected holds truth",
    "left",
]
PAIRED_HEAD = ["alike noise", "distance", "ψ correlate", "narrower", "SE / SD", "covers"]
EQUAL_HEAD = ["D", "N", "raw values: told apart", "corrected: told apart"]


@dataclass
class Scorer:
    """Scorer of generated features against a population's exact moments, by the public metric."""

    population: Population

    def __post_init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "real.npz"
            self.population.fit.save(path)
            width = self.population.width
            measure = FID(se=True)
            self.metric = GenerativeMetrics([measure], extractor=None, num_features=width, reference=path)

    def __call__(self, rows: torch.Tensor) -> tuple[dict[str, float], Evidence]:
        """Return the scores of features ``(n, D)``, and their evidence."""
        self.metric.reset()
        self.metric.update(rows, real=False, index=torch.arange(len(rows)))
        values = {key.removesuffix("_features"): float(value) for key, value in self.metric.compute().items()}
        return values, self.metric.evidence["fd_features"]


def draws_of(population: Population, n: int, draws: int, wider: float, shift: float) -> dict[str, np.ndarray]:
    """Return each score of each draw, ``(draws,)``."""
    scorer, found = Scorer(population), []
    for draw in range(draws):
        noise = population.noise(n, torch.Generator().manual_seed(draw))
        found.append(scorer(population.rows(*noise, wider, shift))[0])
    return {key: np.array([one[key] for one in found]) for key in found[0]}


def covered(value: np.ndarray, error: np.ndarray, truth: float, level: float = 0.95) -> float:
    """Return how often the interval of a value that cannot be negative holds the truth."""
    half = norm.isf((1 - level) / 2) * error
    return float(((np.maximum(value - half, 0) <= truth) & (truth <= value + half)).mean())


def cell(law: str, distance: str, width: int, ratio: int, draws: int) -> tuple[list[str], dict[str, list[float]]]:
    """Return a row of the table, and the coverage at each level of what the raw and the corrected interval hold."""
    population, (wider, shift) = Population(law, width), DISTANCES[distance]
    found, truth = draws_of(population, ratio * width, draws, wider, shift), population.distance(wider, shift)
    raw, error = found["fd"], found["fd_se"]
    corrected, wide = found["fd_corrected"], found["fd_corrected_se"]
    spread, mean = float(np.std(raw, ddof=1)), float(raw.mean())
    about = [covered(raw, error, mean), covered(raw, error, truth), covered(corrected, wide, truth)]
    left = (corrected.mean() - truth) / (mean - truth)
    row = [law, distance, str(width), str(ratio * width), f"{np.sqrt((error**2).mean()) / spread:.2f}"]
    levels = {
        "fid": [covered(raw, error, truth, level) for level in LEVELS],
        "fid_corrected": [covered(corrected, wide, truth, level) for level in LEVELS],
    }
    return [*row, *(f"{share:.3f}" for share in about), f"{left:+.0%}"], levels


def paired_row(alike: float, distance: str, draws: int, width: int = 48, ratio: int = 10) -> list[str]:
    """Return what pairing gains for two generators whose noise correlates, of the true distances 0 and ``distance``."""
    population, n = Population("gauss", width), ratio * width
    (wider, shift), other = DISTANCES[distance], (1.03, 0.05)
    other = (wider * other[0], shift + other[1])
    truth = population.distance(wider, shift) - population.distance(*other)
    scorer, found = Scorer(population), []
    for draw in range(draws):
        generator = torch.Generator().manual_seed(draw)
        normal, uniform = population.noise(n, generator)
        mixed = alike * normal + (1 - alike**2) ** 0.5 * population.noise(n, generator)[0]
        one, two = (
            scorer(population.rows(*given))[1] for given in ((normal, uniform, wider, shift), (mixed, uniform, *other))
        )
        found.append(paired(one, two))
    differences = np.array([one.difference for one in found])
    errors = np.array([one.error for one in found])
    covers = np.mean([one.low <= truth <= one.high for one in found])
    means = [float(np.mean([getattr(one, name) for one in found])) for name in ("correlation", "gain")]
    ratio_of_errors = np.sqrt((errors**2).mean()) / np.std(differences, ddof=1)
    return [f"{alike}", distance, f"{means[0]:.2f}", f"× {means[1]:.1f}", f"{ratio_of_errors:.2f}", f"{covers:.3f}"]


def equal_row(width: int, draws: int, ratio: int = 5) -> list[str]:
    """Return how often two generators of equal distance, one too narrow and one too wide, are told apart."""
    population, n = Population("gauss", width), ratio * width
    scorer, told = Scorer(population), []
    for draw in range(draws):
        noise = population.noise(n, torch.Generator().manual_seed(draw))
        (narrow, one), (wide, two) = (scorer(population.rows(*noise, wider=wider)) for wider in (NARROW, WIDE))
        corrected = paired(one, two)
        raw = (narrow["fd"] - wide["fd"]) / corrected.error
        told.append((abs(raw) > norm.isf(0.025), corrected.verdict() != "undecided"))
    raw_share, share = np.mean(told, 0)
    return [str(width), str(n), f"{raw_share:.2f}", f"{share:.2f}"]


def draw_picture(levels: Mapping[tuple[str, str], dict[str, list[float]]], path: Path) -> None:
    """Draw nominal against true coverage of the true distance: a colour a law, a style a distance."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("fid", "fid_corrected")):
        axes.plot([0.4, 1], [0.4, 1], color="#999", linewidth=1)
        for (law, distance), by_key in levels.items():
            colour, style = f"C{LAWS.index(law)}", STYLES[distance]
            label = f"{law}, {distance}"
            axes.plot(
                LEVELS, by_key[key], marker="o", markersize=3, linewidth=1, color=colour, linestyle=style, label=label
            )
        axes.set(title=f"{key} ± z·se", xlabel="nominal coverage", ylim=(-0.03, 1.03))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("covers the true distance")
    figure.axes[1].legend(frameon=False, fontsize=7, ncols=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--large", action="store_true", help="more widths and numbers of samples")
    parser.add_argument("--picture", action="store_true", help=f"draw {PICTURE.name}")
    parser.add_argument("--page", type=Path, help="write the tables into this page")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    rows, levels = [], {}
    for width, ratio in LARGE if options.large else QUICK:
        for law in LAWS:
            for distance in DISTANCES:
                row, of_levels = cell(law, distance, width, ratio, options.draws)
                rows.append(row)
                if (width, ratio) == QUICK[0]:
                    levels[law, distance] = of_levels
    parts: list[tuple[list[str], list[list[str]]]] = [(HEAD, rows)]
    parts.append((PAIRED_HEAD, [paired_row(alike, far, options.draws) for alike in ALIKE for far in ("near", "far")]))
    widths = (96, 256) if options.large else (96,)
    parts.append((EQUAL_HEAD, [equal_row(width, max(20, options.draws // 5)) for width in widths]))
    others = [one.cells for case in coverage_measures.cases() for one in coverage_measures.covered(case, options.draws)]
    for head, body in (*parts, (coverage_measures.HEAD, others)):
        print(table(head, body), "\n")
    if options.picture:
        draw_picture(levels, PICTURE)
    if options.page:
        write_part(options.page, "coverage", "\n\n".join(markdown(head, body) for head, body in parts))
        write_part(options.page, "coverage of measures", markdown(coverage_measures.HEAD, others))


if __name__ == "__main__":
    main()
