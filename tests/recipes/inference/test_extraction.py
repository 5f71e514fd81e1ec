"""Embeddings of recordings: batching, crops and the folder change nothing but what they say."""

import weakref

import numpy as np
import pytest
import soundfile
import torch
from random_bundle import random_bundle
from refusals import refused

from auricle.lobes import bundles
from auricle.recipes.inference.extraction import crops_of, extract, folder_reader


class Moments(torch.nn.Module):
    """An exact, padding-blind embedding that remembers how it was called."""

    sample_rate = 1000

    def __init__(self):
        super().__init__()
        self.shapes, self.modes = [], []

    def embed(self, wavs, lengths):
        self.shapes.append(tuple(wavs.shape))
        self.modes.append((self.training, torch.is_inference_mode_enabled()))
        sizes = (lengths * wavs.shape[1]).round().long()
        rows = [
            torch.stack([row[:n].mean(), row[:n].square().mean(), row[0], row[n - 1]])
            for row, n in zip(wavs, sizes.tolist(), strict=True)
        ]
        return torch.stack(rows)[:, None]


def moments(wav):
    wav = wav.double()
    return torch.stack([wav.mean(), wav.square().mean(), wav[0], wav[-1]]).numpy()


@pytest.fixture
def waves():
    generator = torch.Generator().manual_seed(0)
    sizes = [700, 90, 1500, 91, 700, 5200, 320, 2]
    return {f"s{k}/v/0000{k}.wav": torch.randn(n, generator=generator) for k, n in enumerate(sizes)}


@pytest.mark.parametrize("batch_s", [0.001, 0.8, 2.0, 100.0])
def test_every_recording_is_embedded_once_in_the_order_asked_for(waves, batch_s):
    model, read = Moments().train(), []
    found = extract(
        model, list(waves), lambda name: read.append(name) or waves[name], batch_s=batch_s
    )
    assert found.names == tuple(waves) == tuple(read)
    expected = np.stack([moments(wav) for wav in waves.values()])
    np.testing.assert_allclose(found.vectors, expected, rtol=2e-6, atol=1e-6)
    assert found.vectors.dtype == np.float32
    assert set(model.modes) == {(False, True)} and model.training
    for rows, samples in model.shapes:
        assert rows == 1 or rows * samples <= 1000 * batch_s


def test_recordings_of_similar_length_share_a_batch(waves):
    model = Moments()
    extract(model, list(waves), waves.__getitem__, batch_s=2.2)
    padded = sum(rows * samples for rows, samples in model.shapes)
    assert len(model.shapes) < len(waves)
    assert padded < 1.2 * sum(len(wav) for wav in waves.values())


def test_the_audio_held_at_once_is_bounded():
    """Each waveform is let go of once its batch is done: 200 are read, few are alive."""
    alive, most = weakref.WeakSet(), 0

    def read(name):
        nonlocal most
        wav = torch.randn(100)
        alive.add(wav)
        most = max(most, len(alive))
        return wav

    extract(Moments(), [str(k) for k in range(200)], read, batch_s=0.3)
    assert most <= 8 * 3 + 2


def test_crops_are_averaged_as_unit_vectors(waves):
    found = extract(Moments(), list(waves), waves.__getitem__, crops=3, crop_s=0.3, batch_s=1.0)
    for row, wav in zip(found.vectors, waves.values(), strict=True):
        pieces = [wav]
        if len(wav) > 300:
            room = len(wav) - 300
            pieces = [wav[round(at) : round(at) + 300] for at in (0, room / 2, room)]
        units = [moments(piece) / np.linalg.norm(moments(piece)) for piece in pieces]
        np.testing.assert_allclose(row, np.mean(units, axis=0), rtol=1e-5, atol=1e-6)


def test_crops_cover_the_recording_from_end_to_end_and_are_never_wrapped():
    wav = torch.arange(1000)
    crops = crops_of(wav, 5, 300)
    assert [int(crop[0]) for crop in crops] == [0, 175, 350, 525, 700]
    assert int(crops[-1][-1]) == 999 and {len(crop) for crop in crops} == {300}
    (middle,) = crops_of(wav, 1, 300)
    assert middle.tolist() == list(range(350, 650))
    for count in (0, 1, 5):
        assert [crop.tolist() for crop in crops_of(wav[:300], count, 300)] == [list(range(300))]
        assert [crop.tolist() for crop in crops_of(wav[:40], count, 300)] == [list(range(40))]


def bundle(folder):
    return bundles.load(random_bundle(folder, encoder="bcresnet", clip_s=None, in_frames=101))


def test_a_real_bundle_batched_is_the_bundle_one_by_one(tmp_path):
    model = bundle(tmp_path)
    sizes = (16000, 9000, 30000, 12345)
    waves = {
        str(n): 0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in sizes
    }
    together = extract(model, list(waves), waves.__getitem__)
    again = extract(model, list(waves), waves.__getitem__)
    assert np.array_equal(together.vectors, again.vectors)
    with torch.no_grad():
        alone = torch.cat([model.embed(wav[None])[:, 0] for wav in waves.values()]).numpy()
    assert np.abs(together.vectors - alone).max() < 1e-4 * np.abs(alone).max()
    refused("x .*399 .*400", extract, model, ["x"], lambda name: torch.randn(399))


@pytest.mark.parametrize(
    ("wav", "said"),
    [
        (torch.zeros(500), "spk/bad.wav.*500.* 0"),
        (torch.full((500,), 0.25), "spk/bad.wav.*500.* 0.25"),
        (torch.zeros(0), "spk/bad.wav is too short"),
        (torch.tensor([0.0, float("nan"), 1.0]), "spk/bad.wav holds NaN"),
        (torch.randn(1, 500), r"spk/bad.wav.*\(1, 500\)"),
        (np.ones(5), "must be a tensor"),
    ],
)
def test_a_bad_waveform_is_named(wav, said):
    refused(said, extract, Moments(), ["spk/bad.wav"], lambda name: wav)


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        ([], {}, "no recording"),
        (["a", "b", "a"], {}, "'a'.*twice"),
        (["a"], {"crops": -1}, "crops is -1"),
        (["a"], {"crops": 2.0}, "crops is 2.0"),
        (["a"], {"crops": 1, "crop_s": 0}, "crop_s is 0"),
        (["a"], {"batch_s": float("nan")}, "batch_s is nan"),
    ],
)
def test_options_out_of_range_are_refused(names, options, said):
    refused(said, extract, Moments(), names, lambda name: torch.randn(9), **options)


def test_a_model_that_gives_frames_is_refused():
    class Frames:
        sample_rate = 1000

        def embed(self, wavs, lengths):
            return torch.zeros(len(wavs), 7, 3)

    with pytest.raises(ValueError, match=r"spk/a.wav.*\(1, 7, 3\).*'utterance'"):
        extract(Frames(), ["spk/a.wav"], lambda name: torch.randn(9))


# -- folders -----------------------------------------------------------------------------------------


def write(path, value, rate=8000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((rate, channels), value), rate)


def test_a_folder_is_read_by_the_names_of_the_list(tmp_path):
    write(tmp_path / "id1/a/00001.wav", 0.25)
    write(tmp_path / "wav/id2/a/00001.wav", 0.5)
    write(tmp_path / "wav/id3/a/00001.flac", 0.75, rate=16000, channels=2)
    write(tmp_path / "id1/b.c/00001.flac", -0.25)
    read = folder_reader(tmp_path, 8000)
    for name, value in (
        ("id1/a/00001.wav", 0.25),
        ("id2/a/00001.wav", 0.5),
        ("id3/a/00001.wav", 0.75),
        ("id1/b.c/00001.wav", -0.25),
    ):
        wav = read(name)
        assert wav.shape == (8000,) and float(wav[4000]) == pytest.approx(value, abs=2e-3)


def test_a_dot_in_a_name_is_no_suffix(tmp_path):
    for name, value in (("talk", 0.25), ("talk.1", 0.5), ("talk.2", 0.75)):
        write(tmp_path / f"{name}.wav", value)
    read = folder_reader(tmp_path, 8000)
    for name, value in (("talk.1", 0.5), ("talk.2.flac", 0.75), ("talk", 0.25)):
        assert float(read(name)[4000]) == pytest.approx(value, abs=2e-3)
    refused("recording 'talk.3' is neither", read, "talk.3")


@pytest.mark.parametrize("name", ["id1/a/00002.wav", "id9/a/00001.wav", "00001.wav"])
def test_an_unknown_recording_is_named(tmp_path, name):
    write(tmp_path / "id1/a/00001.wav", 0.25)
    refused(f"recording '{name}' is neither in .*wav", folder_reader(tmp_path, 8000), name)


def test_names_stay_inside_the_folder_and_the_folder_must_be_there(tmp_path):
    write(tmp_path / "secret.wav", 0.25)
    (tmp_path / "data").mkdir()
    for name in ("../secret.wav", str(tmp_path / "secret.wav")):
        refused("no path inside", folder_reader(tmp_path / "data", 8000), name)
    refused("missing is no folder", folder_reader, tmp_path / "missing", 8000)
