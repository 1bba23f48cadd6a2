"""Verdicts: what tells scores apart, in NumPy and SciPy alone."""

KIND = "streaming-metrics scores 1"
"""What a file of the scores of one generated side calls itself; here, since to know one takes no NumPy."""
