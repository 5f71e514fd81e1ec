"""Stable names of the bundle module: `hyperparams.yaml` of earlier bundles refers to them."""

from .bundles.bundle import *  # noqa: F403
from .bundles.speechbrain import BundlePretrainer, label_encoder  # noqa: F401
from .model import count_parameters  # noqa: F401
