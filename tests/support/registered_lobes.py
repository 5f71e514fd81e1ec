"""Every registered lobe as a subject of promises: in a narrow form, and in its variants."""

from every_encoder import SMALL

from auricle.lobes import ENCODERS, FRONTENDS
from auricle.lobes.promises import ENCODER_PROMISES, FRONTEND_PROMISES, Subject, subject_of

# Narrow forms of the lobes whose default is slow: the same code, a promise in a tenth of a second.
# `test_a_narrowed_lobe_learns_everywhere_as_it_comes` takes the default of those that fit.
NARROW = {
    "ast": {"depth": 2},
    "cnn14": {"channels": (4, 8, 8, 16, 16, 32)},
    "conformer": {"layers": 2, "d_model": 32, "ff": 64},
    "crdnn": {"channels": (4, 8), "rnn_units": 16, "dnn_units": 16},
    "crnn": {"channels": (8, 8, 16, 16)},
    "ecapa": {"channels": 32, "attention_channels": 8, "se_channels": 8},
    "envnet": {"dense": 16},
    "fcn": {"channels": (8, 8, 8, 8, 16)},
    "lstm_autoencoder": {"channels": 32, "latent": 16, "lstm_units": 16, "embedding_size": 32},
    "mlp_mixer": {"hidden": 32, "blocks": 2, "embedding_size": 32},
    "musicnn": {"vertical": 16, "horizontal": 8, "channels": 16},
    "redimnet": SMALL["redimnet"],
    "resnet34": {"channels": (4, 6, 8, 8), "block_sizes": (1, 2, 1, 1)},
    "resnet50": {"width": 8},
    "sample_cnn": {"channels": (8,) * 9 + (16,)},
    "transformer": {"layers": 2, "d_model": 32, "ff": 64},
    "vggish": {"channels": (4, 8, 8, 16), "dense": 64},
    "vit": {"depth": 2},
    "wav2vec_conv": {"channels": 16},
    "wavenet_dilated": {"stacks": 1, "channels": 16, "skip_channels": 16},
    "xvector": {"channels": (32, 32, 32, 32, 64), "lin_neurons": 32},
}
#: 48 to 80 million parameters.
TOO_WIDE = ("cnn14", "envnet", "resnet50", "vggish")

SMALL_CQT = {"min_freq_hz": 130.81, "num_features": 36, "filter_scale": 0.5}
# Options that take another way through a lobe's code, by lobe and a name for the way.
VARIANTS = {
    "crnn-frames": {"output": "frames", **NARROW["crnn"]},
    "crnn-whole-pools": {
        "partial_pools": False, "time_pools": (2, 2, 2, 2), **NARROW["crnn"]
    },
    "fcn-whole-pools": {"partial_pools": False, **NARROW["fcn"]},
    "mlp_mixer-sinc": {
        "convolution": "trunk", "pooling": "bottleneck", "hidden": 16, "blocks": 1
    },
    "mlp_mixer-tokens": {"token_mixing": True, "hidden": 16, "blocks": 1},
    "musicnn-authors": {"form": "authors", **NARROW["musicnn"]},
    "musicnn-linear": {"embedding": "linear", "output": "frames", **NARROW["musicnn"]},
    "musicnn-frames": {"output": "frames", **NARROW["musicnn"]},
    "redimnet-convnext": {"size": "few_convnext"},
    "sample_cnn-kernel-3": {"last_kernel": 3, **NARROW["sample_cnn"]},
    "transformer-frames": {"output": "frames", **NARROW["transformer"]},
    "wavenet_dilated-frames": {"output": "frames", **NARROW["wavenet_dilated"]},
    # Few filters: the way is the same.
    "cqt-fixed": {"learnable": False, **SMALL_CQT},
    "cqt-reflect": {"padding": "reflect", **SMALL_CQT},
    "efficientleaf-8-groups": {"num_groups": 8, "num_filters": 16},
    "efficientleaf-given-groups": {
        "num_filters": 8, "num_groups": 2, "group_samples": [201, 65], "group_strides": [4, 1]
    },
    "efficientleaf-level": {"channels": "level", "num_filters": 8},
    "efficientleaf-pcen": {"compression": "pcen", "num_filters": 8},
    "fastaudio-fixed": {"learnable": False, "padding": "zeros"},
    "fastaudio-gaussian": {"shape": "gaussian", "power": 2, "top_db": None},
    "gammatone-fixed": {"learnable": False, "num_features": 8},
    "gammatone-pcen": {"compression": "pcen", "order": 3, "num_features": 8},
    "leaf-bias": {"pooling_bias": True, "num_features": 8},
    "leaf-log-pcen": {"pcen_parameters": "log", "num_features": 8},
    "mel-essentia": {"convention": "essentia"},
    "mel-kaldi": {"convention": "kaldi"},
    "mel-leaf_audio": {"convention": "leaf_audio"},
    "mel-nnaudio": {"convention": "nnaudio"},
    "mel-speechbrain": {"convention": "speechbrain"},
    "sinc_conv-rectified": {"rectify": True, "num_features": 8, "hop_ms": 2.0},
    "sincnet-original": {"form": "original", "num_features": 8, "hop_ms": 5.0},
    "sincnet_plus-square": {"rectifier": "square", "num_features": 8},
    "stft_mel-A": {"setting": "A", "padding": "zeros"},
    "stft_mel-B-random": {"setting": "B", "mel_init": "random"},
    "stft_mel-C-masked": {"setting": "C", "mask_bins": [25, 50]},
    "tdfbanks-emphasised-free": {"preemphasis": True, "pooling_sign": "free", "num_features": 8},
    "tdfbanks-shared-valid": {"pooling": "shared", "frame_centre": "valid", "num_features": 8},
    "wav2vec_conv-layer": {"norm": "layer", "channels": 8},
}  # fmt: skip

PROMISES = {"frontend": FRONTEND_PROMISES, "encoder": ENCODER_PROMISES}
REGISTRIES = {"frontend": FRONTENDS, "encoder": ENCODERS}
KINDS = {name: kind for kind, registry in REGISTRIES.items() for name in registry.names()}


def subject(case: str, options: dict | None = None) -> Subject:
    """A registered lobe by its name, or by that of a variant."""
    name = case.partition("-")[0]
    if options is None:
        options = VARIANTS.get(case) or NARROW.get(name, {})
    return subject_of(KINDS[name], name, {name: options})
