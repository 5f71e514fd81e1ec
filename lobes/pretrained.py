"""Stable names of the bundle module: `hyperparams.yaml` of earlier bundles refers to them."""

from .bundles.bundle import *  # noqa: F403
