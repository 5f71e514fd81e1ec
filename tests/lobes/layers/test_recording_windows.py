"""Recordings as clips of one length: every sample is heard, padding is not."""

import torch

from auricle.lobes import create_model
from auricle.lobes.layers.recording_windows import cut_recordings, mean_by_recording


def test_clips_cover_each_recording_and_nothing_of_its_padding():
    wavs = torch.arange(1.0, 41.0).view(2, 20)
    clips, lengths, items = cut_recordings(wavs, torch.tensor([0.55, 1.0]), 8)
    assert items.tolist() == [0, 0, 1, 1, 1, 1] and lengths.tolist() == [1.0] * 6
    assert clips[1].tolist() == list(range(4, 12))  # the last ends with the recording of 11
    assert set(clips[:2].flatten().tolist()) == set(range(1, 12))
    assert set(clips[2:].flatten().tolist()) == set(range(21, 41))


def test_a_short_recording_is_one_clip_whose_length_leaves_out_the_padding():
    clips, lengths, items = cut_recordings(torch.ones(1, 3), None, 8)
    assert clips.tolist() == [[1.0] * 3 + [0.0] * 5]
    assert lengths.tolist() == [0.375] and items.tolist() == [0]


def test_what_a_recording_gives_does_not_depend_on_its_batch():
    model = create_model("mel", "bcresnet", 3).eval()
    generator = torch.Generator().manual_seed(0)
    wavs = [0.1 * torch.randn(n, generator=generator) for n in (5000, 21000)]
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    lengths = torch.tensor([5000 / 21000, 1.0])

    def scores(wavs, lengths):
        clips, relative, items = cut_recordings(wavs, lengths, 8000)
        return mean_by_recording(model(clips, relative).exp(), items)

    with torch.no_grad():
        alone = torch.cat([scores(wav[None], None) for wav in wavs])
        torch.testing.assert_close(scores(padded, lengths), alone, rtol=0, atol=1e-6)
