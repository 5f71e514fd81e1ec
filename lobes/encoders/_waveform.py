"""Base of the encoders that read the waveform itself, one sample to a frame."""

from ..contracts import Encoder


class WaveformEncoder(Encoder):
    """An encoder for the frontend `waveform`; arguments and shapes as of `Encoder`.

    Raises
    ------
    ValueError
        `in_features` is not 1.
    """

    example_features, example_frames = 1, 4801

    def __init__(self, in_features: int, out_features: int, output: str, stride: int = 1):
        if in_features != 1:
            raise ValueError(f"in_features must be 1, the samples themselves, got {in_features!r}")
        super().__init__(in_features, out_features, output, stride)

    @classmethod
    def unfit(cls, in_features: int, in_frames: int | None, **options) -> str | None:
        return None if in_features == 1 else "it reads the waveform itself; set frontend: waveform."
