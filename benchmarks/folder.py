"""How long do two folders of images take to a FID? Beside ``fidelity`` and ``python -m pytorch_fid``, end to end.

    python benchmarks/folder.py --samples 2000 --side 64

Crops of photographs, half of each folder PNG and half JPEG, the generated side brightened, go through
``streaming-metrics compare`` and the peers' commands: each a process, in turn, with the workers that it takes by
itself. All read the same random weights of the reference Inception; pytorch-fid has no option for them, so TORCH_HOME
is a folder that holds them under the name that it looks for. Peers resize in other ways: each is beside a run of ours
that resizes as it does, and distances must agree to 1e-3. Of fewer than 2,049 images the covariances are singular, and
SciPy's root may leave pytorch-fid an imaginary part that it refuses: that is said, and its time is that until then.
Memory is that of all processes of a command, what they share counted once (PSS). One more run of ours says what it
spends where.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from harness.common import MIB, table
from harness.image_sets import PHOTOGRAPHS, photographs, resized
from harness.inputs import reference_weights
from harness.processes import spent
from harness.results import Result, Row, finish, parser_of, seconds
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.processes import Spent
    from torch import Tensor

RESIZES = {"fidelity": "tf1-bilinear", "pytorch_fid": "torch-bilinear"}
"""How each peer resizes, as ours are called."""
HUB_NAME = "pt_inception-2015-12-05-6726825d.pth"
ROOT_FAILED = "ValueError: Imaginary component"
"""What pytorch-fid ends with, after all of its work, where SciPy's root of singular covariances is no real matrix."""
FASTER, AGREES, QUALITY = 2.0, 1e-3, 95
STAGES = Path(__file__).parent / "harness" / "stages.py"


def write_folders(folder: Path, samples: int, side: int) -> list[Path]:
    """Write two folders of so many images, every other one JPEG; return them."""
    crops = photographs(each=-(-2 * samples // len(PHOTOGRAPHS))).images
    crops = resized(crops, side)[torch.randperm(len(crops), generator=torch.Generator().manual_seed(0))]
    real, fake = crops[:samples], (1.2 * crops[samples : 2 * samples].float()).clamp(0, 255).byte()
    return [_written(folder / name, images) for name, images in (("real", real), ("fake", fake))]


def _written(folder: Path, images: Tensor) -> Path:
    folder.mkdir()
    for number, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        ending, options = ("jpg", {"quality": QUALITY}) if number % 2 else ("png", {})
        Image.fromarray(image).save(folder / f"{number:05}.{ending}", **options)
    return folder


def ours(real: Path, fake: Path, weights: Path, resize: str) -> list[str]:
    """Return the arguments of ``streaming-metrics`` for a FID as JSON."""
    options = ["--weights", str(weights), "--resize", resize, "--no-cache", "--json", "-", "--quiet"]
    return ["compare", str(real), str(fake), *options]


def peers(real: Path, fake: Path, weights: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return the commands of the peers, and what is set around each."""
    checkpoints = weights.parent / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    if not (checkpoints / HUB_NAME).exists():
        (checkpoints / HUB_NAME).symlink_to(weights)
    fidelity = [*("--cpu", "--fid", "--json", "--silent", "--feature-extractor-weights-path", str(weights))]
    fidelity += ["--input1", str(fake), "--input2", str(real)]
    return {
        "fidelity": ([sys.executable, "-m", "torch_fidelity.fidelity", *fidelity], {}),
        "pytorch_fid": (
            [sys.executable, "-m", "pytorch_fid", "--device", "cpu", str(real), str(fake)],
            {"TORCH_HOME": str(weights.parent)},
        ),
    }


def value_of(run: Spent) -> float | None:
    """Return the distance that a command printed, None where its root failed; AssertionError where the command did."""
    if run.code and ROOT_FAILED in run.out:
        return None
    found = re.findall(r'(?:"\w*(?:fd|fid|frechet)\w*"|FID): +([-\d.e]+)', run.out)
    assert run.code == 0, run.out
    assert len(found) == 1, run.out
    return float(found[0])


def bench(folder: Path, weights: Path, samples: int, side: int, names: Sequence[str] = tuple(RESIZES)) -> Result:
    """Return two rows for each peer: time and memory."""
    real, fake = write_folders(folder, samples, side)
    result, command = Result(), [sys.executable, "-m", "streaming_metrics"]
    for name in names:
        mine = spent([*command, *ours(real, fake, weights, RESIZES[name])])
        theirs = spent(*peers(real, fake, weights)[name])
        value, its = value_of(mine), value_of(theirs)
        if its is None:
            result.checks.append(f"{name} yields no value: {theirs.out.splitlines()[-1]}; ours is {value:.6g}")
        else:
            result.agree(f"FID by {RESIZES[name]}, ours and {name}", value, its, AGREES)
        figures = seconds(mine.wall), f"{seconds(theirs.wall)}, {name}", theirs.wall / mine.wall
        cpu = f"CPU time {seconds(mine.cpu)}, theirs {seconds(theirs.cpu)}"
        result.rows.append(Row(f"2 × {samples} images of {side} px to FID", *figures, FASTER, note=cpu))
        peaks = f"{mine.peak / MIB:.0f} MiB", f"{theirs.peak / MIB:.0f} MiB, {name}", mine.peak / theirs.peak
        result.rows.append(Row("most memory of it", *peaks, 1.0, at_most=True))
    result.notes += spent_where(ours(real, fake, weights, RESIZES[names[0]]))
    return result


def spent_where(arguments: Sequence[str]) -> list[str]:
    """Return a table of what a run of ours spends where."""
    run = spent([sys.executable, str(STAGES), *arguments])
    assert run.code == 0, run.out
    told = json.loads(run.out.splitlines()[-1])
    rest = run.wall - sum(seconds for name, seconds in told.items() if not name.startswith("("))
    rows = [*told.items(), ("the rest: writing, ending of processes", rest), ("all", run.wall)]
    return ["Ours spends, in seconds:", *table(["where", "seconds"], rows).splitlines()]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=2000, help="images of each folder")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--weights", type=Path, help="of the reference Inception; random ones where none are given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, reference_weights(options.weights) as weights:
        finish(bench(Path(folder), weights, options.samples, options.side), __doc__, options.json)


if __name__ == "__main__":
    main()
