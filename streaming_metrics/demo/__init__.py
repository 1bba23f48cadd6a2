"""Demo: a small generator learns to draw digits, clothes or crops of photographs, watched by the monitor."""

from streaming_metrics.demo.command_line import main as main
