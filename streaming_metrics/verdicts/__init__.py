"""Verdicts: what tells scores apart, in NumPy and SciPy alone."""
