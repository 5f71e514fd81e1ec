"""Rooms: direct sound in its place, level kept, nothing in the padding."""

import pytest
import soundfile
import torch
from refusals import refused
from torchaudio.functional import fftconvolve

from auricle.processing.data.audio import AudioError
from auricle.processing.data.augmentation.reverberation import (
    GeneratedRooms,
    Reverberate,
    RirsFolder,
    align_direct_path,
    convolve_aligned,
)
from auricle.processing.data.rooms import convolve

RATE = 8000


class OneRoom:
    def __init__(self, response, lead_samples=0):
        self.response, self.lead_samples = torch.tensor(response), lead_samples

    def draw(self, batch, device=None):
        return self.response.expand(batch, -1)


def response_with_delay(delay, size=4000):
    generator = torch.Generator().manual_seed(delay)
    response = torch.zeros(size)
    tail = torch.randn(size - delay, generator=generator)
    response[delay:] = 0.1 * tail * torch.exp(-torch.arange(size - delay) / 500)
    response[delay] = 0.9
    return response


@pytest.fixture
def rirs(tmp_path):
    """Two simulated rooms, one measured in stereo, and recordings that are no rooms."""
    files = {
        "simulated_rirs/smallroom/Room001/Room001-00001.wav": response_with_delay(30),
        "simulated_rirs/largeroom/Room002/Room002-00001.wav": response_with_delay(300),
        "real_rirs_isotropic_noises/RWCP_type1_rir_e1.wav": torch.stack(
            [response_with_delay(100), -response_with_delay(100)], 1
        ),
    }
    others = {
        "real_rirs_isotropic_noises/RWCP_type1_noise_1.wav": torch.full((9000,), 0.1),
        "pointsource_noises/noise-free-sound-0001.wav": torch.full((9000,), 0.1),
    }
    for name, wav in {**files, **others}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wav.numpy(), RATE, subtype="FLOAT")
    (tmp_path / "simulated_rirs" / "README").write_text("text")
    return tmp_path


@pytest.mark.parametrize("lead", [0, 40])
@pytest.mark.parametrize("size, length", [(1000, 300), (1001, 997), (50, 2000)])
def test_convolution_equals_the_direct_one(size, length, lead):
    torch.manual_seed(0)
    wavs, responses = torch.randn(3, size), torch.randn(3, length)
    ours = convolve_aligned(wavs, responses, lead)
    theirs = fftconvolve(wavs.double(), responses.double())[:, lead : lead + size].float()
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    if not lead:
        numpys = torch.from_numpy(convolve(wavs[0].double().numpy(), responses[0].double().numpy()))
        torch.testing.assert_close(ours[0].double(), numpys, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("peak", [0, 3, 10, 99])
def test_the_direct_sound_is_moved_to_its_place(peak):
    response = torch.full((100,), 0.1)
    response[peak] = -1.0
    aligned = align_direct_path(response, 5, 200)
    assert aligned.shape == (205,) and int(aligned.abs().argmax()) == 5
    assert int((aligned != 0).sum()) == min(peak, 5) + 100 - peak


def test_speech_is_not_delayed(rirs):
    click = torch.zeros(8, 6000)
    click[:, 2000] = 1.0
    for source in (GeneratedRooms(RATE, num_rooms=8), RirsFolder(rirs, RATE)):
        assert (Reverberate(source)(click).abs().argmax(1) == 2000).all()


def test_level_over_the_valid_part_is_kept_and_padding_stays_zero():
    torch.manual_seed(0)
    lengths = torch.tensor([1.0, 0.6, 0.2])
    valid = torch.arange(5000) < (lengths * 5000)[:, None]
    wavs = torch.randn(3, 5000) * valid * torch.tensor([[1.0], [0.01], [3.0]])
    wet = Reverberate(GeneratedRooms(RATE, num_rooms=4))(wavs, lengths)
    torch.testing.assert_close(wet.square().sum(1), wavs.square().sum(1))
    assert not wet[~valid].any()
    assert (wet - wavs).abs().amax(1).gt(0).all()


def test_a_padded_item_sounds_as_it_does_alone():
    room = OneRoom(response_with_delay(0, 900).tolist())
    wav = torch.randn(1, 2000)
    padded = torch.nn.functional.pad(wav, (0, 3000))
    alone = Reverberate(room)(wav)
    batched = Reverberate(room)(padded, torch.tensor([0.4]))[:, :2000]
    torch.testing.assert_close(batched, alone, atol=1e-5, rtol=1e-5)


def test_a_room_of_the_direct_sound_alone_changes_nothing():
    wavs = torch.randn(2, 500)
    wet = Reverberate(OneRoom([0.0, 0.0, -0.3, 0.0], 2))(wavs)
    torch.testing.assert_close(wet, -wavs)


def test_silence_stays_silent():
    wavs = torch.randn(2, 500)
    wavs[1] = 0
    wet = Reverberate(GeneratedRooms(RATE, num_rooms=2))(wavs)
    assert wet.isfinite().all() and not wet[1].any() and wet[0].any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_is_kept(dtype):
    wavs = torch.randn(2, 500, dtype=dtype)
    wet = Reverberate(GeneratedRooms(RATE, num_rooms=2))(wavs)
    assert wet.dtype == dtype and wet.isfinite().all()


def test_only_active_items_change_and_the_batch_itself_does_not():
    wavs = torch.randn(4, 500)
    before = wavs.clone()
    active = torch.tensor([False, True, True, False])
    wet = Reverberate(GeneratedRooms(RATE, num_rooms=2))(wavs, None, active)
    assert torch.equal(wavs, before)
    assert ((wet != wavs).any(1) == active).all()


def test_generated_rooms_decay_and_differ():
    rooms = GeneratedRooms(RATE, num_rooms=64).draw(200)
    assert (rooms[:, 0] == 1).all()
    early, late = rooms[:, 16:800].square().sum(1), rooms[:, 4000:].square().sum(1)
    assert (late < 0.1 * early).all()
    assert 40 < len(rooms.unique(dim=0)) <= 64
    direct_db = -10 * rooms[:, 1:].square().sum(1).log10()
    assert -3.1 < direct_db.min() < 0 and 9 < direct_db.max() < 12.1


def test_rooms_follow_their_seed():
    torch.manual_seed(0)
    pools = [GeneratedRooms(RATE, num_rooms=3, seed=seed)._pool for seed in (1, 1, 2)]
    assert torch.equal(pools[0], pools[1]) and not torch.equal(pools[0], pools[2])


def test_noise_recordings_are_no_rooms_and_channels_are_not_mixed(rirs):
    source = RirsFolder(rirs, RATE)
    names = [path.name for path in source.files]
    assert names == ["RWCP_type1_rir_e1.wav", "Room002-00001.wav", "Room001-00001.wav"]
    stereo = source._read(source.files[0])
    assert float(stereo[source.lead_samples]) == pytest.approx(0.9)


def test_rooms_of_another_rate_are_converted(rirs):
    source = RirsFolder(rirs, 16000)
    for response in source.draw(6):
        assert int(response.abs().argmax()) == source.lead_samples == 80


def test_a_folder_that_is_not_rirs_noises_is_refused(rirs, tmp_path):
    refused("no such folder.*simulated_rirs/", RirsFolder, tmp_path / "nowhere", RATE)
    refused("no room responses below", RirsFolder, rirs / "pointsource_noises", RATE)


def test_a_broken_response_is_named(rirs):
    source = RirsFolder(rirs, RATE)
    source.files = source.files[:1]
    soundfile.write(source.files[0], torch.zeros(100).numpy(), RATE)
    refused("RWCP_type1_rir_e1.wav: is silent", source.draw, 1, error=AudioError)
    source.files[0].write_bytes(b"")
    refused("is empty", source.draw, 1, error=AudioError)
