"""Template of a study's plan: a STUDY.toml with what is known filled in, and what else there is in comments."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.study.plan_file import EXPOSURES_MS, parse
from streaming_metrics.study.sources import place
from streaming_metrics.study.trial import ALIGNMENT, CATEGORISATION, OPINION, PREFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BARE = re.compile(r"[A-Za-z0-9_-]+")
EPOCH = re.compile(r"epoch=(\d+)(?:-step=(\d+))?")

HEAD = """\
# A study in which people judge images. Check it, then: streaming-metrics study serve {file}
# Once answers are there, a change of anything that raters see is refused.

name = {name}
seed = {seed}              # of the order of trials
raters = 20           # links to make; more may be made at any time
languages = ["en"]    # of the page, the default first: "en", "ko"
{prompts}
# images = 100        # taken of each condition, at most; all that prompts need, else 100

# The text that raters agree to before they begin; leave it out for the one that comes with the page.
# [consent]
# en = "…"
# ko = "…"

# Images to judge, by name: a folder, zip, tar, .npz or package.module:dataset, relative to this file.
# The one called real is taken for real images, unless a task names another.
[conditions]
{conditions}

[checks]
every = 10            # an attention check about every so many trials; 0 for none
"""
PROMPTS = """\
# prompts = "prompts.tsv"   # columns prompt, category, challenge; image k belongs to prompt k modulo their number"""

TASKS = {
    PREFERENCE: """
[[task]]
kind = "preference"   # two images, side by side: which is better?
per_rater = 20        # trials of a rater, attention checks apart
ties = true           # "neither" may be answered
against_real = false  # true: each condition against the real one alone
# conditions = ["a", "b"]                             # all but the real one, unless named
# question = { en = "Which image looks better?" }
""",
    OPINION: """
[[task]]
kind = "opinion"      # one image: how good is it, from 1 to the scale?
per_rater = 20
scale = 5
""",
    CATEGORISATION: """
[[task]]
kind = "categorisation"   # one image for a moment, then noise: was it real or fake? Half of them are real.
per_rater = 40
exposures_ms = [EXPOSURES]
# real = "real"       # the condition of real images
""",
    ALIGNMENT: """
[[task]]
kind = "alignment"    # one image and its prompt: how well do they match, from 1 to the scale?
per_rater = 20
scale = 5
""",
}


@dataclass(frozen=True)
class Template:
    """Template of a plan.

    Args:
        path: where the plan will be written; sources are made relative to its folder.
        conditions: source by name, as seen from the working directory.
        kinds: of tasks; none for those that the conditions allow: opinions, preferences of two or more, categorisation
            beside real images, alignment with prompts.
        prompts: a list of prompts.
        seed: of the order.
    """

    path: Path
    conditions: Mapping[str, str]
    kinds: Sequence[str] = ()
    prompts: Path | None = None
    seed: int = 0

    def text(self) -> str:
        """Return the file's text, which reads as a plan where there are conditions.

        Raises:
            ValueError, FileNotFoundError: where a source or the prompts are not there, or the plan would not read.
        """
        named = [f"{_key(name)} = {_quoted(self._beside(source))}" for name, source in self.conditions.items()]
        head = HEAD.format(
            file=self.path.name,
            name=_quoted(re.sub(r"[^a-z0-9]+", "-", self.path.stem.lower()).strip("-")[:40] or "study"),
            seed=self.seed,
            prompts=PROMPTS if self.prompts is None else f"prompts = {_quoted(self._beside(str(self.prompts)))}",
            conditions="\n".join(named) or '# real = "images/"\n# ours = "samples.zip"',
        )
        tasks = "".join(TASKS[kind] for kind in self.kinds or self._possible())
        text = head + tasks.replace("EXPOSURES", ", ".join(f"{value:g}" for value in EXPOSURES_MS))
        if self.conditions:
            parse(text, self.path.parent)
        return text

    def _possible(self) -> list[str]:
        generated = [name for name in self.conditions if name != "real"]
        possible = {
            PREFERENCE: len(generated) != 1,
            OPINION: True,
            CATEGORISATION: "real" in self.conditions and bool(generated),
            ALIGNMENT: self.prompts is not None,
        }
        return [kind for kind, is_possible in possible.items() if is_possible]

    def _beside(self, source: str) -> str:
        """Return a source as it is named in the plan's folder."""
        if place(source, Path()) is None:
            if ":" in source and "/" not in source.partition(":")[0]:
                return source
            raise FileNotFoundError(
                f"expected a folder, an archive, an .npz or package.module:dataset, found none at {source}"
            )
        return source if Path(source).is_absolute() else Path(relpath(source, self.path.parent)).as_posix()


def epochs_in(folder: str | Path, most: int = 5) -> dict[str, str]:
    """Return the epochs that a monitor kept samples of (``keep_samples=``), as conditions in their order.

    Args:
        folder: with a sub-folder ``epoch=03-step=450`` for each.
        most: of them to take, evenly spread, with the first and the last.

    Raises:
        FileNotFoundError: where there is none.

    Example:
        >>> import tempfile
        >>> for k in range(9):
        ...     folder = Path(tempfile.gettempdir(), "epochs-of-doctest", f"epoch={k:02d}-step={k * 10}")
        ...     folder.mkdir(parents=True, exist_ok=True)
        >>> list(epochs_in(folder.parent, most=3))
        ['epoch-00', 'epoch-04', 'epoch-08']
    """
    below = sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []
    found = [(match, path) for path in below if path.is_dir() and (match := EPOCH.fullmatch(path.name))]
    if not found:
        raise FileNotFoundError(
            f"--epochs: expected a folder with folders like epoch=03-step=450, found none in {folder}. Remedy: "
            "GenerationMonitor(…, keep_samples=…) writes them."
        )
    found.sort(key=lambda one: (int(one[0][1]), int(one[0][2] or 0)))
    last = len(found) - 1
    places = {round(k * last / (most - 1)) for k in range(most)} if 1 < most <= last else set(range(len(found))[-most:])
    chosen = [found[place] for place in sorted(places)]
    epochs = [match[1] for match, _ in chosen]
    names = [f"epoch-{m[1]}" + (f"-step-{m[2]}" if epochs.count(m[1]) > 1 else "") for m, _ in chosen]
    return {name: str(path) for name, (_, path) in zip(names, chosen)}


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
