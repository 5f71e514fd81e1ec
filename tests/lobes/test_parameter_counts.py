"""Numbers of parameters of every lobe, as published, or counted in its docstring."""

import pytest
import torch

from auricle.lobes import FRONTENDS, build_encoder, build_frontend

# Learned values at 16 kHz.
OF_FRONTENDS = [
    ("leaf", {}, 280),
    ("leaf", {"compression": "log"}, 120),
    ("leaf", {"num_features": 4, "pcen_parameters": "log"}, 28),
    ("efficientleaf", {}, 320),
    ("efficientleaf", {"compression": "pcen"}, 280),
    ("efficientleaf", {"compression": "pcen", "pcen_parameters": "linear"}, 280),
    ("sincnet", {}, 160),
    ("sincnet", {"form": "original"}, 320),
    ("sincnet_plus", {}, 280),
    ("sincnet_plus", {"pcen_trainable": False}, 120),
    ("tdfbanks", {}, 48_120),
    ("tdfbanks", {"pooling": "shared"}, 32_481),
    ("tdfbanks", {"preemphasis": True}, 48_122),
    ("stft_mel", {"setting": "A"}, 0),
    ("stft_mel", {"setting": "B"}, 9_640),
    ("stft_mel", {"setting": "B", "num_features": 30}, 7_230),
    ("stft_mel", {"setting": "B", "num_features": 20}, 4_820),
    ("stft_mel", {"setting": "B", "num_features": 10}, 2_410),
    ("stft_mel", {"setting": "C"}, 231_360),
    ("stft_mel", {"setting": "C", "num_features": 10}, 231_360),
    ("stft_mel", {"setting": "D"}, 241_000),
    ("fastaudio", {}, 80),
    ("fastaudio", {"num_features": 20}, 40),
    ("fastaudio", {"learnable": False}, 0),
    ("gammatone", {}, 80),
    ("gammatone", {"learnable": False}, 0),
    ("gammatone", {"compression": "pcen"}, 240),
    ("cqt", {}, 392_280),
    ("cqt", {"learnable": False}, 0),
    ("pcen_mel", {}, 160),
    ("pcen_mel", {"trainable": False}, 0),
    ("sinc_conv", {}, 64_480),
    ("sinc_conv", {"rectify": True}, 64_560),
    ("wav2vec_conv", {}, 4_200_448),
    ("wav2vec_conv", {"norm": "layer"}, 4_210_176),
    ("mel", {}, 0),
    ("mfcc", {}, 0),
    ("spectrogram_image", {}, 0),
    ("waveform", {}, 0),
]
RAW = {"convolution": "trunk", "pooling": "bottleneck"}
# Features and frames that go in, options, outputs of a linear head (0: without one), parameters.
OF_ENCODERS = [
    ("linear", 40, 101, {}, 12, 48_492),
    ("linear", 40, 101, {}, 35, 141_435),
    ("small_cnn", 40, 101, {}, 12, 1_173_568),
    ("small_cnn", 40, 101, {}, 35, 1_183_251),
    *(
        ("bcresnet", 40, 101, {"tau": tau}, classes, count)
        for tau, twelve, thirty_five in [
            (1, 9_232, 9_991),
            (1.5, 17_154, 18_281),
            (2, 27_284, 28_779),
            (3, 54_168, 56_399),
            (6, 187_812, 192_251),
            (8, 321_068, 326_979),
        ]
        for classes, count in ((12, twelve), (35, thirty_five))
    ),
    ("cnn14", 64, 101, {}, 12, 79_698_380),
    ("cnn14", 64, 101, {}, 35, 79_745_507),
    ("transformer", 40, 101, {}, 35, 3_178_531),
    ("transformer", 40, 101, {"layers": 4, "ff": 1024}, 35, 3_178_531),
    ("transformer", 40, 101, {"layers": 6, "ff": 1024}, 35, 4_758_051),
    ("transformer", 40, 101, {"layers": 8, "ff": 1024}, 35, 6_337_571),
    ("transformer", 40, 101, {"layers": 4, "ff": 2048}, 35, 5_279_779),
    ("transformer", 40, 101, {"layers": 6, "ff": 2048}, 35, 7_909_923),
    ("transformer", 40, 101, {"layers": 8, "ff": 2048}, 35, 10_540_067),
    ("kwt", 40, 98, {"size": 1}, 12, 607_308),
    ("kwt", 40, 98, {"size": 2}, 12, 2_394_252),
    ("kwt", 40, 98, {"size": 3}, 12, 5_360_844),
    ("kwt", 40, 101, {"size": 1}, 12, 607_500),
    ("kwt", 40, 101, {"size": 2}, 12, 2_394_636),
    ("kwt", 40, 101, {"size": 3}, 12, 5_361_420),
    # MLPerf Tiny's has 23,756 with the biases of its nine convolutions of 64 channels.
    ("ds_cnn", 10, None, {}, 12, 23_756 - 9 * 64),
    ("ds_cnn", 40, None, {}, 12, 23_756 - 9 * 64),
    ("blstm", 40, None, {}, 40, 579_624),
    ("blstm", 40, None, {"hidden": 128, "layers": 2}, 40, 579_624),
    ("blstm", 40, None, {"hidden": 32, "layers": 1}, 40, 21_544),
    ("bcresnet_blstm", 40, None, {}, 40, 64_172),
    ("bcresnet_blstm", 40, None, {"tau": 3, "hidden": 32}, 40, 88_884),
    ("conformer", 40, None, {}, 0, 2_037_168),
    ("ecapa", 80, None, {}, 0, 6_194_048),  # wespeaker states 6.19 million
    ("ecapa", 81, None, {}, 0, 6_194_048 + 5 * 512),
    ("ecapa", 80, None, {"channels": 1024}, 0, 20_767_552),  # SpeechBrain's VoxCeleb recipe
    ("ecapa", 80, None, {"channels": (1024, 1024, 1024, 1024, 3072)}, 0, 20_767_552),
    ("resnet34", 80, None, {}, 0, 7_660_704),
    ("resnet34", 80, None, {"channels": (128, 128, 256, 256)}, 0, 15_438_336),
    ("rvector", 80, None, {}, 0, 6_634_336),  # wespeaker states 6.63 million
    # In the paper 1.0, 2.2, 4.7, 3.0, 6.3, 9.2 (7.7 by the released file's size), 15.0 million.
    ("redimnet", 60, None, {}, 0, 1_004_250),
    ("redimnet", 60, None, {"size": "b0"}, 0, 1_004_250),
    ("redimnet", 72, None, {"size": "b1"}, 0, 2_126_936),
    ("redimnet", 72, None, {"size": "b2"}, 0, 4_892_848),
    ("redimnet", 72, None, {"size": "b3"}, 0, 3_225_020),
    ("redimnet", 72, None, {"size": "b4"}, 0, 6_441_520),
    ("redimnet", 72, None, {"size": "b5"}, 0, 7_659_760),
    ("redimnet", 72, None, {"size": "b6"}, 0, 15_015_472),
    ("mlp_mixer", 80, None, {}, 0, 2_664_576),
    ("mlp_mixer", 80, None, {"expansion": 4}, 0, 3_442_176),
    ("mlp_mixer", 80, None, {"hidden": 256, "blocks": 8, "expansion": 4}, 0, 7_844_864),
    # On sinc filters, without the 64,480 of their stack.
    ("mlp_mixer", 80, None, {"expansion": 4, **RAW}, 0, 3_482_272 - 64_480),
    ("mlp_mixer", 80, None, {"expansion": 3, **RAW}, 0, 2_704_672 - 64_480),
    ("mlp_mixer", 80, None, {"token_mixing": True}, 0, 2_664_576 + 6 * 31 * 192),
    ("mlp_mixer", 80, None, {"token_mixing": True, "token_frames": 7}, 0, 2_664_576 + 6 * 7 * 192),
    # 3.87 M in the paper; by the layers one more, a bias in front of a softmax over time.
    ("lstm_autoencoder", 80, None, {"decoder": False}, 0, 3_515_776),
    ("lstm_autoencoder", 80, None, {"decoder": True}, 0, 3_873_744),
    ("crnn", 96, None, {}, 50, 394_100),
    ("crnn", 40, None, {}, 0, 392_450),
    ("crnn", 229, None, {}, 0, 392_450),
    ("envnet", 1, None, {}, 50, 48_560_638),
    ("m5", 1, None, {}, 2, 555_010),
    ("m5", 1, None, {"channels": (32, 32, 64, 64), "stride": 16}, 35, 26_915),  # torch's tutorial
    ("fcn", 96, None, {}, 50, 447_732),
    ("fcn", 40, None, {}, 0, 444_482),
    ("musicnn", 96, None, {}, 50, 784_300),
    # It normalises the pooled values once more, 2 * 2 * (561 + 3 * 64), and its filters of 128, 64
    # and 32 frames are one shorter, 3 * 51.
    ("musicnn", 96, None, {"form": "authors"}, 50, 787_159),
    ("musicnn", 96, None, {"channels": 512, "dense": 500}, 50, 7_972_000),
    ("sample_cnn", 1, None, {}, 0, 1_844_224),
    ("sample_cnn", 1, None, {}, 50, 1_869_874),
    ("sample_cnn", 1, None, {"last_kernel": 3}, 0, 1_844_224 + 524_288),
    ("vggish", 64, None, {}, 0, 72_141_184),
    ("wavenet_dilated", 1, None, {}, 0, 898_560),
    # Published ones of pictures read three channels: 2 * 16 * 16 * 768 and 2 * 64 * 7 * 7 more.
    ("vit", 224, None, {"size": "tiny", "frames": 224}, 0, 5_426_112),
    ("vit", 224, None, {"size": "small", "frames": 224}, 0, 21_469_056),
    ("vit", 224, None, {"size": "base", "frames": 224}, 2, 85_800_194 - 2 * 16 * 16 * 768),
    ("ast", 128, None, {"size": "base", "frames": 1024}, 2, 86_188_802),
    ("ast", 128, None, {"size": "base", "frames": 1292}, 2, 86_188_802 + 768 * (1538 - 1214)),
    ("ast", 128, None, {"size": "base", "frames": 3000}, 2, 86_188_802 + 768 * (3590 - 1214)),
    ("resnet50", 40, None, {}, 1, 23_508_032 - 2 * 64 * 7 * 7 + 2049),
    ("resnet50", 40, None, {"width": 16}, 0, 1_481_472),
]


@pytest.mark.parametrize(("name", "options", "count"), OF_FRONTENDS)
def test_learned_values_of_a_frontend(name, options, count):
    lobe = build_frontend(name, options={name: options})
    assert sum(p.numel() for p in lobe.parameters() if p.requires_grad) == count
    assert lobe.fixed == (count == 0)


def test_the_table_holds_every_frontend():
    assert {name for name, _, _ in OF_FRONTENDS} == set(FRONTENDS.names())


@pytest.mark.parametrize(("name", "features", "frames", "options", "outputs", "count"), OF_ENCODERS)
def test_parameters_of_an_encoder(name, features, frames, options, outputs, count):
    with torch.device("meta"):  # without memory for them
        encoder = build_encoder(name, features, frames, {name: options})
    held = sum(p.numel() for p in encoder.parameters())
    assert held + (outputs and outputs * (encoder.out_features + 1)) == count
