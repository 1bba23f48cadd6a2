"""``streaming-metrics explain``: what a score would be under every named protocol, why, and what looks wrong."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from streaming_metrics.cli.options import BatchSize, Device, ExtractorName, NumSamples, OnError, Quiet, Weights, Workers
from streaming_metrics.cli.outputs import STDOUT, refuse_overwriting
from streaming_metrics.cli.running import running, teller
from streaming_metrics.cli.terminal import say

SOURCE = "folder, zip, tar, .npz of images, or package.module:dataset"
Real = Annotated[str, typer.Argument(help=f"Real images: {SOURCE}.")]
Fake = Annotated[str, typer.Argument(help=f"Generated images: {SOURCE}.")]
First = Annotated[str | None, typer.Option("--from", help="Protocol to begin at; the lowest value, unless given.")]
Last = Annotated[str | None, typer.Option("--to", help="Protocol to end at; the highest, or the nearest to a claim.")]
Claim = Annotated[float | None, typer.Option(help="A reported value: which protocols come near it?")]
Reference = Annotated[str | None, typer.Option(help="Saved reference or .npz with mu and sigma, beside REAL.")]
ValueRange = Annotated[str | None, typer.Option(help="Of a data set's floats: 0,1 or =-1,1.")]
Seed = Annotated[int, typer.Option(min=0, help="Of --num-samples, and of parts of the generated images.")]
Json = Annotated[Path | None, typer.Option(help="Write it as JSON; - is stdout.")]
Report = Annotated[Path | None, typer.Option(help="Write a report as HTML.")]


def explain(
    real: Real,
    fake: Fake,
    first: First = None,
    last: Last = None,
    claim: Claim = None,
    reference: Reference = None,
    value_range: ValueRange = None,
    extractor: ExtractorName = None,
    weights: Weights = None,
    device: Device = None,
    batch_size: BatchSize = 64,
    workers: Workers = None,
    num_samples: NumSamples = None,
    seed: Seed = 0,
    on_error: OnError = "fail",
    json: Json = None,
    report: Report = None,
    quiet: Quiet = False,
) -> None:
    """Say what the Fréchet distance would be under every named protocol, why they differ, and what looks wrong."""
    from streaming_metrics.cli.explain_table import show_explanation
    from streaming_metrics.cli.explaining import Explaining
    from streaming_metrics.cli.reading import ImageReader
    from streaming_metrics.cli.scoring import Network
    from streaming_metrics.core.inputs import check_value_range
    from streaming_metrics.doctor.explanation import Asked

    with running(None if json == STDOUT else json, report) as comm:
        refuse_overwriting((json, report), (real, fake, *([] if reference is None else [reference])))
        job = Explaining(
            Network(extractor, weights, device=device),
            "fid",
            comm,
            ImageReader(batch_size, workers, on_error == "skip"),
            num_samples,
            seed,
            teller(quiet),
            not quiet,
            asked=Asked(first, last, claim),
            reference_file=reference,
            value_range=check_value_range(value_range),
        )
        found = job.explain(real, fake)
        if comm.rank == 0:
            _write(found, json, report)
            if json != STDOUT:
                show_explanation(found)


def _write(found: dict[str, Any], json: Path | None, report: Path | None) -> None:
    from streaming_metrics.files.atomic import atomic_write

    text = json_module.dumps(found, indent=2, allow_nan=False)
    if json == STDOUT:
        say(text)
    elif json is not None:
        with atomic_write(json) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
    if report is not None:
        from streaming_metrics.report import write_explanation

        write_explanation(report, found)
