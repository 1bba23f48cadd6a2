"""The metric: states by role and statistic, collective evaluation, and what is saved of them."""
