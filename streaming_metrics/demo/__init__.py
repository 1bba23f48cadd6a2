"""Demo: a small generator learns to draw digits, watched by the monitor."""
