"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

NONE = "none"
"""What stands for no measures, of a run that scores pairs alone."""
ExtractorName = Annotated[str | None, typer.Option(help="See `extractors`; or package.module:module.")]
Weights = Annotated[str | None, typer.Option(help="Path or URL of the extractor's weights.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images in a forward pass.")]
CheckpointsPattern = Annotated[
    str | None, typer.Option("--checkpoints", help="Score what --sampler draws from each of these: 'runs/*.ckpt'.")
]
Sampler = Annotated[
    str | None,
    typer.Option(help="package.module:function, from a checkpoint's path to a model with sample(n), or that."),
]
NumGenerated = Annotated[int, typer.Option(min=1, help="Images that each checkpoint draws.")]
SampleRange = Annotated[Literal["0,1", "-1,1"], typer.Option(help="What floats of --sampler span.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes that decode.")]
NumSamples = Annotated[int | None, typer.Option(min=1, help="Take so many, at random, of each side of images.")]
OnError = Annotated[Literal["fail", "skip"], typer.Option(help="What to do about images that do not read.")]
Exif = Annotated[bool, typer.Option("--exif", help="Turn images as EXIF says; published protocols do not.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes; files still hold them.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Read all images again, and keep no features of them.")]
