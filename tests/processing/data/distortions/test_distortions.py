"""Distortions: the strength asked for is there, nothing is delayed, all can be repeated."""

import numpy as np
import pytest
import soundfile
from refusals import refused

from auricle.processing.data.distortions import codecs
from auricle.processing.data.distortions.acoustics import (
    active_speech_rms,
    add_noise,
    babble,
    reverberate,
)
from auricle.processing.data.distortions.conditions import (
    CONDITIONS,
    GROUPS,
    choose,
    distort,
    generator_of,
)
from auricle.processing.data.distortions.transmission import (
    change_speed,
    clip_loudest,
    mu_law_8bit,
    resample,
    telephone_band,
    telephone_mu_law,
)
from auricle.processing.data.generated_music import generated_music, stretch
from auricle.processing.data.musan import Musan

RATE = 16000


def tone(hz, seconds=1.0, rate=RATE, amplitude=0.4):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def speech_like(seconds=2.0, rate=RATE, seed=0):
    """Voiced bursts with gliding pitch and pauses, over a noise floor 60 dB down."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.3 * time_s)) / rate
    voice = sum(np.sin(k * phase + k) / k for k in range(1, 25))
    syllables = np.maximum(0, np.sin(2 * np.pi * 2 * time_s)) ** 0.5
    return 0.15 * voice * syllables + 1e-4 * rng.standard_normal(len(time_s))


def phase_lag_samples(before, after, hz, rate=RATE):
    """By how many samples a tone is late, read from its phase, away from the ends."""
    middle = slice(rate // 4, len(before) - rate // 4)
    carrier = np.exp(-2j * np.pi * hz * np.arange(len(before)) / rate)[middle]
    turn = np.angle((after[middle] * carrier).sum() / (before[middle] * carrier).sum())
    return -turn / (2 * np.pi) * rate / hz


def level_db(after, before):
    middle = slice(len(before) // 4, -len(before) // 4)
    return 10 * np.log10(np.sum(after[middle] ** 2) / np.sum(before[middle] ** 2))


# Levels and noise


def test_pauses_do_not_change_the_speech_level():
    burst = tone(300)
    padded = np.concatenate([np.zeros(20000), burst, 1e-4 * np.ones(30000)])
    assert active_speech_rms(burst, RATE) == pytest.approx(0.4 / np.sqrt(2), rel=1e-3)
    assert active_speech_rms(padded, RATE) == pytest.approx(0.4 / np.sqrt(2), rel=0.02)
    assert np.sqrt(np.mean(padded**2)) < 0.2  # the plain RMS does


def test_the_margin_of_the_level_is_that_of_p56():
    def level(second_db):
        return active_speech_rms(
            np.concatenate([tone(300), 10 ** (second_db / 20) * tone(300)]), RATE
        )

    loud = level(-100)
    # 15.9 dB below the mean of both halves is 18.7 dB below the louder one
    assert level(-18.0) == pytest.approx(loud * np.sqrt((1 + 10**-1.8) / 2), rel=1e-3)
    assert level(-19.5) == pytest.approx(loud, rel=1e-3)


@pytest.mark.parametrize("snr_db", [20, 10, 5, 0, -5])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_ratio_measured_is_the_ratio_asked(snr_db, rate):
    speech = speech_like(rate=rate)
    noise = 7.0 * np.random.default_rng(1).standard_normal(len(speech))
    noisy = add_noise(speech, noise, snr_db, rate).astype(np.float64)
    measured = 20 * np.log10(active_speech_rms(speech, rate) / np.std(noisy - speech))
    assert measured == pytest.approx(snr_db, abs=0.1)
    assert np.corrcoef(noisy - speech, noise)[0, 1] > 0.999


def test_noise_needs_a_level_on_both_sides():
    refused("silence: it has no speech level", add_noise, np.zeros(1000), np.ones(1000), 10, RATE)
    refused("noise is silence", add_noise, tone(300), np.zeros(RATE), 10, RATE)
    refused("1000 samples, the waveform 16000", add_noise, tone(300), np.ones(1000), 10, RATE)


def test_a_stretch_comes_from_anywhere_and_goes_round():
    rng = np.random.default_rng(0)
    first = [stretch(np.arange(10.0), 25, rng) for _ in range(200)]
    assert {int(found[0]) for found in first} == set(range(10))
    assert all(((np.diff(found) - 1) % 10 == 0).all() for found in first)


def test_talkers_are_equally_loud_in_babble():
    voices = [speech_like(seed=seed) * gain for seed, gain in ((1, 1.0), (2, 0.01))]
    together = babble(voices, 3000, RATE, np.random.default_rng(5))
    again = np.random.default_rng(5)
    alone = [stretch(v, 3000, again) / active_speech_rms(v, RATE) for v in voices]
    np.testing.assert_allclose(together, sum(alone), rtol=1e-12)
    refused("at least one talker", babble, [], 100, RATE, again)


@pytest.mark.slow
def test_music_is_tonal_and_differs_between_pieces_and_seeds():
    def music(draw, seed=0):
        return generated_music(3 * RATE, RATE, np.random.default_rng(draw), seed)

    power = np.abs(np.fft.rfft(music(1) * np.hanning(3 * RATE))) ** 2
    strongest = np.sort(power)[-len(power) // 50 :].sum() / power.sum()
    assert strongest > 0.8, "a fiftieth of the bins holds most of the power; of white noise 0.1"
    assert not np.array_equal(music(1), music(2))
    assert not np.array_equal(music(1), music(1, seed=1))
    assert np.array_equal(music(1), music(1))


def test_musan_is_read_by_kind_and_looped(tmp_path):
    for number, kind in enumerate(Musan.KINDS):
        (tmp_path / kind / "part").mkdir(parents=True)
        value = 0.1 * (number + 1)
        soundfile.write(tmp_path / kind / "part" / "a.wav", np.full(900, value), RATE)
    musan = Musan(tmp_path)
    for kind, value in zip(Musan.KINDS, (0.1, 0.2, 0.3), strict=True):
        for size in (100, 2000):
            sound = musan.draw(kind, size, RATE, np.random.default_rng(0))
            np.testing.assert_allclose(sound, np.full(size, value), atol=1e-4)
    assert musan.draw("noise", 800, 8000, np.random.default_rng(0)).shape == (800,)


def test_a_musan_without_audio_is_refused(tmp_path):
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "README").write_text("nothing")
    refused("noise/, speech/, music/", Musan, tmp_path)


# Rooms and telephones


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("wanted_s", [0.3, 0.6, 1.0])
def test_the_reverberation_time_is_the_one_asked_for(wanted_s, rate):
    click = np.zeros(2 * rate)
    click[0] = 1
    response = reverberate(click, rate, np.random.default_rng(3), wanted_s).astype(np.float64)
    # Schroeder: the energy still to come, as a straight line in dB from -5 to -35 dB
    decay_db = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2) + 1e-12)
    falls = (decay_db <= -5) & (decay_db >= -35)
    slope = np.polyfit(np.flatnonzero(falls) / rate, decay_db[falls], 1)[0]
    assert -60 / slope == pytest.approx(wanted_s, rel=0.15)
    assert response.argmax() == 0, "the direct sound is not delayed"
    direct = response[0] ** 2 / np.sum(response[1:] ** 2)
    assert 10 * np.log10(direct) == pytest.approx(0, abs=0.1)


def test_a_room_keeps_the_level_and_depends_on_the_generator():
    speech = speech_like()
    rooms = [reverberate(speech, RATE, np.random.default_rng(seed), 0.6) for seed in (0, 0, 1)]
    assert np.sum(rooms[0].astype(float) ** 2) == pytest.approx(np.sum(speech**2), rel=1e-5)
    assert np.array_equal(rooms[0], rooms[1]) and not np.array_equal(rooms[0], rooms[2])


@pytest.mark.parametrize("hz", [300, 1000, 3400])
@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_the_telephone_band_is_flat_and_not_delayed(hz, rate):
    before = tone(hz, rate=rate)
    after = telephone_band(before, rate)
    assert abs(level_db(after, before)) < 0.1
    assert abs(phase_lag_samples(before, after, hz, rate)) < 0.01


@pytest.mark.parametrize("hz", [50, 100, 3700, 5000])
def test_nothing_is_left_outside_the_telephone_band(hz):
    before = tone(hz)
    assert level_db(telephone_band(before, RATE), before) < -50


def test_the_error_of_mu_law_is_within_half_a_step():
    samples = np.concatenate([np.linspace(-1, 1, 20001), np.logspace(-6, 0, 2000)])
    coded = mu_law_8bit(samples).astype(np.float64)
    bound = (256 ** (1 / 255) - 1) * (np.abs(samples) + 1 / 255)
    error = np.abs(coded - samples)
    assert (error <= bound * (1 + 1e-5) + 1e-7).all()  # and float32
    assert error.max() > 0.4 * bound.max(), "eight bits, and not more"
    assert len(np.unique(coded)) <= 256
    assert np.abs(mu_law_8bit([3.0, -3.0])).max() == 1.0


def test_mu_law_telephone_leaves_nothing_above_four_kilohertz():
    kept, lost = tone(1000), tone(5000)
    after = telephone_mu_law(kept, RATE)
    assert abs(phase_lag_samples(kept, after, 1000)) < 0.05 and abs(level_db(after, kept)) < 0.1
    assert level_db(telephone_mu_law(lost, RATE), lost) < -40


# Clipping and speed


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.999])
def test_the_share_of_clipped_samples_is_the_one_asked_for(share):
    sound = np.random.default_rng(0).standard_normal(10000)
    clipped = clip_loudest(sound, share)
    at_limit = np.abs(clipped) == np.abs(clipped).max()
    assert at_limit.mean() == pytest.approx(share, abs=1e-4)
    assert np.array_equal(clipped[~at_limit], sound[~at_limit].astype(np.float32))
    assert np.array_equal(np.sign(clipped), np.sign(sound))


def test_no_clipping_and_impossible_clipping():
    sound = np.array([0.5, -1.0, 0.25])
    assert np.array_equal(clip_loudest(sound, 0.0), sound.astype(np.float32))
    for share in (1.0, -0.1, float("nan")):
        refused("share is", clip_loudest, sound, share)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_multiplies_frequencies_and_divides_the_length(factor):
    before = tone(1000)
    after = change_speed(before, factor)
    assert len(after) == int(np.ceil(RATE / factor))
    spectrum = np.abs(np.fft.rfft(after * np.hanning(len(after)), 8 * RATE))
    assert spectrum.argmax() / 8 == pytest.approx(1000 * factor, abs=0.25)
    assert np.std(after) == pytest.approx(np.std(before), rel=0.01)


def test_speeds_out_of_range_are_refused():
    for factor in (0.0, -1.0, 100.0, float("nan")):
        refused("factor is", change_speed, tone(300), factor)


def test_resampling_there_and_back_keeps_a_tone():
    before = tone(3000)
    after = resample(resample(before, RATE, 24000), 24000, RATE)
    assert np.abs(after - before)[2000:-2000].max() < 1e-3


# Codecs: the installed libsndfile has all three, or the tests say so by failing

CODINGS = [
    ("mp3", 64, 20),
    ("mp3", 32, 15),  # below about 40 kbit/s the stream says nothing of its delay: 1105 samples
    ("mp3", 16, 8),
    ("opus", 24, 8),
    ("opus", 12, 4),
    ("opus", 6, 2),
    ("vorbis", 0.5, 15),
    ("vorbis", 0.0, 8),
]


@pytest.mark.parametrize(("codec", "setting", "least_snr_db"), CODINGS)
def test_coded_speech_is_in_place_and_near(codec, setting, least_snr_db):
    speech = speech_like()
    coded = codecs.code(speech, RATE, codec, setting)
    assert coded.shape == speech.shape and coded.dtype == np.float32
    snr_db = 10 * np.log10(np.sum(speech**2) / np.sum((coded - speech) ** 2))
    assert least_snr_db < snr_db < 60, "lossy, but the same speech at the same place"
    before = tone(440)
    after = codecs.code(before, RATE, codec, setting)
    assert abs(phase_lag_samples(before, after, 440)) < 0.5


@pytest.mark.parametrize(("codec", "setting"), [("mp3", 24), ("opus", 16), ("vorbis", 0.2)])
@pytest.mark.parametrize("rate", [8000, 22050])
def test_codecs_at_other_rates(codec, setting, rate):
    before = tone(440, rate=rate)
    after = codecs.code(before, rate, codec, setting)
    assert after.shape == before.shape
    assert abs(phase_lag_samples(before, after, 440, rate)) < 1.5
    assert abs(level_db(after, before)) < 1


@pytest.mark.parametrize(
    ("codec", "setting"), [("mp3", 64), ("mp3", 16), ("opus", 24), ("opus", 12)]
)
def test_the_bit_rate_is_about_the_one_asked_for(codec, setting):
    noisy = speech_like(4.0) + 0.01 * np.random.default_rng(0).standard_normal(4 * RATE)
    kbit_s = len(codecs.encode(noisy, RATE, codec, setting)) * 8 / 4 / 1000
    assert 0.9 * setting < kbit_s < 1.45 * setting


def test_a_better_setting_is_nearer():
    speech = speech_like()
    for codec, settings in (("mp3", (16, 64)), ("opus", (6, 48)), ("vorbis", (0.0, 0.8))):
        errors = [np.sum((codecs.code(speech, RATE, codec, s) - speech) ** 2) for s in settings]
        assert errors[1] < 0.7 * errors[0], codec


def test_one_sample_can_be_coded():
    for codec, setting in (("mp3", 32), ("opus", 12), ("vorbis", 0.5)):
        assert codecs.code([0.5], RATE, codec, setting).shape == (1,)


def test_settings_and_codecs_that_there_are_not():
    refused("kbit/s from 8 .* to 160, got 320", codecs.code, tone(300), RATE, "mp3", 320)
    refused("quality from 0 to 1, got 5", codecs.code, tone(300), RATE, "vorbis", 5)
    refused("'mp3', 'opus', 'vorbis'.*'aac'", codecs.code, tone(300), RATE, "aac", 32)


def test_a_missing_encoder_is_named(monkeypatch):
    assert [codecs.missing_encoder(codec) for codec in codecs.CODECS] == [None] * 3
    monkeypatch.setattr(soundfile, "available_subtypes", lambda _: {"VORBIS": "Vorbis"})
    assert codecs.missing_encoder("vorbis") is None
    reason = f"libsndfile {soundfile.__libsndfile_version__} has no encoder for Opus"
    assert codecs.missing_encoder("opus") == reason
    missing = {"error": codecs.MissingEncoder}
    refused("no encoder for Opus", codecs.code, tone(300), RATE, "opus", 24, **missing)
    assert [c.missing() for c in CONDITIONS if c.kind == "opus"] == [reason] * 3
    assert not any(c.missing() for c in CONDITIONS if c.kind == "vorbis")


# Conditions


def test_every_condition_gives_the_same_again_and_changes_something():
    speech = speech_like(0.5).astype(np.float32)
    voices = [speech_like(1.0, seed=seed) for seed in range(3)]

    def background(num_samples, generator):
        return babble(voices, num_samples, RATE, generator)

    names = [condition.name for condition in CONDITIONS]
    assert len(set(names)) == len(names) and names[0] == "clean"
    for condition in CONDITIONS:
        noise = background if condition.kind in ("babble", "music") else None

        def once(name, condition=condition, noise=noise):
            drawn = generator_of(condition, name, 0)
            return distort(speech, RATE, condition, drawn, noise)

        found = once("a/1.wav")
        assert found.dtype == np.float32 and np.isfinite(found).all(), condition
        assert np.array_equal(found, once("a/1.wav")), condition
        assert condition.group == "speed" or found.shape == speech.shape, condition
        assert np.array_equal(found, speech) == (condition.name == "clean"), condition
        random = condition.group in ("noise", "reverberation")
        assert np.array_equal(found, once("a/2.wav")) != random, condition
    assert np.array_equal(speech, speech_like(0.5).astype(np.float32)), "the input is left alone"


def test_a_noise_is_the_same_at_every_level():
    speech = speech_like(0.5)
    white = choose(["white"])[1:]
    added = [
        distort(speech, RATE, c, generator_of(c, "a", 0)).astype(np.float64) - speech for c in white
    ]
    np.testing.assert_allclose(added[3], 10 * added[0], atol=1e-5)
    other = distort(speech, RATE, white[0], generator_of(white[0], "a", 1)) - speech
    assert abs(np.corrcoef(added[0], other)[0, 1]) < 0.1


def test_conditions_are_chosen_by_group_or_kind():
    assert choose() == CONDITIONS and choose(GROUPS) == CONDITIONS
    assert {c.kind for c in choose(["noise"])} == {"clean", "white", "babble", "music"}
    assert [c.name for c in choose(["opus", "clean"])] == [
        "clean",
        "opus 24 kbit/s",
        "opus 12 kbit/s",
        "opus 6 kbit/s",
    ]
    refused("unknown conditions rain: there are the groups clean, ", choose, ["noise", "rain"])
    refused("none given", choose, [])


def test_noise_without_its_sound_is_refused():
    condition = choose(["babble"])[1]
    drawn = generator_of(condition, "a", 0)
    refused("babble needs a background", distort, tone(300), RATE, condition, drawn)


@pytest.mark.parametrize("bad", [np.zeros((2, 100)), np.zeros(0), np.array([0.1, np.nan])])
def test_what_is_no_waveform_is_refused(bad):
    for call in (
        lambda: telephone_band(bad, RATE),
        lambda: clip_loudest(bad, 0.1),
        lambda: change_speed(bad, 0.9),
        lambda: codecs.code(bad, RATE, "vorbis", 0.5),
        lambda: reverberate(bad, RATE, np.random.default_rng(0), 0.3),
    ):
        refused("the waveform", call)
