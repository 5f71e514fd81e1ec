"""Noise: where it comes from, how loud it is, and what is left alone."""

import pytest
import soundfile
import torch
from refusals import refused

from auricle.processing.data.audio import AudioError
from auricle.processing.data.augmentation.additive_noise import AddNoise
from auricle.processing.data.augmentation.noise_sources import KINDS, GeneratedNoise, MusanNoise

RATE = 8000


class Constant:
    """A source with a known waveform and SNR."""

    def __init__(self, snr_db, level=1.0):
        self.snr_db, self.level = snr_db, level

    def draw(self, batch, size, device=None):
        return self.level * torch.randn(batch, size), torch.full((batch,), float(self.snr_db))


def of_kind(kind, batch):
    return torch.full((batch,), KINDS.index(kind))


@pytest.fixture
def musan(tmp_path):
    """Noise is 0.1 and up, music 0.3, speech 0.5; every sample of noise says where it was."""
    files = {
        "noise/free-sound/a.wav": 0.1 + torch.arange(4000) / 2**15,
        "noise/sound-bible/short.wav": torch.arange(500) / 2**15 + 0.05,
        "music/fma/b.flac": torch.full((4000,), 0.25),
        "speech/us-gov/c.wav": torch.full((4000,), 0.5),
        "speech/librivox/d.wav": torch.full((4000,), -0.5),
    }
    for name, wav in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wav.numpy(), RATE, subtype="PCM_16")
    (tmp_path / "noise" / "README").write_text("text")
    (tmp_path / "noise" / "._a.wav").write_text("left behind by an archiver")
    return tmp_path


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 15.0])
def test_the_snr_over_the_valid_part_is_the_one_asked_for(snr_db):
    torch.manual_seed(0)
    lengths = torch.tensor([1.0, 0.5, 0.25])
    wavs = torch.randn(3, 4000) * torch.tensor([[1.0], [0.1], [1e-3]])
    valid = torch.arange(4000) < (lengths * 4000)[:, None]
    wavs = wavs * valid
    noisy = AddNoise(Constant(snr_db, level=7.0))(wavs, lengths)
    added = noisy - wavs
    ratio = wavs.square().sum(1) / added.square().sum(1)
    torch.testing.assert_close(10 * ratio.log10(), torch.full((3,), snr_db), atol=1e-2, rtol=0)
    assert not added[~valid].any(), "padding stays zero"


def test_silent_clips_and_silent_noise_change_nothing():
    wavs = torch.randn(2, 1000)
    wavs[0] = 0
    assert torch.equal(AddNoise(Constant(0))(wavs)[0], wavs[0])
    assert torch.equal(AddNoise(Constant(0, level=0.0))(wavs), wavs)


def test_only_active_items_change_and_the_batch_itself_does_not():
    wavs = torch.randn(4, 1000)
    before = wavs.clone()
    active = torch.tensor([True, False, True, False])
    noisy = AddNoise(Constant(0))(wavs, None, active)
    assert torch.equal(wavs, before)
    assert ((noisy != wavs).any(1) == active).all()


def test_probability_is_the_share_of_items_with_noise():
    torch.manual_seed(0)
    wavs = torch.ones(3000, 8)
    for probability in (0.0, 0.3, 1.0):
        changed = (AddNoise(Constant(0), probability)(wavs) != wavs).any(1).float().mean()
        assert abs(float(changed) - probability) < 0.035


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_is_kept(dtype):
    noisy = AddNoise(GeneratedNoise(RATE))(torch.randn(2, 500, dtype=dtype))
    assert noisy.dtype == dtype and noisy.isfinite().all()


@pytest.mark.parametrize("kind, low, high", [("noise", 0, 15), ("music", 5, 15)])
def test_snr_is_uniform_in_the_range_of_its_kind(kind, low, high):
    torch.manual_seed(0)
    _, snr_db = GeneratedNoise(RATE).draw(2000, 4, kinds=of_kind(kind, 2000))
    assert low <= snr_db.min() < low + 0.1 and high - 0.1 < snr_db.max() <= high
    assert abs(float(snr_db.mean()) - (low + high) / 2) < 0.4


def test_a_babble_is_3_to_7_talkers_each_13_to_20_db_below():
    torch.manual_seed(0)
    _, snr_db = GeneratedNoise(RATE).draw(2000, 16, kinds=of_kind("babble", 2000))
    together_db = 10 * torch.tensor([7.0, 3.0]).log10()
    assert abs(float(snr_db.min()) - float(13 - together_db[0])) < 0.4
    assert abs(float(snr_db.max()) - float(20 - together_db[1])) < 0.4


@pytest.mark.slow
def test_every_kind_is_drawn_equally_often(musan):
    torch.manual_seed(0)
    noise, _ = MusanNoise(musan, RATE).draw(900, 4)
    music = (noise == 0.25).all(1).float().mean()
    # A babble of voices of power one is a whole number: (talkers at 0.5) - (talkers at -0.5).
    babble = ((noise - noise.round()).abs() < 1e-4).all(1).float().mean()
    assert abs(float(music) - 1 / 3) < 0.06 and abs(float(babble) - 1 / 3) < 0.06


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 100, 7919])
def test_generated_noise_is_finite_and_differs_between_items(kind, size):
    torch.manual_seed(0)
    noise, _ = GeneratedNoise(16000).draw(4, size, kinds=of_kind(kind, 4))
    assert noise.shape == (4, size) and noise.isfinite().all()
    if size > 1:
        assert (noise.square().mean(1) > 1e-6).all()
        assert not torch.equal(noise[0], noise[1])


def test_generated_noise_is_what_its_kind_says():
    """Per kind: music is lines, babble has syllables, noise has neither; and none is rumble."""
    torch.manual_seed(0)
    lines, swing = {}, {}
    for kind in KINDS:
        noise, _ = GeneratedNoise(16000).draw(16, 32000, kinds=of_kind(kind, 16))
        power = torch.fft.rfft(noise).abs().square()
        assert (power[:, :40].sum(1) < 0.02 * power.sum(1)).all(), "below 20 Hz"
        share = power.sort(1, descending=True).values.cumsum(1) / power.sum(1, keepdim=True)
        lines[kind] = float((share < 0.5).sum(1).float().median())
        level = noise.unflatten(1, (-1, 800)).square().mean(2).sqrt()
        swing[kind] = float((level.std(1) / level.mean(1)).median())
    assert lines["music"] < 100 < lines["noise"]
    assert swing["babble"] > 2 * swing["noise"]


def test_half_of_the_noises_hum():
    torch.manual_seed(0)
    noise, _ = GeneratedNoise(RATE).draw(200, 2 * RATE, kinds=of_kind("noise", 200))
    power = torch.fft.rfft(noise).abs().square()
    for harmonic in (1, 3):
        lines = torch.stack([power[:, harmonic * 100], power[:, harmonic * 120]])  # 50, 60 Hz
        neighbours = power[:, harmonic * 103 : harmonic * 117].mean(1)
        seen = (lines > 12 * neighbours).float().mean(1)
        # Half of the items, half of those at 50 Hz; some hum too softly to be seen.
        assert (0.1 < seen).all() and (seen < 0.35).all(), harmonic


@pytest.mark.slow
def test_stretches_of_musan_lie_inside_a_recording(musan):
    torch.manual_seed(0)
    noise, _ = MusanNoise(musan, RATE).draw(300, 400, kinds=of_kind("noise", 300))
    steps = (noise[:, 1:] - noise[:, :-1]) * 2**15
    torch.testing.assert_close(steps, torch.ones_like(steps), atol=0.02, rtol=0)
    places = (noise[:, 0] - 0.1) * 2**15
    long = places[places > -100]
    assert long.min() < 100 and long.max() > 3500, "anywhere in the recording"


def test_a_short_recording_is_repeated_from_a_random_place(musan):
    torch.manual_seed(0)
    noise, _ = MusanNoise(musan, RATE).draw(60, 1200, kinds=of_kind("noise", 60))
    short = noise[(noise.amax(1) < 0.1)]
    assert 10 < len(short) < 50
    torch.testing.assert_close(short[:, :700], short[:, 500:])
    assert len(short[:, 0].unique()) > 5


def test_only_the_part_needed_is_read(musan, monkeypatch):
    read = []
    load = soundfile.SoundFile.read

    def watch(self, frames=-1, *args, **kwargs):
        read.append(frames)
        return load(self, frames, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", watch)
    MusanNoise(musan, RATE).draw(4, 100, kinds=of_kind("music", 4))
    assert read == [100] * 4


def test_musan_of_another_rate_is_converted(musan):
    noise, _ = MusanNoise(musan, 16000).draw(3, 1000, kinds=of_kind("music", 3))
    assert noise.shape == (3, 1000)
    torch.testing.assert_close(noise[:, 300:700], torch.full((3, 400), 0.25), atol=5e-3, rtol=0)


def test_a_folder_that_is_not_musan_is_refused_with_what_is_expected(musan, tmp_path):
    refused("nowhere.*noise/, speech/ and music/", MusanNoise, tmp_path / "nowhere", RATE)
    (tmp_path / "empty").mkdir()
    refused("below noise/, speech/, music/", MusanNoise, tmp_path / "empty", RATE)
    (musan / "music" / "fma" / "b.flac").unlink()
    refused("below music/", MusanNoise, musan, RATE)


def test_a_broken_recording_is_named(musan):
    (musan / "music" / "fma" / "b.flac").write_bytes(b"")
    with pytest.raises(AudioError, match="b.flac: is empty"):
        MusanNoise(musan, RATE).draw(2, 100, kinds=of_kind("music", 2))


@pytest.mark.parametrize("generated", [True, False])
def test_a_seed_repeats_the_noise(generated, musan):
    source = GeneratedNoise(RATE) if generated else MusanNoise(musan, RATE)
    wavs = torch.randn(6, 800)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(AddNoise(source, 0.9)(wavs))
    assert torch.equal(outs[0], outs[1]) and not torch.equal(outs[0], outs[2])
