"""`auricle attention`: the picture, and that each patch's value lies where the patch does."""

import numpy as np
import pytest
import soundfile
import torch
from random_bundle import emotion_bundle

from auricle.lobes.bundles import bundle as pretrained
from auricle.lobes.encoders._patch.rollout import patch_grid, rollout_picture
from auricle.recipes.inference import attention

RATE = 8000
PNG = b"\x89PNG\r\n\x1a\n"
VIT = {"depth": 2, "frames": 101}
OPTIONS = {"vit": VIT, "ast": VIT, "blstm": {"layers": 1, "hidden": 8}}


def save(folder, encoder="ast", frontend="mel", options=None, **changes):
    return emotion_bundle(
        folder,
        encoder,
        frontend,
        frontend_options={"num_features": 40} if options is None else options,
        encoder_options=OPTIONS[encoder],
        **{"window_s": [1.5, 2.5], **changes},
    )


def write(path, seconds):
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    soundfile.write(path, samples, RATE)
    return path


@pytest.mark.long
@pytest.mark.parametrize("encoder", ["vit", "ast"])
def test_the_window_of_training_is_drawn(auricle, tmp_path, encoder):
    folder = save(tmp_path / "bundle", encoder)
    file, out = write(tmp_path / "song.wav", 3.0), tmp_path / "new" / "a.png"
    text = auricle.output("attention", folder, file, "--out", out)
    assert out.read_bytes().startswith(PNG)
    assert "from 1.5 s" in text and f"Picture: {out}" in text
    found = auricle.json("attention", folder, file, "--out", out, "--start", 0.5)
    bundle = pretrained.load(folder)
    wav = torch.from_numpy(soundfile.read(file, dtype="float32")[0])[4000:12000]
    with torch.no_grad():
        feats = bundle.compute_features(wav[None])
    rollout = rollout_picture(bundle.embedding_model, feats)[0].numpy()
    assert found["patches"] == list(rollout.shape)
    np.testing.assert_allclose(found["rollout"], rollout, atol=1e-6)
    edges_hz = np.linspace(0, RATE / 2, 41)
    grid = patch_grid(bundle.embedding_model, feats.shape[1], 0.01, edges_hz)
    row, column = np.unravel_index(rollout.argmax(), rollout.shape)
    assert found["strongest"]["start_s"] == pytest.approx(0.5 + float(grid.start_s[column]))
    assert found["strongest"]["end_s"] == pytest.approx(0.5 + float(grid.end_s[column]))
    centre_hz = bundle.compute_features.filters().centre_hz
    stride = bundle.embedding_model.patch_stride[0]
    assert found["strongest"]["low_hz"] == pytest.approx(centre_hz[row * stride])


def test_attention_lies_on_the_cells_that_its_patch_reads():
    rollout = np.zeros((2, 3))
    rollout[1, 2] = 1.0
    found = attention.spread(rollout, (20, 40), (10, 10), 16)
    assert (found[16:, 26:36] == 1).all()  # the last patch alone; in frequency it is cut off
    assert (found[10:16, 26:36] == 0.5).all() and (found[10:16, 20:26] == 0.25).all()
    found[10:, 20:36] = 0
    assert not found.any()
    even = attention.spread(np.ones((2, 3)), (20, 40), (10, 10), 16)
    assert (even[:, :36] == 1).all() and not even[:, 36:].any()


def test_the_picture_has_hz_and_seconds(tmp_path):
    bundle = pretrained.load(save(tmp_path / "bundle"))
    found = attention.attention_of_file(bundle, write(tmp_path / "a.wav", 0.8))
    assert found.start_s == 0 and found.frame_s == pytest.approx(0.01)  # it ends before 1.5 s
    assert found.features.shape == found.spread.shape == (40, 81)
    assert found.spread[0, 0] == found.rollout[0, 0] and (found.spread[:36, :70] > 0).all()
    figure = attention.attention_over_spectrogram(
        found.spread, found.features, found.frame_s, found.centre_hz, "x"
    )
    assert figure.axes[1].get_ylim()[1] <= RATE / 2 + 200
    assert figure.axes[1].get_xlim()[1] == pytest.approx(0.81, abs=0.02)


def test_a_resized_image_lies_over_the_whole_clip(tmp_path):
    options = {"num_features": 32, "image_frames": 48, "num_mels": 24}
    bundle = pretrained.load(save(tmp_path / "bundle", "vit", "spectrogram_image", options))
    found = attention.attention_of_file(bundle, write(tmp_path / "a.wav", 3.0))
    assert found.features.shape == (32, 48) and found.frame_s == pytest.approx(1 / 48)
    centre_hz = bundle.compute_features.filters().centre_hz
    assert len(found.centre_hz) == 32 and len(centre_hz) == 24
    assert (np.diff(found.centre_hz) > 0).all()
    assert found.centre_hz[[0, -1]] == pytest.approx(centre_hz[[0, -1]], abs=1)


def test_what_cannot_be_drawn(auricle, tmp_path):
    file, out = write(tmp_path / "a.wav", 3.0), tmp_path / "a.png"
    blstm, ast = save(tmp_path / "blstm", "blstm"), save(tmp_path / "ast")
    for words, says in (
        ([blstm, file, "--out", out], "blstm"),
        ([ast, file, "--out", tmp_path / "a.jpg"], ".png"),
        ([ast, file, "--out", out, "--start", 3], "cannot begin at 3 s"),
        ([ast, file, "--out", out, "--start", -1], "cannot begin at -1 s"),
        ([ast, file, "--out", out, "--start", 2.9999], "shorter than a window"),
        ([ast, file, "--out", out, "--discard", 1], "discard must be"),
        ([ast, tmp_path / "no.wav", "--out", out], "no.wav: no such file"),
    ):
        assert says in auricle.refusal("attention", *words)
    assert not out.exists()
    bundle = pretrained.load(ast)
    swapped = bundle.compute_features.filters()
    swapped.centre_hz[[3, 4]] = swapped.centre_hz[[4, 3]]
    bundle.compute_features.filters = lambda: swapped
    with pytest.raises(ValueError, match="mel .*rise"):
        attention.attention_of_file(bundle, file)
