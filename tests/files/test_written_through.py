"""Every writer, onto what is no plain file: pipes and devices are sent the bytes, and a full disk loses nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from test_cli import run

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics, Reference, merge_states
from streaming_metrics.files import atomic
from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.report import write_comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

NULL, FULL = (1, 3), (1, 7)
"""Device numbers: nodes of the tests' own, so that no mistake replaces the machine's."""


def filled() -> GenerativeMetrics:
    metric = GenerativeMetrics([FID(), KID(subsets=2, subset_size=4), PRDC(k=2)], extractor=None, num_features=24)
    for seed, real in enumerate((True, False)):
        metric.update(torch.randn(30, 24, generator=torch.Generator().manual_seed(seed)), real=real)
    return metric


def images() -> Path:
    folder = Path("images")
    if not folder.exists():
        folder.mkdir()
        for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)):
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def told(*arguments: Any) -> None:
    """Run the command line; raise what it ended with."""
    options = ("--extractor", "test_cli:patches", "--workers", 0) if arguments[0] != "merge" else ()
    result = run(*arguments, *options)
    if result.exit_code:
        raise OSError(result.output)


def compared(path: Path, option: str) -> None:
    told("compare", images(), images(), "--measures", "prdc(k=2)", option, path)


def merged(path: Path) -> None:
    told("merge", kept("state", filled().save_state), "-o", path)


def kept(name: str, write: Callable[[Path], Any]) -> Path:
    """A file that is written where it is not there yet."""
    if not Path(name).exists():
        write(Path(name))
    return Path(name)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "save_state": lambda path: filled().save_state(path),
    "save_reference": lambda path: filled().save_reference(path),
    "save_reference npz": lambda path: filled().save_reference(path),
    "save_npz": lambda path: Reference.load(kept("reference", filled().save_reference)).save_npz(path),
    "write_comparison": lambda path: write_comparison(path, metric=(m := filled()), values=m.compute()),
    "reference -o": lambda path: told("reference", images(), "-o", path),
    "compare --json": lambda path: compared(path, "--json"),
    "compare --report": lambda path: compared(path, "--report"),
    "merge -o": merged,
}
BEGINS = {"npz": b"PK", "html": b"<!doctype html>", "json": b"{", "safetensors": b""}
writers = pytest.mark.parametrize("writer", WRITERS)


def suffix_of(writer: str) -> str:
    if "npz" in writer:
        return "npz"
    return "html" if writer.endswith(("report", "comparison")) else "json" if "json" in writer else "safetensors"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def node(name: str, numbers: tuple[int, int]) -> Path:
    path = Path(name).absolute()
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(*numbers))
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        pytest.skip(f"no device of one's own can be made here: {error}")
    return path


@contextmanager
def piped(path: Path) -> Iterator[bytearray]:
    """Make a pipe that holds a MiB; on the way out, what was sent to it has been received."""
    os.mkfifo(path)
    descriptor, received = os.open(path, os.O_RDWR | os.O_NONBLOCK), bytearray()
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 1 << 20)
        yield received
        with suppress(BlockingIOError):
            while True:
                received += os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@writers
def test_a_pipe_is_sent_the_bytes_of_the_file(writer: str) -> None:
    write, suffix = WRITERS[writer], suffix_of(writer)
    pipe, plain = Path(f"pipe.{suffix}"), Path(f"plain.{suffix}")
    write(plain)
    with piped(pipe) as received:
        write(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert len(received) == len(plain.read_bytes())
    assert received.startswith(BEGINS[suffix])


@writers
def test_a_device_stays_one(writer: str) -> None:
    device = node(f"null.{suffix_of(writer)}", NULL)
    WRITERS[writer](device)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert not list(Path.cwd().glob(".*.partial"))


def test_what_was_piped_is_read_again() -> None:
    with piped(Path("pipe")) as received:
        filled().save_state("pipe")
    Path("copy").write_bytes(received)
    again = GenerativeMetrics(filled().measures, extractor=None, num_features=24)
    merge_states(again, ["copy"])
    assert again.compute() == filled().compute()


def test_a_link_to_a_pipe_is_the_pipe() -> None:
    Path("link").symlink_to("pipe")
    with piped(Path("pipe")) as received, atomic_write("link") as partial:
        partial.write_text("sent")
    assert received == b"sent"
    assert Path("link").is_symlink()


def test_standard_output_is_written_to_wherever_it_leads(tmp_path: Path) -> None:
    script = (
        f"import runpy; atomic_write = runpy.run_path({atomic.__file__!r})['atomic_write']\n"
        "print('before', flush=True)\n"
        "with atomic_write('/dev/stdout') as partial:\n"
        "    partial.write_text('sent\\n')\n"
        "print('after')"
    )
    command = [sys.executable, "-c", script]
    piped = subprocess.run(command, capture_output=True, check=True, text=True)
    assert piped.stdout.split() == ["before", "sent", "after"]
    with (tmp_path / "log").open("a") as log:
        subprocess.run(command, stdout=log, check=True)
    assert (tmp_path / "log").read_text().split() == ["before", "sent", "after"]


@writers
def test_a_full_disk_names_the_path_and_loses_nothing(writer: str) -> None:
    path = Path(f"kept.{suffix_of(writer)}")
    WRITERS[writer](path)  # with all that it reads
    path.write_bytes(b"what was there")
    before = set(Path.cwd().iterdir())
    with full_after(100), pytest.raises(OSError, match=path.name):
        WRITERS[writer](path)
    assert path.read_bytes() == b"what was there"
    assert set(Path.cwd().iterdir()) == before


@pytest.mark.parametrize(
    "words", ["I/O error: File too large (os error 27)", 'IoError(Os { code: 27, kind: FileTooLarge, message: "…" })']
)
def test_what_each_safetensors_says_of_a_full_disk_is_an_os_error(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safetensors.torch.save_file", Mock(side_effect=SafetensorError(words)))
    with pytest.raises(OSError, match=r"kept\.safetensors") as caught:
        filled().save_state(tmp_path / "kept.safetensors")
    assert caught.value.errno == errno.EFBIG


def test_a_full_device_names_the_path() -> None:
    device = node("full", FULL)
    with pytest.raises(OSError, match="full") as caught:
        filled().save_state(device)
    assert caught.value.errno == errno.ENOSPC
    assert stat.S_ISCHR(device.stat().st_mode)


@pytest.mark.parametrize("path", ["folder", "absent/file", "file/below", "x" * 300])
def test_a_path_that_cannot_be_written_is_named(path: str) -> None:
    Path("folder").mkdir()
    Path("file").write_text("")
    with pytest.raises(OSError, match=path):
        filled().save_state(path)
    assert sorted(item.name for item in Path.cwd().iterdir()) == ["file", "folder"]


def test_a_long_name_and_a_loop_of_links() -> None:
    with atomic_write("n" * 250) as partial:
        partial.write_text("kept")
    assert Path("n" * 250).read_text() == "kept"
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")
    with pytest.raises(OSError, match="'a'"), atomic_write("a") as partial:
        partial.write_text("")
