"""Estimate of the memory that a training run needs."""
