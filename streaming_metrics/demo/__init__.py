"""Demo: a small generator learns to draw digits, watched by the monitor."""

from streaming_metrics.demo.run import main as main
