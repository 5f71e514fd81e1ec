"""A model on a stream gives what the offline model gives on the whole signal."""

import pytest
import torch

from auricle.lobes import build_frontend, create_model
from auricle.lobes.export import Stream
from auricle.lobes.export.frame_stream import FrameStream, whole_clip_reason
from auricle.lobes.export.stream import WindowModel, recorded
from auricle.lobes.registry import FRONTENDS

WINDOW_S = 0.3
#: What has a state, what is mirrored at the ends, what starts at its sample, what has no window.
FRAMED = {
    "leaf": {},
    "pcen_mel": {},
    "mel": {"convention": "nnaudio"},
    "mfcc": {"log": "mel", "deltas": 2, "mel": {"convention": "kaldi"}},
    "waveform": {},
}
#: Frontends that look at whole clips as they come, and at what.
WHOLE = {
    "efficientleaf": "a median",
    "fastaudio": "a mean",
    "mfcc": "the clip's maximum",
    "sinc_conv": "a normalisation",
    "spectrogram_image": "the clip's range",
    "wav2vec_conv": "a normalisation",
}


def signal(num_samples, seed=0):
    wav = torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))
    return 0.2 * wav * torch.linspace(0.01, 1, num_samples)


def fed(stream, wav, sizes):
    """What comes out of chunks of these sizes, the last of which is all that is left."""
    outputs = []
    for size in sizes:
        outputs.append(stream.feed(wav[:size]))
        wav = wav[size:]
    return torch.cat([out for out in [*outputs, stream.feed(wav, last=True)] if len(out)])


def small(frontend="leaf", encoder="small_cnn", **options):
    torch.manual_seed(0)
    options = {"normalization": "sentence", **options}
    return create_model(frontend, encoder, num_classes=5, sample_rate=8000, **options).eval()


@pytest.mark.parametrize("name", FRAMED)
def test_frames_of_a_stream_are_those_of_the_whole(name):
    frontend = build_frontend(name, 8000, options={name: FRAMED[name]}).eval()
    wav = signal(4321)
    with torch.no_grad():
        whole = frontend(wav[None])[0]
    stream = FrameStream(frontend, 7 if frontend.hop > 1 else 800)
    parts = [*stream.feed(wav[:1]), *stream.feed(wav[1:1700]), *stream.feed(wav[1700:], last=True)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-3, atol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("name", FRONTENDS.names())
def test_which_registered_frontends_look_at_whole_clips(name):
    reason = whole_clip_reason(FrameStream(build_frontend(name), 10))
    assert bool(reason) == (name in WHOLE), reason


@torch.no_grad()
def test_windows_of_frames_are_what_the_offline_model_gives_for_them():
    model, wav = small(), signal(8000)
    stream = Stream(model, window_s=WINDOW_S)
    assert stream.form == "frames"
    outputs = stream.feed(wav, last=True)
    frames = model.compute_features(wav[None])
    ends = [*range(30, frames.shape[1], 10), frames.shape[1]]
    parts = [model.mean_var_norm(frames[:, end - 30 : end]) for end in ends]
    expected = [model.classifier(model.embedding_model(part)).squeeze(1) for part in parts]
    torch.testing.assert_close(outputs, torch.cat(expected), rtol=1e-3, atol=1e-4)
    assert stream.span_s(0) == (0.0, WINDOW_S) and stream.span_s(2)[0] == pytest.approx(0.2)
    for sizes in ([1, 5000], [800] * 9, [0, 333, 3000]):
        stream.reset()
        assert torch.equal(fed(stream, wav, sizes), outputs)


@torch.no_grad()
@pytest.mark.long
@pytest.mark.parametrize("encoder", ["bcresnet", "blstm", "crnn", "ds_cnn"])
def test_windows_go_through_every_encoder_of_keywords(encoder):
    model, wav = small("mel", encoder), signal(6000)
    outputs = Stream(model, window_s=WINDOW_S).feed(wav, last=True)
    frames = model.compute_features(wav[None])
    ends = [*range(40, frames.shape[1], 10), frames.shape[1]]
    for end, output in zip(ends, outputs, strict=True):
        part = model.mean_var_norm(frames[:, end - 31 : end])
        expected = model.classifier(model.embedding_model(part))[0]
        torch.testing.assert_close(output, expected.view(output.shape), rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("form", ["frames", "samples"])
def test_a_stream_as_long_as_a_window_is_the_clip(form):
    model, wav = small("pcen_mel"), signal(2400)
    outputs = Stream(model, window_s=WINDOW_S, form=form).feed(wav, last=True)
    torch.testing.assert_close(outputs[-1:], model(wav[None]))
    short = Stream(model, window_s=WINDOW_S, form=form).feed(wav[:1000], last=True)
    torch.testing.assert_close(short, model(wav[None, :1000]))


@torch.no_grad()
def test_a_frontend_that_looks_at_whole_clips_gets_windows_of_samples():
    model, wav = small("mfcc"), signal(8000)
    stream = Stream(model, chunk_ms=150, window_s=WINDOW_S)
    assert stream.form == "samples" and "whole clip" in stream.reasons["frames"]
    outputs = fed(stream, wav, [500, 4000])
    ends = [*range(2400, 8001, 1200), 8000]
    expected = [model(wav[None, end - 2400 : end]) for end in ends]
    torch.testing.assert_close(outputs, torch.cat(expected))


@torch.no_grad()
@pytest.mark.parametrize("frontend", ["leaf", "mel"])
def test_a_causal_model_gives_the_steps_of_the_whole_signal(frontend):
    options = {"hidden": 8, "layers": 2, "bidirectional": False}
    model = small(frontend, "blstm", encoder_options=options, normalization="none")
    wav = signal(8000)
    stream = Stream(model)
    assert stream.form == "causal" and stream.latency_s < 0.2
    torch.testing.assert_close(
        fed(stream, wav, [10, 3000, 3000]), model(wav[None])[0], rtol=1e-3, atol=1e-4
    )


@torch.no_grad()
@pytest.mark.parametrize("encoder, form", [("small_cnn", "frames"), ("blstm", "causal")])
def test_a_saved_state_goes_on_to_the_bit(encoder, form, tmp_path):
    options = {"bidirectional": False, "hidden": 8} if encoder == "blstm" else {}
    model = small("leaf", encoder, normalization="none", encoder_options=options)
    wav, first = signal(8000), Stream(model, window_s=WINDOW_S)
    assert first.form == form
    first.feed(wav[:3210])
    torch.save(first.state(), tmp_path / "state.pt")
    second = Stream(model, window_s=WINDOW_S)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(second.feed(wav[3210:], last=True), first.feed(wav[3210:], last=True))
    with pytest.raises(ValueError, match="reset"):
        second.feed(wav)
    damaged = first.state() | {"samples": torch.zeros(3)}
    with pytest.raises(ValueError, match="state"):
        second.restore(damaged)
    with pytest.raises(ValueError, match="state"):
        second.restore({})
    with pytest.raises(ValueError, match="state"):
        second.restore({**first.state(), "pcen_0": torch.zeros(1, 1)})


def test_memory_is_bounded():
    stream = Stream(small("mel"), window_s=WINDOW_S)
    sizes = set()
    for number in range(40):
        stream.feed(signal(1000, number))
        state = stream.state().values()
        sizes.add(sum(value.untyped_storage().nbytes() for value in state))
    assert max(sizes) < 40_000 and stream.decided == 46


def test_what_is_refused():
    model = small("mel")
    with pytest.raises(ValueError, match="window_s"):
        Stream(model)
    with pytest.raises(ValueError, match="eval"):
        Stream(small("mel").train(), window_s=1.0)
    with pytest.raises(ValueError, match="chunk_ms=5 "):
        Stream(model, chunk_ms=5, window_s=1.0)
    with pytest.raises(ValueError, match="reads later frames"):
        Stream(model, window_s=1.0, form="causal")
    with pytest.raises(ValueError, match="whole clip"):
        Stream(small("mfcc"), window_s=1.0, form="frames")
    with pytest.raises(ValueError, match=r"\(n,\)"):
        Stream(model, window_s=1.0).feed(torch.zeros(1, 8))
    causal = {"bidirectional": False, "hidden": 4}
    with pytest.raises(ValueError, match="normalization none"):
        Stream(small("mel", "blstm", encoder_options=causal), window_s=1.0, form="causal")


@torch.no_grad()
def test_what_cannot_be_recorded_runs_as_it_is():
    window = WindowModel(small("mel", "bcresnet"))
    graph = recorded(window, 31, 40)
    feats = torch.randn(1, 31, 40)
    assert graph is not window
    torch.testing.assert_close(graph(feats), window(feats), rtol=1e-4, atol=1e-5)

    class Refuses(torch.nn.Module):
        def forward(self, feats):
            if torch.jit.is_tracing():
                raise RuntimeError("cannot be recorded")
            return feats

    refuses = Refuses().eval()
    assert recorded(refuses, 7, 5) is refuses
