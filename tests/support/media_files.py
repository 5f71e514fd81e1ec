"""Files that libsndfile reads wrongly or not at all, made with PyAV."""

import av
import numpy as np
import soundfile


def write_headless_mp3(whole, headless, samples, rate_hz):
    """An mp3 file of variable bit rate, and the same without the frame that counts the others."""
    soundfile.write(whole, samples.astype("float32"), rate_hz, bitrate_mode="VARIABLE")
    with av.open(str(whole)) as container:
        headless.write_bytes(b"".join(bytes(packet) for packet in container.demux(audio=0)))
    wrong = soundfile.info(headless).frames - len(samples)
    assert abs(wrong) > rate_hz, "nothing to put right"


def write_m4a(path, samples, rate_hz, **options):
    """AAC in an MP4 container with an edit list that leaves out the encoder's delay."""
    layout = "stereo" if len(samples) == 2 else "mono"
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("aac", rate=rate_hz)
        stream.layout = layout
        for start in range(0, samples.shape[1], 1024):
            piece = np.ascontiguousarray(samples[:, start : start + 1024], np.float32)
            frame = av.AudioFrame.from_ndarray(piece, "fltp", layout)
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
