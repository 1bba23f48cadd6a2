"""Images from wherever they are: the same pixels from a folder, an archive and an array; damage is refused."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from streaming_metrics import FID, GenerativeMetrics, Reference
from streaming_metrics.images import Images, Joined, Part, Unreadable, find_source
from streaming_metrics.images.decode import decode
from streaming_metrics.images.own import OwnDataset

if TYPE_CHECKING:
    from collections.abc import Callable

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), dtype=np.uint8)


def encoded(pixels: Any, kind: str = "png", **options: Any) -> bytes:
    stream = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(stream, kind, **options)
    return stream.getvalue()


FILES = {f"{'ab'[i % 2]}/{i}.png": encoded(PIXELS[i]) for i in range(6)} | {"a/notes.txt": b"no image", ".x.png": b""}
ORDER = [0, 2, 4, 1, 3, 5]


def folder(path: Path) -> Path:
    for name, content in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return path / "images.zip"


def tarred(path: Path, mode: str = "w", suffix: str = ".tar", names: list[str] | None = None) -> Path:
    with tarfile.open(path / f"images{suffix}", mode) as archive:  # pyright: ignore
        for name in sorted(FILES) if names is None else names:
            member = tarfile.TarInfo(name)
            member.size = len(FILES[name])
            archive.addfile(member, io.BytesIO(FILES[name]))
    return path / f"images{suffix}"


def shards(path: Path) -> Path:
    for part in "ab":
        tarred(path, suffix=f"-{part}.tar", names=[name for name in sorted(FILES) if name.startswith(part)])
    return path


def array(path: Path, save: Callable[..., None] = np.savez) -> Path:
    save(path / "images.npz", PIXELS[ORDER])
    return path / "images.npz"


SOURCES = {
    "folder": folder,
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda path: tarred(path, "w:gz", ".tar.gz"),
    "tar.xz": lambda path: tarred(path, "w:xz", ".tar.xz"),
    "shards": shards,
    "npz": array,
    "compressed npz": lambda path: array(path, np.savez_compressed),
}


def images_in(where: Any) -> Images:
    source = find_source(str(where))
    assert isinstance(source, Images)
    return source


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("workers", [0, 2])
def test_every_source_gives_the_same_images_in_the_same_order(tmp_path: Path, kind: str, workers: int) -> None:
    source = images_in(SOURCES[kind](tmp_path))
    read = list(DataLoader(source, batch_size=None, num_workers=workers, shuffle=False))
    assert torch.equal(torch.stack(read), torch.from_numpy(PIXELS[ORDER]).permute(0, 3, 1, 2))
    assert torch.equal(source[5], read[5])
    assert torch.equal(source[0], read[0])
    assert len({source.name(i) for i in range(6)}) == 6
    assert torch.equal(pickle.loads(pickle.dumps(source))[3], read[3])


DATASET = [(torch.from_numpy(image).permute(2, 0, 1), 7) for image in PIXELS]
ARRAYS, PICTURES = list(PIXELS), [{"image": Image.fromarray(image)} for image in PIXELS]
FLOATS = [torch.rand(3, 4, 4)]


def made() -> Any:
    return DATASET


@pytest.mark.parametrize("name", ["DATASET", "ARRAYS", "PICTURES", "made"])
def test_a_dataset_of_ones_own_is_named_by_its_import_path(name: str) -> None:
    source = images_in(f"test_sources:{name}")
    assert len(source) == 6
    assert torch.equal(source[4], torch.from_numpy(PIXELS[4]).permute(2, 0, 1))
    assert source.name(4) == f"test_sources:{name}[4]"


def test_a_folder_that_leads_back_to_itself_is_read_once(tmp_path: Path) -> None:
    (folder(tmp_path) / "a" / "back").symlink_to(tmp_path)
    assert len(images_in(tmp_path)) == 6


def test_links_in_a_tar_are_the_files_that_they_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for name, kind, target in (
            ("a/0.png", None, ""),
            ("b/1.png", tarfile.LNKTYPE, "a/0.png"),
            ("a/2.png", tarfile.SYMTYPE, "0.png"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind or tarfile.REGTYPE, target
            member.size = 0 if kind else len(FILES["a/0.png"])
            archive.addfile(member, None if kind else io.BytesIO(FILES["a/0.png"]))
    source = images_in(tmp_path / "images.tar")
    assert len(source) == 3
    assert all(torch.equal(source[i], source[0]) for i in range(3))


def test_no_other_program_is_asked_to_read_an_image() -> None:
    with pytest.raises(Unreadable, match="no image of a known kind"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


def test_what_a_dataset_raises_is_an_image_that_does_not_read() -> None:
    with pytest.raises(Unreadable, match="ZeroDivisionError"):
        OwnDataset(Failing(), "mine")[0]


class Failing:
    def __len__(self) -> int:
        return 1

    def __getitem__(self, i: int) -> Any:
        return 1 // i


def test_other_items_of_a_dataset_are_named() -> None:
    with pytest.raises(
        Unreadable,
        match=r"none told; \(3, 4, 4\) torch.float32 here is 0\.\d+ to 0\.\d+. Remedy.*test_sources:FLOATS\?range=0,1",
    ):
        images_in("test_sources:FLOATS")[0]


# --- decoding ---------------------------------------------------------------------------------------------------------

RAMP = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "gif", "ppm", "webp"])
def test_lossless_kinds_come_back_bit_by_bit(kind: str) -> None:
    content = encoded(RAMP, kind, **({"lossless": True} if kind == "webp" else {}))
    assert torch.equal(decode(content), torch.from_numpy(RAMP).expand(3, 16, 16))


def test_sixteen_bits_are_rounded_to_eight_not_clipped() -> None:
    assert torch.equal(decode(encoded(RAMP.astype(np.uint16) * 257)), torch.from_numpy(RAMP).expand(3, 16, 16))
    rough = decode(encoded((RAMP.astype(np.uint16) * 257)[::-1] // 3))[0]
    assert int((rough.int() - torch.from_numpy(RAMP[::-1] / 3).round().int()).abs().max()) == 0


def test_alpha_is_dropped_and_palettes_are_looked_up() -> None:
    picture = Image.fromarray(PIXELS[0])
    picture.putalpha(3)
    assert torch.equal(decode(encoded(picture)), torch.from_numpy(PIXELS[0]).permute(2, 0, 1))
    palette = Image.fromarray(RAMP).convert("P")
    assert torch.equal(decode(encoded(palette)), torch.from_numpy(RAMP).expand(3, 16, 16))


def test_pixels_stay_where_the_file_has_them_whatever_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(PIXELS[0], "jpeg", exif=exif)).shape == (3, 9, 7)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no image of a known kind"),
        (b"GIF89a but no more", "."),
        (encoded(PIXELS[0])[:60], "Error"),
        (encoded(PIXELS[0], "jpeg")[:-40], "truncated"),
        (encoded(RAMP.astype(np.float32), "tiff"), "expected 8 or 16 bits a channel, got float32"),
        (encoded(RAMP.astype(np.int32) * 1000, "tiff"), "expected 8 or 16 bits a channel, got int32"),
    ],
)
def test_what_does_not_decode_says_so(content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode(content)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_part_is_the_same_for_one_seed_and_another_for_another(tmp_path: Path) -> None:
    source = images_in(array(tmp_path))
    parts = [Part(source, 4, seed) for seed in (0, 0, 1)]
    assert parts[0].chosen == parts[1].chosen != parts[2].chosen
    assert sorted(set(parts[0].chosen)) == parts[0].chosen
    assert torch.equal(parts[0][2], source[parts[0].chosen[2]])
    assert parts[0].name(2) == source.name(parts[0].chosen[2])
    assert len(Part(source, 6)) == len(parts[0]) + 2
    for wrong in (0, 7):
        with pytest.raises(ValueError, match="expected 1 to 6"):
            Part(source, wrong)


def test_joined_sources_count_through(tmp_path: Path) -> None:
    source = images_in(array(tmp_path))
    both = Joined([source, source])
    assert len(both) == 12
    assert [both.name(i) for i in (0, 5, 6, 11)] == [source.name(i) for i in (0, 5, 0, 5)]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    for where in (tmp_path / "none", tmp_path / "none.zip", "no_such_module:dataset", "test_sources:none"):
        with pytest.raises(FileNotFoundError, match="Expected"):
            find_source(str(where))


def test_sources_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no image")
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    tarfile.open(tmp_path / "empty.tar", "w").close()
    np.savez(tmp_path / "floats.npz", np.zeros((2, 4, 4, 3)))
    np.savez(tmp_path / "pickle.npz", np.array([{}], object))
    for name in ("empty", "text.txt", "empty.zip", "empty.tar", "floats.npz", "pickle.npz", "../test_sources:pytest"):
        with pytest.raises((ValueError, FileNotFoundError), match=r"[Ee]xpected"):
            find_source(str(tmp_path / name))


def test_an_npz_with_images_and_moments_must_be_told_which(tmp_path: Path) -> None:
    path = tmp_path / "both.npz"
    np.savez(path, arr_0=PIXELS, mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(ValueError, match=r"both\.npz:arr_0 or .*both\.npz:mu"):
        find_source(str(path))
    assert len(images_in(f"{path}:arr_0")) == 6
    assert isinstance(find_source(f"{path}:mu"), Reference)


def test_references_are_told_from_images(tmp_path: Path) -> None:
    metric = GenerativeMetrics([FID()], extractor=None, num_features=3)
    metric.update(torch.rand(9, 3), real=True)
    for name in ("real", "real.safetensors", "real.pt", "real.npz"):
        metric.save_reference(tmp_path / name)
        assert isinstance(find_source(str(tmp_path / name)), Reference)


def outcome(path: Path) -> list[torch.Tensor | None] | None:
    """Return the images that read, None for one that does not, None for all where the source is refused."""
    try:
        source = images_in(path)
    except (ValueError, FileNotFoundError):
        return None
    return [read_or_not(source, i) for i in range(len(source))]


def read_or_not(source: Images, i: int) -> torch.Tensor | None:
    try:
        return source[i]
    except Unreadable:
        return None


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "npz", "compressed npz"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_counted_never_overlooked(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = SOURCES[kind](tmp_path)
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1), label="position")
    truncate = data.draw(st.booleans(), label="truncate")
    flipped = bytearray(whole)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(whole[:position] if truncate else flipped)
    read = outcome(path)
    if truncate and read is not None:
        assert position >= len(whole) - tarfile.RECORDSIZE  # a tar's padding
    if kind != "tar" and read is not None:  # a tar has no checksum over what its members hold; PNG has
        expected = {image.numpy().tobytes() for image in torch.from_numpy(PIXELS).permute(0, 3, 1, 2)}
        assert all(image is None or image.numpy().tobytes() in expected for image in read)
