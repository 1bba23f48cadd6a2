"""Images in arrays, files of torch.save and tables: the same pixels and classes; what may be read two ways is asked."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from test_cli import TINY, done, run
from test_sources import PIXELS, encoded, images_in, outcome
from torch.utils.data import DataLoader

from streaming_metrics.images import Unreadable, find_source
from streaming_metrics.images.rows import ParquetRows

if TYPE_CHECKING:
    from collections.abc import Callable

SAVED = Path(__file__).parents[1] / "data" / "saved_datasets"
"""What ``save_to_disk`` and ``to_parquet`` of ``datasets`` 4.4.1 wrote of PIXELS, in turn cats and dogs."""
NCHW = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
FLOATS = NCHW.numpy() / 127.5 - 1
CELLS = [{"bytes": encoded(image), "path": f"{i}.png"} for i, image in enumerate(PIXELS)]
ABOUT = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
CLASSES = ["cat", "dog"] * 3


def table(cells: list[Any] = CELLS, about: dict[str, Any] | None = None, **columns: Any) -> pyarrow.Table:
    """Return a table as ``datasets`` writes them."""
    whole = pyarrow.table({"image": cells, "label": [0, 1] * 3, **columns})
    told = {"info": {"features": ABOUT if about is None else about}}
    return whole.replace_schema_metadata({"huggingface": json.dumps(told)})


def written(path: Path, held: pyarrow.Table | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = table() if held is None else held
    if path.suffix == ".parquet":
        parquet.write_table(held, path, **options)
    else:
        make = pyarrow.ipc.new_file if path.suffix == ".feather" else pyarrow.ipc.new_stream
        with make(path, held.schema) as writer:
            writer.write_table(held, max_chunksize=4)
    return path


def npy(path: Path, array: Any) -> Path:
    np.save(path / "x.npy", array)
    return path / "x.npy"


def npz(path: Path, save: Callable[..., None], **arrays: Any) -> Path:
    save(path / "x.npz", **arrays)
    return path / "x.npz"


def saved(path: Path, held: Any) -> Path:
    torch.save(held, path / "x.pt")
    return path / "x.pt"


def shards(path: Path) -> Path:
    for split, count in (("train", 3), ("test", 1)):
        for k in range(count):
            rows = table().slice(2 * k, 2)
            written(path / "hub" / "data" / f"{split}-{k:05d}-of-{count:05d}.parquet", rows)
    return path / "hub"


SOURCES: dict[str, Callable[[Path], Any]] = {
    "npy, channels last": lambda path: npy(path, PIXELS),
    "npy, channels first": lambda path: npy(path, NCHW.numpy()),
    "npy, in the order of Fortran": lambda path: npy(path, np.asfortranarray(PIXELS)),
    "npy of floats": lambda path: f"{npy(path, FLOATS.astype('>f4'))}?range=-1,1",
    "npy of half floats": lambda path: f"{npy(path, (PIXELS / 255).astype(np.float16))}?range=0,1&layout=hwc",
    "npz by a name": lambda path: f"{npz(path, np.savez, x=PIXELS, mu=PIXELS)}:x",
    "compressed npz by a name": lambda path: f"{npz(path, np.savez_compressed, x=FLOATS)}:x?range=-1,1",
    "pt": lambda path: saved(path, NCHW),
    "pt of floats": lambda path: f"{saved(path, torch.from_numpy(FLOATS))}?range=-1,1",
    "pt of a dict": lambda path: saved(path, {"step": 3, "weight": torch.zeros(2, 3, 4, 4), "x": NCHW}),
    "pt of a list": lambda path: f"{saved(path, [torch.zeros(5, 3, 2, 2), NCHW])}:1",
    "parquet": lambda path: written(path / "x.parquet"),
    "parquet in row groups": lambda path: written(path / "x.parquet", row_group_size=4),
    "parquet of bytes": lambda path: f"{written(path / 'x.parquet', table(a=[c['bytes'] for c in CELLS]))}:a",
    "parquet without metadata": lambda path: written(path / "x.parquet", pyarrow.table({"x": CELLS})),
    "arrow": lambda path: written(path / "x.arrow"),
    "feather": lambda path: f"{written(path / 'x.feather')}:image",
    "shards": lambda path: f"{shards(path)}:train",
    "saved by datasets": lambda _: SAVED / "dict" / "train",
    "a split saved by datasets": lambda _: f"{SAVED / 'dict'}:train",
    "parquet of datasets": lambda _: f"{SAVED / 'hub'}:parquet:image",
}
LABELLED = {"parquet", "parquet in row groups", "arrow", "feather", "shards"} | {k for k in SOURCES if "datasets" in k}
FORKED = {"npy, channels last", "pt", "parquet in row groups", "arrow"}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_images_and_classes(tmp_path: Path, kind: str) -> None:
    source = images_in(SOURCES[kind](tmp_path))
    assert torch.equal(torch.stack([source[i] for i in range(6)]), NCHW)
    assert len(source) == len({source.name(i) for i in range(6)}) == 6
    if kind in LABELLED:
        assert [source.label(i) for i in range(6)] == CLASSES
    again = pickle.loads(pickle.dumps(source))
    assert torch.equal(torch.stack([again[i] for i in (5, 0, 3)]), NCHW[[5, 0, 3]])
    assert again.files() == source.files() != None  # noqa: E711
    assert all(file.exists() for file in source.files() or ())
    if kind in FORKED:
        assert torch.equal(torch.stack(list(DataLoader(source, batch_size=None, num_workers=2))), NCHW)


def test_classes_are_those_that_the_file_holds(tmp_path: Path) -> None:
    numbers = np.arange(6)
    guided = images_in(npz(tmp_path, np.savez, arr_0=PIXELS, arr_1=numbers))
    named = images_in(saved(tmp_path, {"images": NCHW, "labels": torch.arange(6)}))
    told = images_in(f"{written(tmp_path / 'x.parquet', table(of=list('uvwxyz')))}?label=of")
    for source, expected in ((guided, "012345"), (named, "012345"), (told, "uvwxyz")):
        assert [source.label(i) for i in range(6)] == list(expected)
    unknown = images_in(written(tmp_path / "y.arrow", table(label=[0, -1, None, 1, 7, 0])))
    assert [unknown.label(i) for i in range(6)] == ["cat", None, None, "dog", None, "cat"]
    assert images_in(npz(tmp_path, np.savez, arr_0=PIXELS, arr_1=numbers[:5])).label(0) is None


def test_grey_images_are_spread_to_rgb(tmp_path: Path) -> None:
    grey = PIXELS[..., 0]
    for told in (
        npy(tmp_path, grey),
        f"{npy(tmp_path, grey[..., None])}",
        saved(tmp_path, torch.from_numpy(grey[:, None])),
    ):
        assert torch.equal(images_in(told)[4], torch.from_numpy(grey[4]).expand(3, -1, -1))
    assert len(images_in(f"{npy(tmp_path, PIXELS[0])}?layout=hw")) == 9


def test_recipes_tell_what_decides_the_pixels(tmp_path: Path) -> None:
    floats = npy(tmp_path, FLOATS[:, :, :3, :3])
    texts = [f"{floats}?range={range_}&layout={layout}" for range_ in ("-1,1", "-1,2") for layout in ("chw", "hwc")]
    parts = npz(tmp_path, np.savez, a=PIXELS, b=PIXELS)
    assert len({images_in(text).recipe() for text in (*texts, f"{parts}:a", f"{parts}:b")}) == 6


def test_a_table_is_read_in_any_order_and_a_few_rows_at_a_time(tmp_path: Path) -> None:
    held = pyarrow.table({"x": [i.to_bytes(2, "big") for i in range(1000)]})
    rows = ParquetRows(written(tmp_path / "x.parquet", held, row_group_size=300))
    order = np.random.default_rng(0).permutation(1000).tolist()
    assert [int.from_bytes(rows.value("x", i), "big") for i in order] == order
    assert len(rows.held) <= 16


# --- what is asked or refused -----------------------------------------------------------------------------------------

OBJECTS = np.array([{}], object)
LETTERS = {"a": torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "b": torch.ones(2, 3, 4, 4, dtype=torch.uint8)}


def cut(path: Path, most: int) -> Path:
    path.write_bytes(path.read_bytes()[:most])
    return path


def flipped(path: Path, at: int) -> Path:
    content = bytearray(path.read_bytes())
    content[at] ^= 255
    path.write_bytes(content)
    return path


def without_a_shard(path: Path) -> Path:
    shutil.copytree(SAVED / "dict" / "train", path / "set")
    (path / "set" / "data-00000-of-00001.arrow").rename(path / "set" / "other.arrow")
    return path / "set"


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "either axis": (lambda p: npy(p, NCHW[:, :, :3, :3].numpy()), r"may be .* or .*\?layout=chw or \?layout=hwc"),
    "grey or one": (lambda p: npy(p, PIXELS[0]), r"may be 9 grey images or one in colour.*\?layout=hw"),
    "no such layout": (lambda p: f"{npy(p, PIXELS)}?layout=chw", r"expected images \(N, 3 or 1, H, W\), got shape"),
    "a strange layout": (lambda p: f"{npy(p, PIXELS)}?layout=nchw", "expected layout= one of chw, hwc, hw, got 'nchw'"),
    "no images": (lambda p: npy(p, np.zeros((4, 5, 8, 8), np.uint8)), "expected images .* got shape"),
    "nothing": (lambda p: npy(p, np.zeros((0, 8, 8, 3), np.uint8)), "expected images .* got shape"),
    "floats": (
        lambda p: npy(p, FLOATS),
        r"none told; \(3, 9, 7\) torch.float64 here is -1 to 0\.\d+.*\?range=-1,1",
    ),
    "uint8 with a range": (lambda p: f"{npy(p, PIXELS)}?range=0,1", "expected floats, .* got uint8"),
    "a strange range": (lambda p: f"{npy(p, FLOATS)}?range=1", "low < high, got '1'. Remedy: range=0,1"),
    "integers": (lambda p: npy(p, PIXELS.astype(np.int64)), "expected uint8, .* got torch.int64"),
    "texts": (lambda p: npy(p, np.zeros((2, 4, 4, 3), "U3")), "expected uint8 or floats, got <U3"),
    "another option": (lambda p: f"{npy(p, PIXELS)}?label=x", "expected the options range, layout, got label"),
    "objects": (lambda p: npy(p, OBJECTS), "expected an .npy, got one that does not read"),
    "half an npy": (lambda p: cut(npy(p, PIXELS), 999), "expected an .npy, got one that does not read"),
    "no such array": (lambda p: f"{npz(p, np.savez, x=PIXELS)}:y", "expected an .npz with y"),
    "code": (
        lambda p: saved(p, {"x": Path("code")}),
        "only running the file's own code could read.*Remedy: torch.save",
    ),
    "half a pt": (lambda p: cut(saved(p, NCHW), 900), "expected .*, got"),
    "a bit of a pt": (lambda p: flipped(saved(p, NCHW), 900), "damaged, a checksum does not hold|does not read"),
    "several": (lambda p: saved(p, LETTERS), r"got several: 'a'.*, 'b'.*x\.pt:a"),
    "weights": (lambda p: saved(p, {"w": torch.zeros(9)}), "expected one tensor of images, .*got none in a dict"),
    "no such key": (lambda p: f"{saved(p, LETTERS)}:c", "expected a tensor 'c', found a, b"),
    "half a parquet": (lambda p: cut(written(p / "x.parquet"), 900), "expected a parquet file, got one that does not"),
    "half an arrow": (lambda p: cut(written(p / "x.arrow"), -8), "end as a stream of arrow does: truncated"),
    "no column": (lambda p: written(p / "x.parquet", table().select(["label"])), r"none among label \(int64\)"),
    "numbers": (lambda p: f"{written(p / 'x.parquet')}:label", "image files in 'label', got a column int64"),
    "bytes untold": (lambda p: written(p / "x.parquet", pyarrow.table({"b": [b""]})), r"Remedy: say which .*quet:b"),
    "two columns": (lambda p: written(p / "x.parquet", pyarrow.table({"a": CELLS, "b": CELLS})), "several: a, b.*:a"),
    "no rows": (lambda p: written(p / "x.parquet", table().slice(0, 0)), "found no rows"),
    "no such classes": (lambda p: f"{written(p / 'x.parquet')}?label=of", "column of classes 'of', found image"),
    "several splits": (lambda p: shards(p), r"several: test, train\. Remedy: .*hub:train"),
    "a lost shard": (without_a_shard, "state.json lists, data-00000-of-00001.arrow is not there"),
    "an unknown protocol": (lambda _: "foo://x.parquet", "foo://x.parquet: expected an address that fsspec knows"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_told_or_damaged_is_refused(tmp_path: Path, what: str) -> None:
    make, said = REFUSED[what]
    text = str(make(tmp_path))
    with pytest.raises(ValueError, match=said) as refused:
        find_source(text)
    assert "\n" not in str(refused.value)


def test_tables_beside_images_are_a_question_and_metadata_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(encoded(PIXELS[0]))
    written(tmp_path / "metadata.parquet", pyarrow.table({"file_name": ["x.png"]}))
    assert len(images_in(tmp_path)) == 1
    written(tmp_path / "metadata.parquet")
    with pytest.raises(ValueError, match=r"got both: .*Remedy: .*:parquet for the tables, .*:all for the images"):
        find_source(str(tmp_path))
    assert len(images_in(f"{tmp_path}:parquet")) == 6
    assert images_in(f"{tmp_path}:parquet").left_out == {"images or archives beside the tables": 1}
    assert len(images_in(f"{tmp_path}:all")) == 1


def test_lost_shards_and_other_splits_are_told(tmp_path: Path) -> None:
    hub = shards(tmp_path)
    (hub / "data" / "train-00001-of-00003.parquet").unlink()
    source = images_in(f"{hub}:train:image")
    assert len(source) == 4
    assert source.left_out == {"tables of other splits": 1, "shards that are not there": 1}


def test_shards_of_other_columns_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet")
    written(tmp_path / "b.parquet", pyarrow.table({"x": CELLS}))
    with pytest.raises(ValueError, match=r"b\.parquet: expected the columns of .*a\.parquet"):
        find_source(str(tmp_path))


DAMAGED = {**CELLS[3], "bytes": CELLS[3]["bytes"][:60]}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize(
    ("cell", "why"), [(DAMAGED, "Error"), (None, "none"), ({"bytes": None, "path": "3.png"}, "only a path, 3.png")]
)
def test_one_damaged_image_leaves_the_others(tmp_path: Path, suffix: str, cell: Any, why: str) -> None:
    source = images_in(written(tmp_path / f"x{suffix}", table([*CELLS[:3], cell, *CELLS[4:]])))
    with pytest.raises(Unreadable, match=why):
        source[3]
    assert all(torch.equal(source[i], NCHW[i]) for i in (0, 2, 4, 5))


def test_floats_beyond_their_range_do_not_read(tmp_path: Path) -> None:
    floats = FLOATS.copy()
    floats[3, 0, 0, 0], floats[4, 0, 0, 0] = 9, np.nan
    source = images_in(f"{npy(tmp_path, floats)}?range=-1,1")
    assert torch.equal(source[5], NCHW[5])
    said = r"of the range that was told, range=-1,1, got .* to 9\. Remedy: tell the range that they have, \?range=0,1"
    for i, why in ((3, said), (4, "Expected finite pixels")):
        with pytest.raises(Unreadable, match=why):
            source[i]


def test_without_pyarrow_an_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'needs pyarrow. Remedy: pip install "streaming-metrics\[tables\]"'):
        find_source(str(path))


HOLDERS: dict[str, Callable[[Path], Path]] = {
    "parquet": lambda path: written(path / "x.parquet", row_group_size=4, write_page_checksum=True),
    "arrow": lambda path: written(path / "x.arrow"),
    "feather": lambda path: written(path / "x.feather"),
    "pt": lambda path: saved(path, {"x": NCHW}),
}


@pytest.mark.parametrize("kind", HOLDERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_counted_never_overlooked(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = HOLDERS[kind](tmp_path)
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1), label="position")
    truncate = data.draw(st.booleans(), label="truncate")
    changed = bytearray(whole)
    changed[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(whole[:position] if truncate else changed)
    read = outcome(path)
    assert read is None or not truncate
    if kind in ("pt", "parquet") and read is not None:  # arrow has no checksums
        expected = {image.numpy().tobytes() for image in NCHW}
        assert all(image is None or image.numpy().tobytes() in expected for image in read)


# --- the command line -------------------------------------------------------------------------------------------------

RANGED = [torch.from_numpy(image).float() for image in FLOATS]


def test_a_table_is_compared_with_an_array_and_damage_is_counted(tmp_path: Path) -> None:
    real = written(tmp_path / "x.parquet", table([*CELLS[:3], DAMAGED, *CELLS[4:]]))
    fake = npy(tmp_path, 255 - PIXELS)
    refused = run("compare", real, fake, "--measures", "fid", *TINY)
    assert (refused.exit_code, "x.parquet:image[3]: " in refused.stderr) == (3, True)
    told = done("compare", real, fake, "--measures", "fid", "--on-error", "skip", "--json", "-", *TINY)
    assert json.loads(told.stdout)["real"]["num_samples"] == 5


def test_floats_of_a_dataset_are_told_apart_by_their_range(tmp_path: Path) -> None:
    asked = run("compare", npy(tmp_path, PIXELS), "test_tables:RANGED", "--measures", "fid", *TINY)
    assert asked.exit_code == 3
    assert "none told; (3, 9, 7) torch.float32 here is -" in asked.stderr
    assert "test_tables:RANGED?range=-1,1" in asked.stderr
    assert torch.equal(images_in("test_tables:RANGED?range=-1,1")[2], NCHW[2])
    told = done(
        "compare", npy(tmp_path, PIXELS), "test_tables:RANGED?range=-1,1", "--measures", "fid", "--json", "-", *TINY
    )
    assert json.loads(told.stdout)["scores"]["fd_patches"] == pytest.approx(0, abs=1e-6)
