"""The tables that laws and contracts run over, and one pool of gloo ranks for all distributed tests."""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import sys
import traceback
from datetime import timedelta
from multiprocessing.forkserver import ensure_running
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from hypothesis import settings

from streaming_metrics import (
    C2ST,
    CAS,
    CMMD,
    FID,
    FKEA,
    FLD,
    FVD,
    FWD,
    IS,
    KEN,
    KID,
    MIND,
    MMD,
    NDB,
    NNAA,
    PPPR,
    PRDC,
    RFID,
    RKE,
    SFID,
    AdaGANCoverage,
    AdversarialDivergence,
    AMScore,
    AuthPct,
    BirthdayParadox,
    BoundaryDistortion,
    ClippedDensityCoverage,
    CTScore,
    FDDINOv2,
    FDr6,
    Features,
    FIDInfinity,
    GANTest,
    GeometryScore,
    ImageRetrieval,
    ImageStatistics,
    IntraFID,
    ISInfinity,
    JEDi,
    MeanScore,
    MiFID,
    Modes,
    ModeScore,
    ModifiedIS,
    ParzenLikelihood,
    RPrecision,
    SharpnessDifference,
    SlicedWasserstein,
    Spec,
    TopPR,
    Vendi,
    WassersteinCritic,
)
from streaming_metrics.measures.frechet_ratios import DIVISORS
from streaming_metrics.measures.jackknife import Jackknife
from streaming_metrics.measures.modified_inception_score import ClassPredictions
from streaming_metrics.pairwise import (
    BallCounts,
    Balls,
    Bandwidths,
    ClippedBalls,
    Draw,
    KernelSums,
    Nearest,
    PolynomialKernel,
    Radii,
    RBFKernel,
    SubsetSums,
    squared_radii,
)
from streaming_metrics.pairwise.misses import Misses
from streaming_metrics.statistics import (
    Authentic,
    Bank,
    BinCounts,
    CaptionDigest,
    CaptionPool,
    CellDistances,
    Cells,
    ClassSums,
    ClippedCounts,
    CosineDistances,
    Count,
    Directions,
    Distinct,
    FixedRows,
    FourierMoment,
    HalfMoments,
    Histogram,
    KernelDensities,
    KnownCaptions,
    LinearProbe,
    Marginals,
    ModeSums,
    Moments,
    NearestPoints,
    Neighbours,
    PacketMoments,
    Prefixes,
    ProbeHits,
    Projections,
    PromptSums,
    Reservoir,
    Retrieved,
    SecondMoment,
    UnitSum,
)
from streaming_metrics.statistics.blocks import Blocks
from streaming_metrics.statistics.hashes import hashes_of
from streaming_metrics.statistics.index import hashed
from streaming_metrics.statistics.predictions import ClusteredPredictions, PredictionMoments
from streaming_metrics.statistics.supported import Supported

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from multiprocessing.connection import Connection

    from streaming_metrics import GenerativeMetrics, Measure
    from streaming_metrics.features import Role

pytest_plugins = ["extractor_table", "forking"]

settings.register_profile("house", max_examples=10, deadline=None)
settings.load_profile("house")

WIDTH, CLASSES, SAMPLES = 6, 5, 40
TEXT, LABELS, CAPTIONS, GRADIENTS, SPATIAL = WIDTH, 4, 20, 5, 4
WORLD = 4
RANGES = {"luminance": 190, "contrast": 95, "colourfulness": 150, "sharpness": 80, "spectrum_slope": -4}
"""Descriptors of images, and how far they go from 0."""
PACKETS = 256
"""Numbers of an image's packets, one each."""
NETWORKS = {"gradients": GRADIENTS, "text": TEXT, "spatial": SPATIAL, "packets": PACKETS, "score": 1}
WIDTHS = dict.fromkeys(RANGES, 1) | NETWORKS
WIDTHS |= dict.fromkeys(DIVISORS, 2)
"""Widths of the columns, beside pool and logits, that metrics of measures are given."""

FIXED = torch.randn(30, WIDTH, generator=torch.Generator().manual_seed(0))
"""Rows of a side that statistics count against."""
PROBE = LinearProbe(FIXED[:LABELS].double(), torch.zeros(LABELS).double(), torch.arange(LABELS) > 0)
"""A classifier that statistics count the hits of."""
BANDWIDTHS = torch.tensor([0.25, 2.0], dtype=torch.float64)

STATISTICS = [
    Count(),
    Moments(WIDTH),
    Moments(TEXT, column="text"),
    SecondMoment(WIDTH),
    SecondMoment(WIDTH, normalized=False),
    SecondMoment(TEXT, column="text"),
    Marginals(CLASSES, splits=1),
    Marginals(CLASSES, splits=3),
    Marginals(CLASSES, splits=3, assignment="contiguous", num_samples=SAMPLES),
    Marginals(CLASSES, splits=3, assignment="shuffled", num_samples=SAMPLES),
    Marginals(TEXT, splits=3, column="text"),
    Bank(WIDTH),
    Bank(WIDTH, capacity=7),
    Bank(WIDTH, labels=LABELS),
    Bank(TEXT, capacity=7, column="text", labels=LABELS),
    Distinct(),
    Distinct(k=8),
    Histogram(0, 200, bins=7, column="luminance"),
    Neighbours(WIDTH, k=3, balls=Balls.around(FIXED, k=3)),
    Neighbours(WIDTH, k=1, balls=Balls.around(FIXED, k=1), visitors=True),
    ClippedCounts(WIDTH, k=3, balls=ClippedBalls(FIXED, squared_radii(FIXED, 3))),
    CosineDistances(WIDTH, rows=Directions(FIXED)),
    CellDistances(WIDTH, "two", Cells(FIXED, FIXED[:2])),
    Neighbours(WIDTH, k=3, strict=False, half=True, balls=Balls.around(FIXED, k=3, strict=False)),
    BinCounts(WIDTH, bins=4, centres=FixedRows(FIXED[:4])),
    ModeSums(WIDTH, modes=4, centres=FixedRows(FIXED[:4])),
    ModeSums(WIDTH, modes=LABELS, is_labelled=True, centres=FixedRows(FIXED[:LABELS])),
    Authentic(WIDTH, FixedRows(FIXED), squared_radii(FIXED, 1)),
    Bank(WIDTH, captions=True, beside=(("text", TEXT),)),
    Bank(TEXT, capacity=7, column="text", captions=True),
    Bank(WIDTH, capacity=6, cluster=3),
    HalfMoments(WIDTH),
    HalfMoments(TEXT, column="text", cluster=4),
    Reservoir(WIDTH, capacity=7),
    Reservoir(WIDTH, capacity=6, cluster=3),
    Reservoir(TEXT, capacity=80, column="text"),
    CaptionDigest(),
    KnownCaptions(),
    PromptSums(most=30),
    PromptSums(most=7),
    ClassPredictions(CLASSES),
    Retrieved(WIDTH, candidates=5, r=2, most=30, seed=0, pool=CaptionPool(torch.arange(30), FIXED, seed=0)),
    ClassSums(WIDTH, LABELS),
    ClassSums(TEXT, LABELS, column="text"),
    ProbeHits(WIDTH, LABELS, probe=PROBE),
    KernelDensities(WIDTH, rows=FixedRows(FIXED), bandwidths=Bandwidths.around(1.0)),
    KernelDensities(WIDTH, widths=(0.25, 2.0), rows=FixedRows(FIXED), bandwidths=Bandwidths(BANDWIDTHS)),
    NearestPoints(WIDTH, rows=FixedRows(FIXED)),
    NearestPoints(WIDTH, k=5, labels=LABELS, rows=FixedRows(FIXED)),
    Supported(WIDTH, rows=FixedRows(FIXED), reach=torch.tensor(3.0).double()),
    Projections(WIDTH, num_projections=5),
    PacketMoments(PACKETS // 8),
    FourierMoment(WIDTH, frequencies=5, sigma=2.5),
    UnitSum(WIDTH),
    UnitSum(TEXT, column="text"),
    PredictionMoments(CLASSES + 1),
    ClusteredPredictions(CLASSES, cluster=4),
    Blocks(Moments(WIDTH), blocks=3),
    Blocks(Marginals(CLASSES, splits=3), blocks=3, cluster=4),
    Blocks(ClassPredictions(CLASSES), blocks=50),
    Prefixes(Moments(WIDTH)),
    Prefixes(Marginals(CLASSES, splits=1), cluster=4),
    Blocks(Prefixes(Marginals(CLASSES, splits=1)), blocks=3),
]

KERNEL, DRAW = PolynomialKernel(), Draw(subsets=3, size=8, seed=2020)
MANY = Draw(subsets=60, size=12, seed=7)
"""So many pairs that tiles are summed by memberships; those of ``DRAW`` are multiplied out alone."""
RBF = RBFKernel((0.5, 3.0))

REDUCTIONS = [
    Radii("real", 3),
    Radii("fake", 1),
    Radii("train", 2),
    Nearest("fake", "real"),
    Nearest("real", "fake"),
    Nearest("fake", "train"),
    BallCounts("real", 3),
    BallCounts("fake", 3),
    BallCounts("real", 3, strict=False),
    BallCounts("real", 3, strict=False, half=True),
    BallCounts("real", 1, visitors=True),
    BallCounts("train", 3),
    BallCounts("train", 3, points="real"),
    Misses("real", k=3, scale=1.2),
    Misses("fake", k=1, scale=0.8),
    KernelSums("real", "real", KERNEL),
    KernelSums("fake", "real", KERNEL),
    KernelSums("train", "train", RBF),
    KernelSums("fake", "train", RBF),
    SubsetSums("fake", "fake", KERNEL, DRAW),
    SubsetSums("fake", "real", KERNEL, DRAW),
    SubsetSums("fake", "fake", KERNEL, MANY),
    SubsetSums("fake", "real", KERNEL, MANY),
    SubsetSums("fake", "fake", RBF, DRAW),
    SubsetSums("fake", "real", RBF, MANY),
    SubsetSums("fake", "train", RBF, Draw(subsets=3, size=8, seed=2020, roles=("train", "fake"))),
]

Tolerance: TypeAlias = "dict[str, float]"
"""How far apart a measure's values may be where features come in other batches, orders or ranks."""
SUMS: Tolerance = {"rel": 1e-9, "abs": 1e-12}
"""Of float64 sums, whose order rounds."""
KERNELS: Tolerance = {"rel": 1e-6, "abs": 1e-6}
"""Of cubes of float32 products."""
COUNTS: Tolerance = {"rel": 0, "abs": 0}
"""Of counts, which are equal, and of float64 sums of rows in the order of their ids: the same bits."""

MEASURES: dict[Measure, Tolerance] = {
    FID(): SUMS,
    FDr6(): SUMS,
    FDDINOv2(): SUMS,
    SFID(): SUMS,
    RFID(): SUMS,
    FVD(): SUMS,
    FVD("cd-fvd"): SUMS,
    Jackknife(FVD(), blocks=3): SUMS,
    JEDi(): SUMS,
    KID(subsets=5, subset_size=8): KERNELS,
    KID(subsets=None): KERNELS,
    KID(subsets=5, subset_size=8, capacity=16): KERNELS,
    KID(subsets=5, subset_size=8, se=True, cluster=2): KERNELS,
    IS(splits=3): SUMS,
    IS(splits=3, num_samples=SAMPLES): SUMS,
    IS(split_size=16, num_samples=SAMPLES): SUMS,
    IS(splits=3, se=True): SUMS,
    IS(splits=1, se=True, cluster=2): SUMS,
    PRDC(k=3): COUNTS,
    PRDC(k=3, f1=True, capacity=16): COUNTS,
    PRDC(variant="improved"): COUNTS,
    PRDC(variant="guided-diffusion", recall=False): COUNTS,
    PRDC(recall=False): COUNTS,
    PRDC(k=2, recall=False, se=True): COUNTS,
    PRDC(k=2, f1=True, se=True, both=True): COUNTS,
    FIDInfinity(): SUMS,
    ISInfinity(): SUMS,
    Jackknife(ISInfinity(), blocks=3): SUMS,
    ClippedDensityCoverage(k=3): COUNTS,
    Jackknife(ClippedDensityCoverage(k=3), blocks=3): SUMS,
    PPPR(): SUMS,
    TopPR(): COUNTS,
    PPPR(k=2, recall=False, se=True): SUMS,
    Vendi(): SUMS,
    Vendi(q=0.5): SUMS,
    Vendi(q=2, se=True): SUMS,
    Vendi(q=0.5, se=True, cluster=2, reservoir=20): SUMS,
    RKE(): SUMS,
    RKE("gaussian", sigma=2.0): SUMS,
    RKE("fourier", sigma=2.0, frequencies=6): SUMS,
    RKE(se=True, cluster=2, reservoir=20): SUMS,
    RKE("gaussian", sigma=2.0, se=True): SUMS,
    FKEA(sigma=2.0, frequencies=6): SUMS,
    FKEA(sigma=2.0, frequencies=6, se=True, cluster=2, reservoir=20): SUMS,
    KEN(sigma=2.0, frequencies=6): SUMS,
    KEN(sigma=2.0, frequencies=6, se=True, reservoir=20): SUMS,
    KEN(eta=0.5, sigma=2.0, frequencies=None, most=30): COUNTS,
    KEN(sigma=2.0, frequencies=None, se=True, cluster=2): SUMS,
    CMMD(): SUMS,
    CMMD(exact=True): SUMS,
    MIND(num_projections=5): SUMS,
    MMD(block=2): COUNTS,
    MMD(block=2, se=True, most=30, cluster=2): COUNTS,
    MMD(most=24, widths=(1.0, 2.0), biased=True, permutations=0): COUNTS,
    AuthPct(): COUNTS,
    AuthPct(se=True): COUNTS,
    CTScore(cells=2, least=2): COUNTS,
    CTScore(cells=2, components=4, least=2, most=30, mem=True, mode=True): COUNTS,
    MiFID(): SUMS,
    MiFID(training="real"): SUMS,
    MiFID(variant="torchmetrics", threshold=0.5): SUMS,
    NDB(bins=4): COUNTS,
    NDB(bins=4, most=16): COUNTS,
    Modes(modes=4): SUMS,
    Modes(classes=LABELS): SUMS,
    Jackknife(Modes(modes=4), blocks=3): SUMS,
    IntraFID(classes=LABELS): COUNTS,
    IntraFID(classes=LABELS, per_class=True, shrinkage=0.1): COUNTS,
    ImageStatistics(bins=50): SUMS,
    FWD(): SUMS,
    SharpnessDifference(): SUMS,
    FID(captions=True): SUMS,
    FID(se=True, reservoir=64): SUMS,
    FID(se=True, both=True, cluster=2, reservoir=16): SUMS,
    ModeScore(): SUMS,
    ModifiedIS(): SUMS,
    AMScore(): SUMS,
    Jackknife(AMScore(), blocks=4): SUMS,
    Jackknife(ImageStatistics(bins=50), blocks=3, cluster=2): SUMS,
    BirthdayParadox(most=16, quantile=0.5): COUNTS,
    BirthdayParadox(threshold=2.0): COUNTS,
    RPrecision(candidates=5, r=2, se=True): COUNTS,
    MeanScore(prompts=30): SUMS,
    MeanScore(prompts=7): SUMS,
    CAS(classes=LABELS): COUNTS,
    CAS(classes=LABELS, se=True): COUNTS,
    CAS(classes=LABELS, probe="ridge", shrinkage=0.5): COUNTS,
    GANTest(classes=LABELS): COUNTS,
    GANTest(classes=LABELS, se=True): COUNTS,
    BoundaryDistortion(classes=LABELS): COUNTS,
    BoundaryDistortion(classes=LABELS, se=True): COUNTS,
    AdversarialDivergence(classes=LABELS): SUMS,
    AdversarialDivergence(classes=LABELS, se=True): SUMS,
    ParzenLikelihood(): SUMS,
    FLD(centres=20, gap=True, se=True): COUNTS,
    ParzenLikelihood(most=16, widths=(0.5, 1.0)): SUMS,
    AdaGANCoverage(most=24, se=True): COUNTS,
    ImageRetrieval(): COUNTS,
    ImageRetrieval(classes=LABELS, ks=(1, 3), most=16, se=True): COUNTS,
    NNAA(): COUNTS,
    NNAA(most=24, privacy=True): COUNTS,
    SlicedWasserstein(n_projections=5): SUMS,
    SlicedWasserstein(p=1, n_projections=5, seed=1): SUMS,
    WassersteinCritic(most=24, width=3, steps=4): SUMS,
    C2ST(permutations=9): COUNTS,
    C2ST("logistic", most=24): COUNTS,
    GeometryScore(n=2, landmarks=8, gamma=0.5, most=24): COUNTS,
}
"""Every law and contract of measures runs over each; what roles and columns one needs is read off its statistics."""
STAND_FOR_ERRORS = (
    FID(se=True, reservoir=64),
    KID(subsets=5, subset_size=8, se=True, cluster=2),
    Jackknife(AMScore(), blocks=4),
)
"""Rows with errors that are quick where those of the others are slow."""


STAND_FOR_RANKS = FID(), PRDC(k=3)
"""Rows, of sums and of a bank, that quick tests cut over ranks in every way; the others' they cut once."""


def is_quick(measure: Measure) -> bool:
    """Return whether a row is quick: it is slow where it adds errors to a measure that has a row without."""
    return measure in STAND_FOR_ERRORS or not any(scalar.about for scalar in measure.scalars)


def kinds_of(measure: Measure) -> set[type]:
    """Return the classes of the statistics that a row keeps."""
    spec = Spec(WIDTH, CLASSES, widths=WIDTHS)
    return {type(statistic) for kept in measure.statistics(spec).values() for statistic in kept}


def first_of_each_kind() -> list[Measure]:
    """Return the rows that keep what no row before them does: what is written is theirs, not the measure's."""
    seen: set[type] = set()
    found = []
    for measure in MEASURES:
        if not kinds_of(measure) <= seen:
            seen |= kinds_of(measure)
            found.append(measure)
    return found


SHIFTS = {"fake": 0.3, "train": 0.1}


def name_of(value: Any) -> str:
    return getattr(value, "name", None) or repr(value)


def draw_features(seed: int, n: int = SAMPLES, shift: float = 0.0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    pool = torch.randn(n, WIDTH, generator=generator) + shift
    logits = torch.randn(n, CLASSES, generator=generator)
    text = torch.randn(n, TEXT, generator=generator)
    labels = torch.randperm(n, generator=generator) % LABELS
    images = {name: most * (torch.rand(n, 1, generator=generator) + shift) for name, most in RANGES.items()}
    images["gradients"] = torch.randn(n, GRADIENTS, generator=generator).softmax(1)
    captions = hashed(torch.randperm(n, generator=generator) % CAPTIONS)
    generator = torch.Generator().manual_seed(seed)  # of columns that came later, so that the others stay
    packets = torch.randn(n, PACKETS, generator=generator) + shift
    spatial = torch.randn(n, SPATIAL, generator=generator) + shift
    score = torch.randn(n, 1, generator=generator)
    beside = {"text": text, "labels": labels, "captions": captions}
    beside |= {"packets": packets, "spatial": spatial, "score": score}
    beside |= {name: torch.randn(n, WIDTHS[name], generator=generator) + shift for name in DIVISORS}
    return Features(pool, logits, torch.arange(n), hashes_of(pool), **beside, **images)


def draw_side(role: Role, seed: int = 0, n: int = SAMPLES) -> Features:
    """Return features of a role, which differ from other roles'."""
    place = ("real", "fake", "train", "heldout").index(role)
    return draw_features(3 * seed + place + 1, n, SHIFTS.get(role, 0.0))


def draw_sides(metric: GenerativeMetrics, seed: int = 0) -> dict[Role, Features]:
    """Return features of every role that the measures of a metric ask for."""
    return {role: draw_side(role, seed) for role in metric.roles}


def fill(metric: GenerativeMetrics, seed: int = 0) -> GenerativeMetrics:
    """Give a metric a batch of every role that its measures ask for."""
    for role, features in draw_sides(metric, seed).items():
        metric.update(features, role=role)
    return metric


def freeze(metric: GenerativeMetrics) -> None:
    """Freeze every role but the generated one."""
    for role in metric.roles:
        if role != "fake":
            metric.freeze(role)


os.environ.setdefault("STREAMING_METRICS_CACHE_GB", "0")  # tests keep nothing in the user's folder


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without looking for garbage, and what stays all session is not looked through in it either."""
    gc.disable()
    found = yield
    gc.enable()
    gc.freeze()
    return found


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    pool = Ranks(WORLD)
    yield pool
    pool.close()


def forkserver() -> Any:
    """Return the context whose processes are forks of one that has imported what tests on ranks import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conftest", "streaming_metrics.monitor", "streaming_metrics.report.page"])
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), OMP_NUM_THREADS="1"):
        ensure_running()
    return context


class Ranks:
    """Processes in one gloo world; ``run(w, f, …)`` calls ``f(group, …)`` on the first w of them."""

    def __init__(self, size: int) -> None:
        context = forkserver()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.pipes: list[Connection] = []
        self.processes = []
        for rank in range(size):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, rank, size, port, sys.path), daemon=True)
            process.start()
            self.pipes.append(mine)
            self.processes.append(process)

    def run(
        self,
        world_size: int,
        function: Callable[..., Any],
        *args: Any,
        each: list[Any] | None = None,
        group_of: int | None = None,
    ) -> list[Any]:
        """Return what each rank returned; ``each[rank]`` goes to that rank only, after ``args``.

        With ``group_of``, the group has ranks beyond the ``world_size`` that take part.
        """
        for rank, pipe in enumerate(self.pipes[:world_size]):
            pipe.send((group_of or world_size, function, (*args, *(() if each is None else (each[rank],)))))
        answers = [pipe.recv() for pipe in self.pipes[:world_size]]
        for rank, (good, answer) in enumerate(answers):
            assert good, f"rank {rank} of {world_size}:\n{answer}"
        return [answer for _, answer in answers]

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join(10)


def _serve(pipe: Connection, rank: int, size: int, port: int, path: list[str]) -> None:
    sys.path[:] = path
    launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launched.items()}, GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    patience = timedelta(seconds=30)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size, timeout=patience)
    groups = {w: dist.new_group(list(range(w)), timeout=patience) for w in range(1, size + 1)}
    while (task := pipe.recv()) is not None:
        world_size, function, args = task
        try:
            pipe.send((True, function(groups[world_size], *args)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))
    dist.destroy_process_group()
