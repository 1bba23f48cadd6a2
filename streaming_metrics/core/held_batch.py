"""Held batch: one that is ready to be added, and waits for a device to say that it is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming_metrics.core.states import States, Write
    from streaming_metrics.deferred import Answer
    from streaming_metrics.features import Role


class HeldBatch:
    """Batch of a role that is added once a device has said that it is good.

    Until then the states that it will write are taken out of the metric: whoever reads one has to ask for it, and so to
    wait (``GenerativeMetrics.__getattr__``). It may be broken off at any line: each step may be made again.

    Args:
        states: of the metric.
        role: whose samples they are.
        writes: what is left of the update: the writing.
        answer: of the device.
    """

    def __init__(self, states: States, role: Role, writes: list[Write], answer: Answer) -> None:
        self.role, self._states, self._writes, self._answer = role, states, writes, answer
        self.aside: dict[str, object] = {}

    def set_aside(self) -> None:
        """Take what will be written out of the states."""
        for name in [name for names, _ in self._writes for name in names.values()]:
            self.aside[name] = self._states.tensors[name]
            del self._states.tensors[name]

    def put_back(self) -> None:
        """Put into the states what was taken out of them."""
        self._states.tensors.update(self.aside)
        self.aside.clear()

    def refuse(self) -> None:
        """Wait for the device, and raise what is wrong with the batch."""
        self._answer.refuse()

    def add(self) -> None:
        """Write the batch, which is good."""
        self.put_back()
        with self._answer.in_order():
            self._states.write(self.role, self._writes)
