"""Open a trained model by the name of a bundle that auricle ships, by its folder, or from a hub.

from auricle.lobes import pretrained
bundle = pretrained.load("speech_commands/leaf_bcresnet")
bundle.predict_file("hello.wav")

`hyperparams.yaml` of earlier bundles refers to the other names here.
"""

from .bundles.bundle import *  # noqa: F403
from .bundles.shipped import shipped_bundles  # noqa: F401
from .bundles.speechbrain import BundlePretrainer, label_encoder  # noqa: F401
from .model import count_parameters  # noqa: F401
