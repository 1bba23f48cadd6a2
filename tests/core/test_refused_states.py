"""States and files that cannot be: each is refused by a documented error, by every door, and leaves no trace."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, STATISTICS, WIDTH, draw_features, name_of
from test_cli import run

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics, Reference, merge_states
from streaming_metrics.core.record import about
from streaming_metrics.core.saved_states import merged
from streaming_metrics.files.tensors import KEY, write_tensors
from streaming_metrics.statistics import Moments
from streaming_metrics.statistics.base import check_states

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ranks
    from torch import Tensor

    from streaming_metrics.statistics import State, Statistic

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

ALL = [FID(), KID(subsets=5, subset_size=8), IS(splits=3), PRDC(k=3)]
STATE, REFERENCE = "streaming-metrics state 1", "streaming-metrics reference 1"
FINGERPRINT = f"features-{WIDTH}-{CLASSES}"


def about_of(metric: GenerativeMetrics) -> dict[str, Any]:
    """Return what a state file says of a metric."""
    return about(metric.measures, metric._inputs.networks)


def build(measures: list[Any] = ALL, **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(measures, extractor=None, num_features=WIDTH, num_classes=CLASSES, **options)


def filled(measures: list[Any] = ALL, seed: int = 0, **options: Any) -> GenerativeMetrics:
    metric = build(measures, **options)
    for real in (True, False):
        features = draw_features(seed + 2 - real, shift=0.0 if real else 0.3)
        metric.update(features, real=real, index=torch.arange(len(features)) + 300 * seed)
    return metric


def states_of(metric: GenerativeMetrics) -> dict[str, Tensor]:
    return {name: state.clone() for name, state in metric.metric_state.items()}


def refuses(read: Callable[[GenerativeMetrics], Any], told: str, *errors: type[Exception]) -> None:
    """Check that a metric raises what is documented, and is what it was."""
    metric = filled()
    before = states_of(metric)
    with pytest.raises(errors or ValueError, match=told):
        read(metric)
    assert all(torch.equal(before[name], state) for name, state in metric.metric_state.items())


# --- states that could not have come from samples ---------------------------------------------------------------------


def put(place: Any, value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        tensor[place] = value
        return tensor

    return change


def indefinite(moments: Tensor) -> Tensor:
    moments[1, 2] = moments[2, 1] = 3 * moments.diagonal()[1:].max()
    return moments


COUNTED = "expected the .* samples that are counted"
CHANGES: dict[str, tuple[str, Callable[[Tensor], Tensor], str]] = {
    "count of more": ("count_n", lambda n: n + 1, COUNTED),
    "count of fewer": ("count_n", lambda n: n - 3, COUNTED),
    "count of none": ("count_n", lambda n: n * 0, COUNTED),
    "negative count": ("count_n", lambda n: -n, "expected a number of samples, got -40"),
    "count that overflows": ("count_n", lambda n: n * 0 + 2**63 - 1, "expected a number of samples"),
    "moments of more": (f"moments_{WIDTH}_moments", put((0, 0), 41.0), COUNTED),
    "moments of half a sample": (f"moments_{WIDTH}_moments", put((0, 0), 39.5), "a whole number of samples, got 39.5"),
    "moments of a negative number": (f"moments_{WIDTH}_moments", put((0, 0), -40.0), "a whole number of samples"),
    "two means": (f"moments_{WIDTH}_moments", put((0, 1), 9.0), "the mean twice"),
    "asymmetric": (f"moments_{WIDTH}_moments", put((2, 1), 9.0), "a symmetric covariance"),
    "negative variance": (f"moments_{WIDTH}_moments", put((2, 2), -1.0), "variances that are not negative"),
    "negative eigenvalue": (f"moments_{WIDTH}_moments", indefinite, "a matrix with a negative eigenvalue"),
    "not finite": (f"moments_{WIDTH}_moments", put((2, 2), float("inf")), "expected finite values"),
    "bank of fewer rows": (f"bank_{WIDTH}_index", lambda ids: ids[:-1], "of one length within the capacity"),
    "negative id": (f"bank_{WIDTH}_index", put(0, -1), "ids that are not negative"),
    "features that overflow": (f"bank_{WIDTH}_rows", put((0, 0), 3e38), r"features below 1e\+15"),
    "probabilities of fewer": ("marginals_5_3_interleaved_sums", put((0, 0), 13.0), "sums of probabilities"),
    "probabilities that are negative": (
        "marginals_5_3_interleaved_sums",
        lambda sums: sums + torch.eye(4, 7) * 1e-3 - torch.eye(4, 7).roll(3, 1) * 30,
        "sums of probabilities|entropies|whole numbers",
    ),
    "entropy above log C": ("marginals_5_3_interleaved_sums", put((0, 1), -99.0), "entropies of probabilities"),
    "entropy below 0": ("marginals_5_3_interleaved_sums", put((0, 1), 1.0), "entropies of probabilities"),
    "half a sample in a split": ("marginals_5_3_interleaved_sums", put((0, 0), 13.5), "whole numbers of samples"),
}


def changed(states: dict[str, Tensor], change: str, role: str) -> dict[str, Tensor]:
    name, alter, _ = CHANGES[change]
    (full,) = [full for full in states if full.startswith(f"{role}_{name}")]
    return states | {full: alter(states[full].clone())}


def roles_of(change: str) -> tuple[str, ...]:
    return ("fake",) if "marginals" in CHANGES[change][0] else ("real", "fake")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("role", ["real", "fake"])
def test_states_that_disagree_are_refused_by_every_door(change: str, role: str, tmp_path: Path) -> None:
    if role in roles_of(change):
        told, bad, path = CHANGES[change][2], changed(states_of(filled(seed=5)), change, role), tmp_path / "bad"
        write_tensors(path, bad, STATE, FINGERPRINT, **about_of(build()))
        refuses(lambda metric: metric.merge_state(bad), told)
        refuses(lambda metric: metric.load_state_dict(bad), told, RuntimeError)
        refuses(lambda metric: merge_states(metric, [path]), told)
        with pytest.raises(ValueError, match=told):
            merged([path])


@pytest.mark.parametrize("change", [change for change in CHANGES if "real" in roles_of(change)])
def test_references_that_disagree_are_refused(change: str, tmp_path: Path) -> None:
    name, alter, told = CHANGES[change]
    filled().save_reference(tmp_path / "real")
    whole = Reference.load(tmp_path / "real")
    states = {
        statistic: {
            key: alter(tensor.clone()) if f"{statistic}_{key}" == name else tensor for key, tensor in state.items()
        }
        for statistic, state in whole.states.items()
    }
    Reference(whole.fingerprint, states, whole.radii, whole.about).save(tmp_path / "bad")
    with pytest.raises(ValueError, match=told):
        build(reference=tmp_path / "bad")
    refuses(lambda metric: metric.merge_reference(tmp_path / "bad"), told + "|keeps what measures need")


def test_counts_of_balls_that_disagree_are_refused(tmp_path: Path) -> None:
    filled([PRDC(k=3)]).save_reference(tmp_path / "real")
    metric = build([PRDC(k=3, recall=False)], reference=tmp_path / "real")
    metric.update(draw_features(2, shift=0.3), real=False)
    (name,) = [name for name in metric.metric_state if "neighbours" in name]
    for place, value in ((0, 41), (0, -1), (1, 7), (5, 99)):
        bad = put(place, value)(metric.metric_state[name].clone())
        with pytest.raises(ValueError, match=f"counts of points in balls|{COUNTED}"):
            metric.merge_state(states_of(metric) | {name: bad})
    metric.merge_state(states_of(metric))


@pytest.mark.parametrize("statistic", STATISTICS, ids=name_of)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
def test_what_a_statistic_makes_passes_its_own_check(statistic: Statistic, scale: float) -> None:
    def of(features: Features) -> State:
        return statistic.update(statistic.empty(), features)

    whole = draw_features(1)
    assert whole.pool is not None
    assert whole.logits is not None
    assert whole.text is not None
    features = whole.having(
        pool=scale * whole.pool + 0.1, logits=scale * whole.logits, text=scale * whole.text + 0.1, hashes=None
    )
    parts = [of(features[part]) for part in (slice(0, 0), slice(0, 1), slice(1, 20), slice(20, 40))]
    for n, state in ((0, statistic.empty()), (1, parts[1]), (40, statistic.merge(parts)), (40, of(features))):
        check_states({statistic: state}, n)


def test_a_covariance_that_another_program_rounded_is_one() -> None:
    for n, width in ((100, 256), (9, 64), (600, 64)):
        rows = torch.randn(n, width, generator=torch.Generator().manual_seed(n)).abs()
        moments = torch.zeros(width + 1, width + 1, dtype=torch.float64)
        moments[0, 0], moments[1:, 1:] = n, rows.T.cov().double() * (n - 1)  # float32's eigenvalues below 0
        Moments(width).check({"moments": moments})


def test_what_is_right_is_still_taken(tmp_path: Path) -> None:
    for measures in (ALL, [KID(subsets=5, subset_size=8, capacity=16), IS(splits=3, num_samples=40)]):
        metric = filled(measures)
        metric.save_state(tmp_path / "state")
        again = build(measures)
        merge_states(again, [tmp_path / "state"])
        again.merge_state(states_of(build(measures)))  # of no samples
        assert again.compute() == metric.compute()


def shard_loads(group: Any) -> bool:
    metric = filled([FID(), PRDC(k=3)], process_group=group)
    metric.freeze_real()  # its bank stays spread: fewer rows here than are counted
    again = build([FID(), PRDC(k=3)], process_group=group)
    again.load_state_dict(metric.state_dict())
    again.merge_state(states_of(metric))
    return again.num_samples("real") == 80


@pytest.mark.slow
def test_a_ranks_share_of_a_frozen_side_loads(ranks: Ranks) -> None:
    assert all(ranks.run(2, shard_loads))


# --- the same file twice ----------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    filled().save_state(tmp_path / "one")
    filled(seed=5).save_state(tmp_path / "two")
    return tmp_path


def test_a_file_given_twice_is_refused_under_any_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved / "copy").write_bytes((saved / "one").read_bytes())
    (saved / "link").symlink_to("one")
    monkeypatch.chdir(saved)
    for again in ("one", "copy", "link", "../" + saved.name + "/one"):
        refuses(lambda metric, again=again: merge_states(metric, [saved / "one", "two", again]), "again, which would")
        with pytest.raises(ValueError, match=r"Remedy: give each file once\."):
            merged(["one", again])
        result = run("merge", "one", again, "-o", "sum")
        assert result.exit_code == 3
        assert "would count twice" in result.output
        assert not Path("sum").exists()
    done = run("merge", "one", "two", "-o", "sum")
    assert done.exit_code == 0, done.output


def test_ranks_without_samples_write_equal_files(tmp_path: Path) -> None:
    for name in "abc":
        build().save_state(tmp_path / name)
    metric = filled()
    before = states_of(metric)
    merge_states(metric, [tmp_path / name for name in "abc"])
    assert all(torch.equal(before[name], state) for name, state in metric.metric_state.items())
    filled().save_reference(tmp_path / "real")
    measures = [FID(), PRDC(k=3)]
    for name in "de":
        build(measures, reference=tmp_path / "real").save_state(tmp_path / name)
    merge_states(build(measures, reference=tmp_path / "real"), [tmp_path / "d", tmp_path / "e"])


def merge_twice(group: Any, paths: list[Path]) -> str:
    metric = filled(process_group=group)
    try:
        merge_states(metric, paths)
    except ValueError as error:
        return str(error) if metric.num_samples("real") == 40 else "a trace"
    return "taken"


def test_a_copy_that_another_rank_reads_is_refused_on_every_rank(ranks: Ranks, saved: Path) -> None:
    (saved / "copy").write_bytes((saved / "one").read_bytes())
    told = ranks.run(2, merge_twice, [saved / "one", saved / "copy"])
    assert all("would count twice" in line for line in told)


# --- a seed of bytes --------------------------------------------------------------------------------------------------


def test_a_seed_of_bytes_survives_its_state_file(tmp_path: Path) -> None:
    seeds = [torch.Generator().manual_seed(seed).get_state().numpy().tobytes() for seed in (1, 2)]
    measure = KID(subsets=5, subset_size=8, seed=seeds[0])
    metric = filled([measure])
    metric.save_state(tmp_path / "state")
    again = merged([tmp_path / "state"])
    assert again.measures == (measure,)
    assert again.signature() == metric.signature()
    assert again.compute() == metric.compute() != filled([KID(subsets=5, subset_size=8, seed=seeds[1])]).compute()


def test_a_file_from_before_that_names_a_digest_alone_says_so(tmp_path: Path) -> None:
    measure = KID(subsets=5, subset_size=8, seed=torch.Generator().manual_seed(1).get_state().numpy().tobytes())
    metric = filled([measure])
    about = {key: value for key, value in about_of(metric).items() if key != "parts"}
    write_tensors(tmp_path / "old", states_of(metric), STATE, FINGERPRINT, **about)
    with pytest.raises(ValueError, match="Remedy: build the metric in Python, and merge_states"):
        merged([tmp_path / "old"])
    again = build([measure])
    merge_states(again, [tmp_path / "old"])
    assert again.compute() == metric.compute()


# --- hostile files ----------------------------------------------------------------------------------------------------


def framed(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def said(about: Any) -> bytes:
    text = about if isinstance(about, str) else json.dumps(about)
    return framed({"__metadata__": {KEY: text}})


def tensor(**fields: Any) -> bytes:
    entry = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} | fields
    text = json.dumps({"kind": STATE, "fingerprint": FINGERPRINT})
    return framed({"__metadata__": {KEY: text}, "x": entry}, bytes(8))


DEEP = "[" * 200_000
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(100),
    "a length beyond the file": framed(b"{}", length=1 << 40),
    "a length beyond 64 bits' sign": framed(b"{}", length=1 << 63),
    "the greatest length": framed(b"{}", length=(1 << 64) - 1),
    "a length of 100 MB": framed(b"{}" + b" " * 100, length=100_000_001),
    "a header that nests": framed(DEEP.encode()),
    "a header of names that nest": framed(('{"a":' * 50_000).encode()),
    "a header that is a list": framed(b"[]"),
    "metadata that is a list": framed({"__metadata__": [1]}),
    "metadata of numbers": framed({"__metadata__": {KEY: 3}}),
    "what is said nests": said(DEEP),
    "what is said nests objects": said('{"a":' * 100_000),
    "what is said is no JSON": said("{"),
    "what is said is a list": said([["kind", STATE]]),
    "what is said is a number": said("1" * 10_000),
    "what is said is a text": said('"ab"'),
    "what is said is nothing": said("null"),
    "a kind that is a list": said({"kind": [STATE]}),
    "a kind that is an object": said({"kind": {}}),
    "a checksum that is a number": said({"kind": STATE, "sha256": 3}),
    "an unknown dtype": tensor(dtype="F65"),
    "float8": tensor(dtype="F8_E4M3", shape=[8]),
    "complex": tensor(dtype="C64", shape=[1]),
    "a negative shape": tensor(shape=[-1]),
    "a shape that overflows": tensor(shape=[1 << 62, 1 << 62]),
    "a shape beyond 64 bits": tensor(shape=[1 << 70]),
    "a shape beyond the file": tensor(shape=[1 << 40], data_offsets=[0, 1 << 43]),
    "a shape that is a text": tensor(shape="1"),
    "offsets that go back": tensor(data_offsets=[8, 0]),
    "offsets that are negative": tensor(data_offsets=[-8, 0]),
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_by_every_door(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    refuses(lambda metric: merge_states(metric, [path]), "hostile.safetensors: ")
    refuses(lambda metric: metric.merge_reference(path), "hostile.safetensors: ")
    for read in (lambda: merged([path]), lambda: Reference.load(path), lambda: build(reference=path)):
        with pytest.raises(ValueError, match=r"hostile\.safetensors: "):
            read()
    assert run("show", path).exit_code == 3
    assert run("merge", path, "-o", tmp_path / "sum").exit_code == 3


SAID: dict[str, dict[str, Any]] = {
    "no record": {"extractor": None},
    "a record of nothing": {"extractor": {}},
    "a record of texts": {"extractor": {"features": "a", "classes": "b"}},
    "widths that are negative": {"extractor": {"features": -6, "classes": 5}},
    "widths that overflow": {"extractor": {"features": 1 << 62, "classes": 5}},
    "widths of a whole memory": {"extractor": {"features": 1 << 28, "classes": 5}},
    "widths that are lists": {"extractor": {"features": [6], "classes": 5}},
    "an extractor that is none": {"extractor": {"name": 3}},
    "an extractor of wrong widths": {"extractor": {"name": "x", "features": "six"}},
    "measures that are no list": {"measures": "fid"},
    "measures of numbers": {"measures": [1, 2]},
    "measures that are unknown": {"measures": ["nothing"]},
    "measures that nest": {"measures": ["kid(subsets=" + DEEP + ")"]},
    "measures of wrong parameters": {"measures": ["kid(subsets=0)"]},
    "measures of parameters of wrong types": {"measures": ["kid(subsets='a')"]},
    "parts that are none": {"parts": 3, "measures": ["kid(seed=3)"]},
    "parts that are no hex": {"parts": {"3": "xyz"}, "measures": ["kid(seed=3)"]},
    "parts of numbers": {"parts": {"3": 3}, "measures": ["kid(seed=3)"]},
}


@pytest.mark.parametrize("about", SAID.values(), ids=SAID)
def test_what_a_file_says_of_its_metric_is_checked(about: dict[str, Any], tmp_path: Path) -> None:
    write_tensors(tmp_path / "said", states_of(filled()), STATE, FINGERPRINT, **about_of(build()) | about)
    with pytest.raises(ValueError, match=r"said|measure"):
        merged([tmp_path / "said"])
    assert run("merge", tmp_path / "said", "-o", tmp_path / "sum").exit_code == 3


@pytest.mark.parametrize("fingerprint", [None, 3, ["features"]])
@pytest.mark.parametrize("kind", [STATE, REFERENCE])
def test_a_fingerprint_is_a_text(kind: str, fingerprint: Any, tmp_path: Path) -> None:
    write_tensors(tmp_path / "said", states_of(filled()), kind, fingerprint, **about_of(build()))
    read = merge_states if kind == STATE else GenerativeMetrics.merge_reference
    given: Any = [tmp_path / "said"] if kind == STATE else tmp_path / "said"
    refuses(lambda metric: read(metric, given), "said: expected the fingerprint of its features")


@pytest.mark.parametrize("record", [[], "inception-v3", {"name": 3}, {"name": "inception-v3", "resize": 3}])
def test_a_references_record_of_its_extractor_is_checked(record: Any, tmp_path: Path) -> None:
    write_tensors(tmp_path / "said", {"count/n": torch.tensor(9)}, REFERENCE, FINGERPRINT, extractor=record)
    with pytest.raises(ValueError, match="said: expected a record of an extractor"):
        Reference.load(tmp_path / "said")
    assert run("show", tmp_path / "said").exit_code == 3


# --- hostile archives -------------------------------------------------------------------------------------------------


def archive(**members: bytes | np.ndarray) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(f"{name}.npy", content if isinstance(content, bytes) else npy(content))
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(shape: str, dtype: str = "<f8", data: int = 64) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(data)


EYE, NINE = np.eye(3), np.zeros(3)
ARCHIVES: dict[str, Callable[[], bytes]] = {
    "objects": lambda: archive(mu=np.array([{}], object), sigma=EYE),
    "a shape that no file holds": lambda: archive(mu=NINE, sigma=header("(1000000, 1000000)")),
    "a shape that overflows": lambda: archive(mu=header(f"({1 << 62}, {1 << 62})"), sigma=EYE),
    "a negative shape": lambda: archive(mu=header("(-3,)"), sigma=EYE),
    "a header that runs": lambda: archive(mu=header("__import__('os').getpid()"), sigma=EYE),
    "a header that nests": lambda: archive(mu=header("(" * 5000), sigma=EYE),
    "a bomb": lambda: archive(mu=header("(16000000,)", data=128_000_000), sigma=EYE),
    "a bomb of text": lambda: archive(mu=NINE, sigma=EYE, fingerprint=header("()", "<U25000000", 100_000_000)),
    "no array": lambda: archive(mu=b"nothing", sigma=EYE),
    "no zip": lambda: npy(NINE),
    "a zip of nothing": lambda: archive(),
    "counts that overflow": lambda: archive(mu=NINE, sigma=EYE, n=np.uint64(2**64 - 1)),
    "counts that are floats": lambda: archive(mu=NINE, sigma=EYE, n=np.array(9.0)),
    "no covariance": lambda: archive(mu=NINE, sigma=EYE - 0.9 * np.ones((3, 3)) + 0.9 * EYE),
}


@pytest.mark.filterwarnings("ignore:The .npz does not say")
@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.npz"
    path.write_bytes(ARCHIVES[name]())
    told = "would unpack to" if name.startswith("a bomb") else "expected|negative eigenvalue"
    with pytest.raises(ValueError, match=told):
        build([FID()], reference=path)


@pytest.mark.parametrize("read", [merged, lambda paths: merge_states(filled(), paths)])
def test_no_file_at_all_is_named(read: Callable[[list[Path]], Any], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for absent in (tmp_path / "none", tmp_path / "loop", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"found none at {absent}"):
            read([absent])


def test_nothing_to_merge_is_said() -> None:
    with pytest.raises(ValueError, match="at least one state file"):
        merged([])
