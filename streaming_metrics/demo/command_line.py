"""Demo of a small generator that learns to draw, under a monitor: python -m streaming_metrics.demo, or make demo.

Trains a flow on scikit-learn's 1,797 real 8x8 digits with Lightning, measures as many generated ones every epoch, and
writes a table, curves, sample grids, a report and the best checkpoint. To use the library on a model of your own, see
DigitFlow in flow.py for what a model needs (the method sample) and watch_digits() in watch.py for all that there is to
write.

--set fashion (Debian's package dataset-fashion-mnist) and --set photographs (scikit-image's) draw 32x32 images by
class: with labels, two kinds of features, and the weights' moving average beside the raw weights.
"""

from __future__ import annotations

import argparse
import os
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.demo.packages import missing
from streaming_metrics.demo.recipes import BATCH, RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.demo.recipes import Recipe


def main(arguments: Sequence[str] | None = None) -> None:
    """Say what is coming, train, watch, and show what came of it."""
    options = read(arguments)
    if lacking := missing(options):
        raise SystemExit(
            f"The demo: expected packages that are not installed: {', '.join(lacking)}. Remedy: pip install "
            '"streaming-metrics[demo]".'
        )
    make_folder(options.out)
    recipe = RECIPES[options.set]
    when = "its only epoch" if options.epochs == 1 else f"each of {options.epochs} epochs"
    tell(f"A small generator learns to draw {recipe.what}, and is measured after {when}.")
    if (options.epochs, options.samples, options.measures) == (recipe.epochs, recipe.samples, "core"):
        tell(f"All of it takes about {recipe.minutes} minutes on two cores.")
    tell("Loading PyTorch and Lightning: 5 to 20 seconds …")
    try:
        from streaming_metrics.demo import run  # takes these seconds

        run.run(options)
    except KeyboardInterrupt:
        raise SystemExit(f"\nInterrupted. What was written until then is in {options.out}.") from None


def tell(text: str) -> None:
    """Print at once, on the first rank alone."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(text, flush=True)


def read(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; defaults are those of the set that is asked for.

    Example:
        >>> read([]).samples, read(["--set", "fashion"]).samples, read(["--set", "fashion", "--samples", "9"]).samples
        (1797, 1000, 9)
    """
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_set(chooser)
    chosen, _ = chooser.parse_known_args(arguments)
    parser = _parser(RECIPES[chosen.set])
    options = parser.parse_args(arguments)
    if options.study and options.epochs < 2:
        parser.error(f"--study: expected at least 2 epochs to compare, got --epochs {options.epochs}")
    return options


def make_folder(path: Path) -> None:
    """Make the folder for all that is written, before anything takes time; where it cannot be, end with a line."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"--out: expected a folder, got {error}. Remedy: --out with another path.") from error


def _parser(recipe: Recipe) -> argparse.ArgumentParser:
    command = argparse.ArgumentParser("streaming_metrics.demo", description=__doc__, formatter_class=_Formatter)
    _add_set(command)
    command.add_argument("--epochs", type=_within(1), default=recipe.epochs, help="to train; each is measured")
    command.add_argument("--devices", type=_within(1, BATCH), default=1, help="processes to train and measure in")
    command.add_argument("--samples", type=_within(2), default=recipe.samples, help="images to generate each epoch")
    command.add_argument("--measures", default="core", help="core; all; or a list of names, fid,kid,is,prdc")
    command.add_argument("--extractor", default="efficientnet-lite0", help="inception-v3, torchvision/<model>, …")
    command.add_argument(
        "--side", type=_within(1), default=recipe.side, help="pixels that efficientnet-lite0 sees; 224 is its own"
    )
    command.add_argument("--out", type=Path, default=Path(recipe.out), help="folder for all that is written")
    command.add_argument("--decide", action="store_true", help="stop generating once an epoch is told from the best")
    command.add_argument("--study", action="store_true", help="let simulated raters judge the epochs, over HTTP")
    command.add_argument("--seed", type=_within(0, 2**32 - 1), default=0, help="of weights, noise and order")
    return command


def _add_set(command: argparse.ArgumentParser) -> None:
    command.add_argument("--set", choices=RECIPES, default="digits", help="the images to learn")


def _within(least: int, most: float = inf) -> Callable[[str], int]:
    """Return what reads an integer of these bounds: Lightning takes -1 epochs for training without an end."""

    def integer(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {value}")
        if value > most:
            raise argparse.ArgumentTypeError(f"expected at most {most}, got {value}")
        return value

    return integer


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass
