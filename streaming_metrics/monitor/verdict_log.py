"""Log of verdicts: each measured epoch's in words, and the images that they saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from streaming_metrics.plots.result_keys import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.verdicts.sequential import Outcome


class Line(NamedTuple):
    """Line of the log: an epoch, its verdict, the samples that were generated for it, and all of that in words."""

    epoch: int
    verdict: str
    generated: int
    words: str


class VerdictLog:
    """Log of the verdicts of a training.

    Args:
        key: of the score that decides.
        most: samples of an epoch that is measured in full.

    Attributes:
        generated: samples of the epoch that is being measured.
        lines: of the epochs so far.
        rescored: what measuring the best ones again has said, in words.

    Example:
        >>> from streaming_metrics.verdicts.sequential import Outcome
        >>> log = VerdictLog("fid", most=1000)
        >>> log.note(0, Outcome("first", 1000, 12.5))
        >>> log.generated = 250
        >>> log.note(1, Outcome("worse", 250, 12.5, against="epoch 0"))
        >>> log.words().splitlines()[-1]
        'images saved: 750 of 2,000 (38 %); all scores of an epoch are of the images that it took'
    """

    def __init__(self, key: str, most: int) -> None:
        self.key, self.most, self.generated = key, most, most
        self.lines: list[Line] = []
        self.rescored = ""

    @property
    def saved(self) -> int:
        """Images that were not generated, as verdicts were told without them."""
        return sum(self.most - line.generated for line in self.lines)

    def note(self, epoch: int, outcome: Outcome) -> None:
        """Note an epoch's outcome."""
        words = f"epoch {epoch}: {outcome.verdict}"
        if found := outcome.comparison:
            ends = f"{number(found.difference)}, from {number(found.low)} to {number(found.high)}"
            words += f" ({self.key} against {outcome.against}: {ends})"
        elif outcome.against:
            words += f" ({self.key} against {outcome.against})"
        words += f", {self.generated:,} images"
        self.lines.append(Line(epoch, outcome.verdict, self.generated, words))

    def words(self) -> str:
        """Return a line of text for each epoch, and one for the images that were saved."""
        full = self.most * len(self.lines)
        saved = f"images saved: {self.saved:,} of {full:,} ({100 * self.saved / max(1, full):.0f} %)"
        if self.saved:
            saved += "; all scores of an epoch are of the images that it took"
        return "\n".join([*(line.words for line in self.lines), saved, *filter(None, [self.rescored])])

    def state_dict(self) -> list[tuple[Any, ...]]:
        """Return the lines as plain values."""
        return [tuple(line) for line in self.lines]

    def load_state_dict(self, lines: list[tuple[Any, ...]] | Mapping[Any, Any]) -> None:
        """Take up what :meth:`state_dict` returned."""
        self.lines = [Line(*line) for line in lines]
