"""Run of the demo: train, watch, and show what came of it."""

from __future__ import annotations

import csv
import logging
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import seed_everything

from streaming_metrics.demo import output, study
from streaming_metrics.demo.command_line import tell
from streaming_metrics.demo.flow import DigitFlow, LabelledFlow
from streaming_metrics.demo.recipes import RECIPES
from streaming_metrics.demo.sets import SETS, Damaged
from streaming_metrics.demo.training import steps_of, train
from streaming_metrics.demo.watch import watch_digits, watch_labelled
from streaming_metrics.measures.base import BiasWarning, NotEnoughSamples
from streaming_metrics.monitor.variants import beside_each_other

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from streaming_metrics.demo.flow import Flow
    from streaming_metrics.demo.sets import ImageSet
    from streaming_metrics.demo.training import History
    from streaming_metrics.monitor import GenerationMonitor


def run(options: argparse.Namespace) -> None:
    """Train a flow of the images that are asked for under a monitor, and show what came of it."""
    quieten()
    if threads := RECIPES[options.set].threads:
        torch.set_num_threads(threads)
    seed_everything(options.seed, verbose=False)
    started, images = time.perf_counter(), loaded(options.set)
    tell(opening(options, images))
    with ended_in_a_line(ValueError, ImportError, OSError):
        forget_before(options)
        monitor = (watch_labelled if images.classes else watch_digits)(options, images)
    with ended_in_a_line(NotEnoughSamples):
        history = train(options, monitor, flow_of(images), images)
    if history is not None:
        show(options, monitor, history, images, time.perf_counter() - started)


def loaded(name: str) -> ImageSet:
    """Return a set of images; what is not installed, or damaged, ends the demo with the remedy."""
    with ended_in_a_line(FileNotFoundError, ModuleNotFoundError, Damaged, of=f"--set {name}: "):
        return SETS[name]()


@contextmanager
def ended_in_a_line(*kinds: type[Exception], of: str = "") -> Iterator[None]:
    """End the demo with what an error says, where it is about what was asked for; the traceback would hide it.

    Args:
        kinds: of errors.
        of: what stands before their words.
    """
    try:
        yield
    except kinds as error:
        raise SystemExit(f"{of}{error}") from error


def opening(options: argparse.Namespace, images: ImageSet) -> str:
    """Return what there is, and what is going to happen with it."""
    pictures, real = images.train[0], len(images.real[0])
    height, width = pictures.shape[2:]
    samplers = ", with the average of the weights and with the raw ones" if images.classes else ""
    return (
        f"{len(pictures):,} images of {width} by {height} pixels. Each epoch: {steps_of(options, images)} steps of "
        f"training, then {options.samples:,} images are generated{samplers}, and measured against {real:,} real ones."
    )


def flow_of(images: ImageSet) -> Flow:
    """Return the model that learns to draw them."""
    _, colours, height, width = images.train[0].shape
    return LabelledFlow((colours, height, width), len(images.classes)) if images.classes else DigitFlow()


def show(
    options: argparse.Namespace, monitor: GenerationMonitor, history: History, images: ImageSet, seconds: float
) -> None:
    """Write pictures and the signature, print tables and verdicts, judge in a study, and say what to open."""
    out, signature = options.out, monitor.metric.signature()
    (out / "signature.txt").write_text(signature + "\n")
    first, real = history.names[0], images.real[0]
    rows, frames = history.rows[first], history.frames[first]
    output.overview(rows, frames[-1], signature, out / "curves.png")
    output.strips(frames, rows, real, out / "samples.png")
    for name in history.names:
        output.show(history.rows[name], name)
    if (table := beside_each_other(monitor.variants)) and table.verdicts:
        print("\nIn the last epoch, by the same seeds:", *(words for words, _ in table.verdicts), sep="\n  ")
    print(f"\nTrained and measured in {seconds:.0f} s.")
    if options.study:
        judge(out, first, real, options.set, options.seed)
    output.point_out(out, has_study=options.study)


def judge(out: Path, sampler: str, real: torch.Tensor, name: str, seed: int) -> None:
    """Let simulated raters judge the epochs of a sampler, and hold its measures beside what they say."""
    folder = out / "study"
    log = only_of(sampler, out / "metrics.csv", folder / "measured.csv")
    study.run(folder, folder / "samples" / sampler, real, log, seed, name)


def only_of(sampler: str, log: Path, path: Path) -> Path:
    """Write a log without what it says of other samplers; return its path, the log's own where there is one sampler."""
    if not sampler:
        return log
    with log.open(newline="", encoding="utf-8") as read, path.open("w", newline="", encoding="utf-8") as written:
        rows = csv.DictReader(read)
        kept = [key for key in rows.fieldnames or () if "/" not in key or f"/{sampler}/" in key]
        writer = csv.DictWriter(written, kept, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def forget_before(options: argparse.Namespace) -> None:
    """Remove what an earlier run left that would be drawn into this one: TensorBoard's events, a study's answers."""
    if options.study:
        study.forget(options.out / "study")
    if options.devices == 1:
        for events in options.out.glob("events.out.tfevents.*"):
            events.unlink()


def quieten() -> None:
    """Leave out what Lightning says of hardware, workers and folders that are not empty.

    Of measures that few images bias the report warns, beside the numbers.
    """
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    for message in (".*does not have many workers", ".*exists and is not empty", ".*LeafSpec.*is deprecated"):
        warnings.filterwarnings("ignore", message)
    warnings.filterwarnings("ignore", category=BiasWarning)
