"""Study signature: one line that says of which study, prompts, items, raters and judgements a result is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streaming_metrics.signature import library_version

DIGEST = r"none|[0-9a-f]{8}"
PATTERN = (
    rf"study:([^|]+)\|tasks:([^|]+)\|prompts:({DIGEST})\|items:({DIGEST})\|raters:(simulated-)?(\d+)"
    r"\|judgements:(\d+)\|v([^|]+)"
)


@dataclass(frozen=True)
class StudySignature:
    """How results of a study came about; they compare where all but raters, judgements and version agree.

    Args:
        study: its name and the first 8 digits of its plan's digest.
        tasks: their names, in the plan's order.
        prompts: first 8 hex digits of the prompts' sha256; ``"none"`` where there are none.
        items: the same of the images.
        raters: how many judged.
        judgements: how many were counted, attention checks left out.
        version: of this library.
        simulated: whether no person judged.

    Example:
        >>> tasks = "preference", "opinion"
        >>> signature = StudySignature("digits-1a2b3c4d", tasks, "none", "9f8e7d6c", 20, 400, "0.1.0")
        >>> str(signature)
        'study:digits-1a2b3c4d|tasks:preference,opinion|prompts:none|items:9f8e7d6c|raters:20|judgements:400|v0.1.0'
        >>> StudySignature.parse(str(signature)) == signature
        True
    """

    study: str
    tasks: tuple[str, ...]
    prompts: str = "none"
    items: str = "none"
    raters: int = 0
    judgements: int = 0
    version: str = library_version()
    simulated: bool = False

    def __str__(self) -> str:
        raters = f"{'simulated-' * self.simulated}{self.raters}"
        return (
            f"study:{self.study}|tasks:{','.join(self.tasks)}|prompts:{self.prompts}|items:{self.items}"
            f"|raters:{raters}|judgements:{self.judgements}|v{self.version}"
        )

    @classmethod
    def parse(cls, line: str) -> StudySignature:
        """Return the signature that printed as ``line``; raise ValueError for any other text."""
        match = re.fullmatch(PATTERN, line.strip())
        if match is None:
            raise ValueError(
                "Expected a signature like 'study:digits-1a2b3c4d|tasks:preference|prompts:none|items:9f8e7d6c"
                f"|raters:20|judgements:400|v0.1.0', got {line!r}. Remedy: copy the whole line of `study results`."
            )
        study, tasks, prompts, items, simulated, raters, judgements, version = match.groups()
        counts = int(raters), int(judgements)
        return cls(study, tuple(tasks.split(",")), prompts, items, *counts, version, bool(simulated))
