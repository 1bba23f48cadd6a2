"""The cache of features: equal numbers with it and without it, on any ranks, and nothing stale or harmed is taken."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Ranks
from PIL import Image
from test_cli import done

from streaming_metrics import FID, IS, PRDC, GenerativeMetrics
from streaming_metrics.cli import feature_cache
from streaming_metrics.cli.cached_side import CachedSide
from streaming_metrics.cli.feature_cache import ABOUT, FeatureCache, own_code
from streaming_metrics.cli.feature_recorder import recorded
from streaming_metrics.cli.labels import Labelled
from streaming_metrics.cli.reading import ImageReader
from streaming_metrics.cli.results import Result
from streaming_metrics.cli.scoring import Job, Network
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.extractors import EfficientNetLite0
from streaming_metrics.images import Images, Part, find_source
from streaming_metrics.measures.registry import measures_of

N = 23
NETWORK = "efficientnet-lite0(side=32)"
LOADED = Network(NETWORK)
BYTES = 1 << 30


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(N):
        save(tmp_path / "real" / f"{i:02}.png", i)
        save(tmp_path / "fake" / f"{i:02}.png", 100 + i)
    return tmp_path


def job(root: Path, comm: Comm | None = None, most: int = BYTES, **options: Any) -> Job:
    cache = FeatureCache(root / "cache", most)
    reading = ImageReader(batch_size=5, workers=0)
    made = Job(LOADED, "is(splits=2),kid(subset_size=10),prdc(k=3)", comm or Comm.single(), reading, cache=cache)
    return replace(made, shows_progress=False, **options)


def compare(root: Path, comm: Comm | None = None, **options: Any) -> tuple[Result, list[str]]:
    said: list[str] = []
    result = job(root, comm, tell=said.append, **options).compare(str(root / "real"), str(root / "fake")).result
    return replace(result, date=""), [line for line in said if "cache" in line]


def on_ranks(group: Any, root: str) -> tuple[dict[str, float], str, bool]:
    """Return scores of a side against itself, its fingerprint, and whether its features come from the cache."""
    comm, images, reading = Comm(group), find_source(f"{root}/real"), ImageReader(batch_size=5, workers=0)
    assert isinstance(images, Images)
    extractor = LOADED.load([FID()])
    metric = GenerativeMetrics([IS(splits=2), PRDC(k=3)], extractor, process_group=group)
    side = CachedSide.of(FeatureCache(Path(root, "cache"), BYTES), images, extractor, comm)
    assert side is not None
    came, outcomes = [], []
    for real in (True, False):
        stored = side.stored() if real else None
        came.append(stored is not None)
        read = partial(reading, images=images, real=real, comm=comm)
        taken = {"real": real, "batch_size": 5, "advance": lambda _: None}
        outcomes.append(
            recorded(side, metric, extractor, read, print) if stored is None else side.give(stored, metric, **taken)
        )
    assert outcomes[0] == outcomes[1]
    return {key: float(value) for key, value in metric.compute().items()}, outcomes[0].fingerprint, came[0]


def parts(root: Path) -> list[Path]:
    return sorted((root / "cache").glob("*/*"))


def no_network(*_: Any) -> None:
    raise AssertionError("a network ran")


def test_numbers_from_the_cache_are_the_same_bits_and_no_network_runs(root: Path) -> None:
    without, _ = compare(root, cache=None)
    first, said = compare(root)
    assert (first, said) == (without, [])
    with mock.patch.object(EfficientNetLite0, "extract", no_network):
        again, said = compare(root)
    assert again == without
    assert [line.split(":")[0] for line in said] == ["real", "generated"]
    assert len(parts(root)) == 2


def test_other_measures_take_the_same_features(root: Path) -> None:
    compare(root)
    with mock.patch.object(EfficientNetLite0, "extract", no_network):
        found, _ = compare(root, measures="modified_is,prdc(k=2)")
    assert found.scores == compare(root, measures="modified_is,prdc(k=2)", cache=None)[0].scores


@pytest.mark.parametrize("change", ["pixels", "one more", "one less", "other order", "other network", "part"])
def test_what_has_changed_is_read_anew(root: Path, change: str) -> None:
    compare(root)
    options: dict[str, Any] = {}
    if change == "pixels":
        save(root / "fake" / "03.png", 999)
    elif change == "one more":
        save(root / "fake" / "99.png", 999)
    elif change == "one less":
        (root / "fake" / "03.png").unlink()
    elif change == "other order":
        (root / "fake" / "03.png").rename(root / "fake" / "98.png")
    elif change == "other network":
        options["network"] = Network(NETWORK, precision="bf16")
    else:
        options |= {"num_samples": 21, "seed": 4}
    found, said = compare(root, **options)
    assert found == compare(root, cache=None, **options)[0]
    assert len(said) == (0 if change in ("other network", "part") else 1)


@pytest.mark.parametrize("ending", ["tar", "zip"])
def test_another_ending_of_an_archive_is_another_side(tmp_path: Path, ending: str) -> None:
    for i in range(2):
        save(tmp_path / "in" / f"{i}.png", i)
        save(tmp_path / "in" / f"{i}.cond.png", 10 + i)
    shutil.make_archive(str(tmp_path / "a"), ending, tmp_path / "in")
    cache, extractor = FeatureCache(tmp_path, BYTES), LOADED.load([FID()])
    sources = [find_source(f"{tmp_path}/a.{ending}:{only}") for only in ("png", "cond.png", "all", "png")]
    folders = [cache.of(source, extractor) for source in sources if isinstance(source, Images)]
    assert len(folders) == 4
    assert len(set(folders)) == 3


def test_what_is_told_of_a_file_is_in_the_name_of_its_features(tmp_path: Path) -> None:
    floats, grey = np.zeros((3, 3, 8, 3), np.float32), np.zeros((3, 8, 9, 3), np.uint8)
    np.save(tmp_path / "x.npy", floats)
    np.savez(tmp_path / "x.npz", a=grey, b=grey)
    torch.save({"a": torch.from_numpy(grey), "b": torch.from_numpy(grey)}, tmp_path / "x.pt")
    save(tmp_path / "in" / "0.png", 0)
    content = [(tmp_path / "in" / "0.png").read_bytes()]
    pq.write_table(pa.table({"a": pa.array(content), "b": pa.array(content)}), tmp_path / "x.parquet")
    told = ["in", "x.npz:a", "x.npz:b", "x.pt:a", "x.pt:b", "x.parquet:a", "x.parquet:b"]
    told += [f"x.npy?range={low},1&layout={layout}" for low in (0, -1) for layout in ("chw", "hwc")]
    told += ["x.npy?range=0,1.0000001&layout=chw"]
    sources = [find_source(f"{tmp_path}/{text}") for text in told]
    images = [source for source in sources if isinstance(source, Images)]
    turned = [images[0].turned_upright(), images[5].turned_upright()]
    parts = [Part(images[1], 2, seed) for seed in (0, 4)]
    cache, extractor = FeatureCache(tmp_path, BYTES), LOADED.load([FID()])
    folders = [cache.of(source, extractor) for source in (*images, *turned, *parts)]
    assert None not in folders
    assert len(set(folders)) == len(folders) == len(told) + 4


@pytest.mark.parametrize("what", ["own", "captions"])
def test_a_network_whose_features_may_be_others_has_no_place_in_the_cache(root: Path, what: str) -> None:
    if what == "own":
        own = Network("mine:module")
        own.loaded["key"] = LOADED.load([FID()])
        assert own.named is None
        return
    images, extractor = find_source(f"{root}/real"), mock.Mock(reads_captions=True)
    assert isinstance(images, Images)
    assert CachedSide.of(FeatureCache(root, BYTES), images, extractor, Comm.single()) is None


def test_several_networks_are_read_without_the_cache(root: Path) -> None:
    found, said = compare(root, measures="prdc(k=3),low_level")
    assert found == compare(root, cache=None, measures="prdc(k=3),low_level")[0]
    assert (said, parts(root)) == ([], [])
    metric = GenerativeMetrics(measures_of("intra_fid(classes=2),low_level"), LOADED.load([FID()]))
    assert Labelled(metric, {}).networks == metric.networks != ()


@pytest.mark.parametrize("harm", ["flipped", "short", "gone", "about"])
def test_a_harmed_part_is_removed_and_made_anew(root: Path, harm: str) -> None:
    without, _ = compare(root)
    for part in parts(root):
        file = part / (ABOUT if harm == "about" else "pool.npy")
        content = bytearray(file.read_bytes())
        content[-5] ^= 0xFF
        file.write_bytes(content[:40] if harm in ("short", "about") else content)
        if harm == "gone":
            file.unlink()
    assert compare(root) == (without, [])
    again, said = compare(root)
    assert (again, len(said)) == (without, 2)


def test_images_that_do_not_read_are_not_forgotten(root: Path) -> None:
    (root / "fake" / "03.png").write_bytes(b"no image")
    reading = ImageReader(batch_size=5, workers=0, skip=True)
    compare(root, reading=reading, measures="prdc(k=3)")
    found, said = compare(root, reading=reading, measures="prdc(k=3)")
    assert len(found.fake.unreadable) == 1
    assert [line.split(":")[0] for line in said] == ["real"]
    assert not list((root / "cache").glob("*/*.partial"))


def test_what_an_error_interrupts_is_not_kept(root: Path) -> None:
    with mock.patch.object(EfficientNetLite0, "extract", no_network), pytest.raises(AssertionError):
        compare(root)
    assert parts(root) == []


def test_what_was_used_longest_ago_makes_room(root: Path) -> None:
    compare(root)
    sizes = [sum(file.stat().st_size for file in part.iterdir()) for part in parts(root)]
    job(root, num_samples=9).reference(str(root / "real"), root / "a.safetensors")
    assert len(parts(root)) == 3
    job(root, num_samples=11, most=sum(sizes)).reference(str(root / "real"), root / "b.safetensors")
    held = sum(file.stat().st_size for part in parts(root) for file in part.iterdir())
    assert held <= sum(sizes)
    _, said = compare(root)
    assert [line.split(":")[0] for line in said] == ["generated"]


def test_a_side_that_is_too_large_is_scored_and_not_kept(root: Path) -> None:
    found, said = compare(root, most=1000)
    assert found == compare(root, cache=None)[0]
    assert "features are not cached: 0.0 GB of features" in said[0]
    assert parts(root) == []


def test_a_folder_that_cannot_be_written_costs_nothing_but_a_line(root: Path) -> None:
    (root / "cache").write_text("a file")
    found, said = compare(root)
    assert found == compare(root, cache=None)[0]
    assert "Not a directory" in said[0]


def test_a_full_disk_costs_nothing_but_a_line(root: Path) -> None:
    without, _ = compare(root, cache=None)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        found, said = compare(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert found == without
    assert "features are not cached: [Errno 27]" in said[0]
    assert parts(root) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize("closed", ["cache", "cache/*"])
def test_what_another_user_keeps_to_himself_costs_nothing_but_a_line(root: Path, closed: str) -> None:
    with TemporaryDirectory() as seen:  # by others too, as the folders of pytest are not
        Path(seen).chmod(0o755)
        there = Path(shutil.copytree(root, Path(seen, "there")))
        there.chmod(0o755)
        without, _ = compare(there)
        for folder in there.glob(closed):
            folder.chmod(0o700)
        os.seteuid(65534)
        try:
            found, said = compare(there)
        finally:
            os.seteuid(0)
    assert found == without
    assert "features are not cached: [Errno 13]" in said[0]


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STREAMING_METRICS_CACHE", "STREAMING_METRICS_CACHE_GB", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with mock.patch.object(Path, "expanduser", side_effect=RuntimeError("Could not determine home directory.")):
        assert FeatureCache.usual() is None


@pytest.mark.parametrize(("wrote", "reads"), [(1, 2), (3, 1), (3, 2), (2, 2)])
def test_ranks_share_a_cache(root: Path, ranks: Ranks, wrote: int, reads: int) -> None:
    written, read = (ranks.run(number, on_ranks, str(root)) for number in (wrote, reads))
    scores, data, _ = written[0]
    for found, fingerprint, _ in written + read:
        assert found == pytest.approx(scores, rel=1e-6)  # of other batches
        assert fingerprint == data
    assert [came for _, _, came in written + read] == [False] * wrote + [True] * reads


def test_two_that_write_one_side_at_once_leave_one_whole_part(root: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: compare(root)[0], range(2)))
    assert found[0] == found[1]
    assert len(parts(root)) == 2
    assert len(compare(root)[1]) == 2


def test_a_part_that_is_removed_while_it_is_read_is_read_to_its_end(root: Path) -> None:
    compare(root)
    shown: list[str] = []

    def tell(line: str) -> None:
        shown.append(line)
        shutil.rmtree(root / "cache")

    found = job(root, tell=tell).compare(str(root / "real"), str(root / "fake")).result
    assert found.scores == compare(root, cache=None)[0].scores
    assert shown


def test_the_command_keeps_features_where_it_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMING_METRICS_CACHE", str(root / "mine"))
    monkeypatch.setenv("STREAMING_METRICS_CACHE_GB", "0.5")
    options = {"--extractor": NETWORK, "--json": "-", "--workers": 0, "--measures": "is(splits=2)"}
    arguments = ["compare", root / "real", root / "fake", *chain(*options.items())]
    first = json.loads(done(*arguments).stdout)
    assert len(list((root / "mine").glob("*/0-of-1"))) == 2
    again = done(*arguments)
    assert "come from the cache" in again.stderr
    assert json.loads(again.stdout)["scores"] == first["scores"]
    assert "come from the cache" not in done(*arguments, "--no-cache").stderr


@pytest.mark.parametrize("text", ["-1", "much", "nan", "inf"])
def test_a_limit_that_is_no_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("STREAMING_METRICS_CACHE_GB", text)
    with pytest.raises(ValueError, match=f"expected gigabytes, a number of at least 0, got '{text}'"):
        FeatureCache.usual()


def test_code_of_the_library_that_makes_features_is_of_the_key(tmp_path: Path) -> None:
    for name in ("extractors/net.py", "images/decode.py", "precision.py", "measures/fid.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("before")
    keys = [own_code.__wrapped__(tmp_path)]
    for name in ("extractors/net.py", "images/decode.py", "precision.py"):
        (tmp_path / name).write_text("after")
        keys.append(own_code.__wrapped__(tmp_path))
    (tmp_path / "measures/fid.py").write_text("after")
    assert len(set(keys)) == 4
    assert own_code.__wrapped__(tmp_path) == keys[-1]


def test_features_of_other_code_are_not_taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(root)
    monkeypatch.setattr(feature_cache, "own_code", lambda: "other")
    assert compare(root)[1] == []
