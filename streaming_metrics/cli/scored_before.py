"""Scores of before: results of a run that was stopped, taken up where nothing has changed that decides a score."""

from __future__ import annotations

import hashlib
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.cli.outputs import STDOUT
from streaming_metrics.cli.several_results import SeveralResults
from streaming_metrics.files.reference import Reference
from streaming_metrics.signature import library_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streaming_metrics.cli.results import Result
    from streaming_metrics.cli.scoring import Job, Network
    from streaming_metrics.images.generated import Drawing


@dataclass(frozen=True)
class Identity:
    """Identity of a checkpoint's score: what decides it, as digests.

    Args:
        checkpoint: of the checkpoint's files, by their sizes and times.
        run: of all that is the same for all checkpoints: options, files of code and weights that they name, real
            images, the version of this library.
        seeds: how images are drawn.
    """

    checkpoint: str
    run: str
    seeds: str

    def ids(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return what a result says of it, beside what tells its samples' seeds."""
        return {**known, "seeds": self.seeds, "checkpoint": self.checkpoint, "run": self.run}


def identities(job: Job, real: str, sampler: str, how: Drawing, named: Mapping[str, str]) -> dict[str, Identity]:
    """Return the identity of each checkpoint by name.

    Args:
        job: how they are scored.
        real: source of the real side.
        sampler: name of the function that loads them.
        how: how they draw.
        named: their paths.
    """
    network = job.network
    options = [network.extractor, network.weights, network.resize, network.precision, job.measures, job.errors]
    options += [job.per_prompt, job.num_samples, job.seed, job.exif, job.reading.skip, sampler, how.words]
    options += [library_version(), *_real(job, real)]
    options += _stamps([*_modules(network.extractor, job.measures, sampler, real), *_weights(network)])
    run = _digest(map(str, options))
    return {name: Identity(_digest(_stamps([Path(path)])), run, how.words) for name, path in named.items()}


def kept_results(job: Job, path: Path | None, identity: Mapping[str, Identity]) -> dict[str, Result]:
    """Return the results in a file that are still those of their checkpoints; rank 0's, on every rank; collective."""
    found: dict[str, Result] = {}
    if job.comm.rank == 0 and path not in (None, STDOUT) and path.is_file():
        with suppress(AttributeError, KeyError, TypeError, ValueError, RecursionError):  # another file: written over
            sides = SeveralResults.of_text(path.read_text(encoding="utf-8")).sides
            found = {name: sides[name] for name in identity if name in sides and _is_of(sides[name], identity[name])}
    told = job.comm.rendezvous(SeveralResults(found).to_json() if found else "", "kept_results()")[0]
    return dict(SeveralResults.of_text(told).sides) if told else {}


def _is_of(result: Result, identity: Identity) -> bool:
    return all(result.ids.get(what) == digest for what, digest in identity.ids({}).items())


def _real(job: Job, real: str) -> list[str]:
    """Return what tells whether the real side has changed, without reading an image."""
    side = job._find(real, job._window(real))
    named = [path for path in (Path(real), Path(real.rpartition(":")[0] or real)) if path.exists()][:1]
    if isinstance(side, Reference):
        return [real, *_stamps(named)]
    files = side.files()
    return [real, str(len(side)), side.recipe(), *_stamps(named if files is None else files)]


def _modules(*texts: str | None) -> list[Path]:
    """Return the files of the modules that are imported for texts, as ``package.module:name`` in any of them."""
    words = [word.strip() for text in texts for word in re.split(r"[(),]", text or "") if ":" in word]
    found = [getattr(sys.modules.get(word.partition(":")[0]), "__file__", None) for word in words]
    return [Path(file) for file in found if file]


def _weights(network: Network) -> list[Path]:
    """Return the files and folders among the arguments of a network."""
    arguments = [word.strip().strip("'\"") for word in re.split(r"[(),=]", network.extractor or "")[1:]]
    return [Path(word) for word in (str(network.weights or ""), *arguments) if word and Path(word).exists()]


def _stamps(paths: Iterable[Path]) -> list[str]:
    """Return sizes and times of files, and of those below folders."""
    files = [
        file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*"))) if file.is_file()
    ]
    return [f"{file} {(stat := file.stat()).st_size} {stat.st_mtime_ns}" for file in files]


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()[:16]
