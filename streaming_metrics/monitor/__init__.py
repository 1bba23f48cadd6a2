"""Monitor: the Lightning callback that computes measures in validation, and what its hooks call."""

from streaming_metrics.monitor.callback import GenerationMonitor as GenerationMonitor
from streaming_metrics.monitor.snapshot_tournament import SnapshotTournament as SnapshotTournament
