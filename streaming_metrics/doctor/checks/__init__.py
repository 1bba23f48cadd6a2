"""Checks: what may be wrong with images, network or reference, a sentence each."""

from streaming_metrics.doctor.checks.table import CHECKS as CHECKS
from streaming_metrics.doctor.checks.table import findings as findings
