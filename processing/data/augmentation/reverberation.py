"""Reverberate the clips of a batch with room responses from RIRS_NOISES or generated ones.

Which room is drawn from torch's global generator, so that a training step that seeds it is
repeatable.
"""

from pathlib import Path

import torch

from ..audio import AudioError, audio_below, read_channels
from ..fft_size import fast_fft_size
from ..resampling import resampler
from ..rooms import room_response
from ..seeding import generator_for
from .additive_noise import ItemEffect, power

# Beyond it even a church has decayed to where noise covers it, and every sample costs time.
_MAX_RESPONSE_S = 1.0


def align_direct_path(response: torch.Tensor, lead_samples: int, num_samples: int) -> torch.Tensor:
    """Move the strongest sample of a room response to place `lead_samples`.

    Shape: (K,) -> (lead_samples + num_samples,), cut or filled up with zeros at both ends.

    Example
    -------
    >>> align_direct_path(torch.tensor([0.0, 0.1, 1.0, 0.5]), 1, 4)
    tensor([0.1000, 1.0000, 0.5000, 0.0000, 0.0000])
    """
    peak = int(response.abs().argmax())
    before = response[max(0, peak - lead_samples) : peak]
    after = response[peak : peak + num_samples]
    aligned = response.new_zeros(lead_samples + num_samples)
    aligned[lead_samples - len(before) : lead_samples] = before
    aligned[lead_samples : lead_samples + len(after)] = after
    return aligned


def convolve_aligned(
    wavs: torch.Tensor, responses: torch.Tensor, lead_samples: int
) -> torch.Tensor:
    """Linear convolution of each waveform with its response, whose time 0 is at `lead_samples`.

    Shape: (B, T), (B, K) -> (B, T)

    Example
    -------
    >>> wavs, responses = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0.1, 1.0, 0.5]])
    >>> convolve_aligned(wavs, responses, 1).round(decimals=4) + 0
    tensor([[1.0000, 0.5000, 0.0000]])
    """
    size = wavs.shape[1]
    # torchaudio's fftconvolve pads to exactly T + K - 1, whatever its prime factors: 4 to 9 times as
    # slow on batches of 32 x 2 s.
    fft_size = fast_fft_size(size + responses.shape[1] - 1)
    spectrum = torch.fft.rfft(wavs, n=fft_size) * torch.fft.rfft(responses, n=fft_size)
    return torch.fft.irfft(spectrum, n=fft_size)[:, lead_samples : lead_samples + size]


class GeneratedRooms:
    """A pool of room responses, generated once: decaying noise after the direct sound.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    num_rooms : int
    seed : int
        Of the pool.
    reverberation_time_s : (float, float)
        Shortest and longest; the rooms' times are spread evenly on the logarithmic scale.
    direct_to_reverberant_db : (float, float)
        From distant to close microphones, uniform.

    Attributes
    ----------
    lead_samples : int
        Samples of a response before the direct sound: none.

    Example
    -------
    >>> GeneratedRooms(16000, num_rooms=2).draw(3).shape
    torch.Size([3, 12800])
    """

    lead_samples = 0

    def __init__(
        self,
        sample_rate: int,
        num_rooms: int = 64,
        seed: int = 0,
        reverberation_time_s: tuple[float, float] = (0.15, 0.8),
        direct_to_reverberant_db: tuple[float, float] = (-3.0, 12.0),
    ):
        shortest_s, longest_s = reverberation_time_s
        rooms = []
        for number in range(num_rooms):
            rng = generator_for("room", seed, number)
            time_s = shortest_s * (longest_s / shortest_s) ** rng.random()
            direct_db = rng.uniform(*direct_to_reverberant_db)
            room = torch.from_numpy(room_response(rng, sample_rate, time_s, direct_db))
            rooms.append(align_direct_path(room.float(), 0, round(longest_s * sample_rate)))
        self._pool = torch.stack(rooms)

    def draw(self, batch: int, device=None) -> torch.Tensor:
        """Room responses (B, K), of rooms equally likely."""
        which = torch.randint(len(self._pool), (batch,))
        if device is not None and self._pool.device != torch.device(device):
            self._pool = self._pool.to(device)
        return self._pool[which.to(self._pool.device)]


class RirsFolder:
    """Room responses of RIRS_NOISES, read when they are drawn.

    The first channel is taken, at most 1 s of it; another sample rate is converted.

    Arguments
    ---------
    folder : str or Path
        With `simulated_rirs`, `real_rirs_isotropic_noises` or both, and audio anywhere below. Noise
        recordings (file names with "noise", `pointsource_noises`) are no rooms and left out.
    sample_rate : int
        In Hz.

    Attributes
    ----------
    lead_samples : int
        Samples of a response before the direct sound, which is taken to be the strongest sample.

    Raises
    ------
    ValueError
        The folder, or a room response in it, is missing.
    AudioError
        On drawing: a response cannot be read, or is silent.

    References
    ----------
    T. Ko et al., A study on data augmentation of reverberant speech for robust speech recognition,
    ICASSP 2017 (openslr.org/28).
    """

    def __init__(self, folder, sample_rate: int):
        self.folder, self.sample_rate = Path(folder), sample_rate
        self.lead_samples = round(0.005 * sample_rate)
        places = ("simulated_rirs", "real_rirs_isotropic_noises")
        self.files = sorted(
            path
            for place in places
            for path in audio_below(self.folder / place)
            if "noise" not in path.name.lower()
        )
        if not self.files:
            problem = "no such folder"
            if self.folder.is_dir():
                problem = f"no room responses below {' or '.join(places)}"
            raise ValueError(
                f"rirs_folder {str(folder)!r}: {problem}. It is the unpacked RIRS_NOISES corpus "
                f"(openslr.org/28) with {' and '.join(f'{place}/' for place in places)}; without it "
                f"(null) rooms are generated"
            )

    def draw(self, batch: int, device=None) -> torch.Tensor:
        """Room responses (B, K), of files equally likely."""
        which = torch.randint(len(self.files), (batch,)).tolist()
        return torch.stack([self._read(self.files[i]) for i in which]).to(device)

    def _read(self, path: Path) -> torch.Tensor:
        response, rate_hz = read_channels(path)
        # Not the mean of the channels: microphones some centimetres apart are a comb filter.
        response = response[0]
        if not response.any():
            raise AudioError(path, "is silent", "restore or remove the file", "nan")
        if rate_hz != self.sample_rate:
            response = resampler(rate_hz, self.sample_rate)(response)
        longest = round(_MAX_RESPONSE_S * self.sample_rate)
        return align_direct_path(response, self.lead_samples, longest)


class Reverberate(ItemEffect):
    """Convolve each item with a room response.

    The direct sound is not delayed, the level over the valid part is kept, and the tail of the room
    ends with the valid part: padding stays zero. A silent item is left as it is.

    Arguments
    ---------
    source : object with `draw(batch, device)` and `lead_samples`
        `GeneratedRooms`, `RirsFolder`.
    probability : float
        That an item is put into a room.

    Shape
    -----
    wavs (B, T), lengths (B,) relative or None, active (B,) bool on the CPU or None -> (B, T)

    Example
    -------
    >>> reverberate = Reverberate(GeneratedRooms(16000, num_rooms=2))
    >>> reverberate(torch.randn(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 16000])
    """

    def change(self, clean, valid):
        responses = self.source.draw(len(clean), clean.device)
        wet = convolve_aligned(clean, responses, self.source.lead_samples) * valid
        gain = (power(clean, valid) / power(wet, valid)).sqrt()
        return gain.nan_to_num(nan=0.0, posinf=0.0) * wet
