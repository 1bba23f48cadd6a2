"""Harness: what benchmarks share: turns that are timed, inputs, ceilings of the machine, results, their chart."""
