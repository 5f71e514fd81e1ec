"""Noise, music and babble with the SNR each is usually added at: from MUSAN, or generated.

Both sources draw everything from torch's global generator, so that a training step that seeds it is
repeatable.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from ..audio import AUDIO_SUFFIXES, probe_audio, read_audio
from .levels import fast_fft_size

__all__ = ["KINDS", "SNR_RANGES_DB", "TALKERS", "GeneratedNoise", "MusanNoise"]

KINDS = ("noise", "music", "babble")
"""What can be drawn."""

SNR_RANGES_DB = {"noise": (0.0, 15.0), "music": (5.0, 15.0), "babble": (13.0, 20.0)}
"""The SNR is uniform in these; for babble it is that of each single talker."""

TALKERS = (3, 7)
"""Fewest and most talkers of a babble."""


class _NoiseSource:
    """Draw a kind and an SNR per item; a subclass makes the waveforms."""

    def __init__(self, sample_rate: int):
        self.sample_rate = sample_rate

    def draw(
        self, batch: int, size: int, device=None, kinds: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise for a batch, and how loud it is to be.

        Arguments
        ---------
        batch, size : int
            B items of T samples.
        device : torch.device or None
            Where the noise is wanted.
        kinds : int tensor (B,), on the CPU, or None
            Place in `KINDS` of each item's kind; None draws each equally often.

        Shape
        -----
        B, T -> noise (B, T) at an arbitrary level, SNR in dB (B,)
        """
        if kinds is None:
            kinds = torch.randint(len(KINDS), (batch,))
        low, high = torch.tensor([SNR_RANGES_DB[kind] for kind in KINDS])[kinds].unbind(1)
        snr_db = low + (high - low) * torch.rand(batch)
        noise = torch.zeros(batch, size, device=device)
        for place, kind in enumerate(KINDS):
            rows = (kinds == place).nonzero()[:, 0]
            if not len(rows):
                continue
            if kind == "babble":
                talkers = torch.randint(TALKERS[0], TALKERS[1] + 1, (len(rows),))
                owner = torch.arange(len(rows)).repeat_interleave(talkers)
                voices = self._make("speech", len(owner), size, device)
                voices /= voices.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)
                made = voices.new_zeros(len(rows), size).index_add(0, owner.to(device), voices)
                # n talkers, each at the drawn SNR, are together n times as strong.
                snr_db[rows] -= 10 * talkers.log10()
            else:
                made = self._make(kind, len(rows), size, device)
            noise[rows.to(device)] = made
        return noise, snr_db.to(device)

    def _make(self, kind: str, batch: int, size: int, device) -> torch.Tensor:
        """(B, T) of "noise", "music" or single voices of "speech"."""
        raise TypeError(f"{type(self).__name__} does not define _make")


class MusanNoise(_NoiseSource):
    """Stretches of MUSAN's recordings, read when they are drawn, and no more than is needed.

    A recording shorter than the stretch is repeated; several channels are mixed; another sample
    rate is converted.

    Arguments
    ---------
    folder : str or Path
        With the folders noise, music and speech, each with audio anywhere below it.
    sample_rate : int
        Rate of the clips, in Hz.

    Raises
    ------
    ValueError
        The folder, one of the three folders, or audio in one of them is missing.
    AudioError
        On drawing: a recording cannot be read.

    References
    ----------
    D. Snyder et al., MUSAN: A Music, Speech, and Noise Corpus, 2015. SNR ranges and number of
    talkers: the x-vector recipe (Snyder et al., ICASSP 2018), with the steps between its values
    filled in; the talkers of a babble are added at that SNR each, as there.
    """

    def __init__(self, folder, sample_rate: int):
        super().__init__(sample_rate)
        self.folder = Path(folder)
        self.files: dict[str, list[Path]] = {}
        for kind in ("noise", "music", "speech"):
            found = self.folder.joinpath(kind).rglob("*")
            self.files[kind] = sorted(
                path
                for path in found
                if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
            )
        missing = [kind for kind, files in self.files.items() if not files]
        if missing:
            problem = "no such folder"
            if self.folder.is_dir():
                problem = f"no audio below {', '.join(f'{kind}/' for kind in missing)}"
            raise ValueError(
                f"musan_folder {str(folder)!r}: {problem}. It is the unpacked MUSAN corpus "
                f"(openslr.org/17) with noise/, music/ and speech/, each with "
                f"{', '.join(AUDIO_SUFFIXES)} files; without it (null) noise is generated"
            )
        self._infos: dict[Path, tuple[int, int]] = {}

    def _make(self, kind, batch, size, device):
        files = self.files[kind]
        which = torch.randint(len(files), (batch,)).tolist()
        places = torch.rand(batch, dtype=torch.float64).tolist()
        stretches = [
            self._read(files[i], size, place) for i, place in zip(which, places, strict=True)
        ]
        return torch.stack(stretches).to(device)

    def _read(self, path: Path, size: int, place: float) -> torch.Tensor:
        """A stretch of `size` samples that begins at `place` (0 to 1) of where it can."""
        if path not in self._infos:
            info = probe_audio(path)
            self._infos[path] = info.num_samples, info.sample_rate_hz
        num_samples, rate_hz = self._infos[path]
        wanted = -(-size * rate_hz // self.sample_rate)
        start = int(place * (max(num_samples - wanted, 0) + 1))
        wav = read_audio(
            path,
            self.sample_rate,
            start_sample=start,
            num_samples=min(wanted, num_samples),
            resample="convert",
            channels="mix",
        )
        if len(wav) < size:
            wav = wav.repeat(-(-size // len(wav))).roll(-int(place * len(wav)))
        return wav[:size]


class GeneratedNoise(_NoiseSource):
    """Noise without any recording: coloured noise and hum, chords, and voices without words.

    * noise: a spectrum that falls by 0 to 6 dB per octave, for half of the items with mains hum;
    * music: three voices of a major or minor chord that changes a few times a second;
    * babble: 3 to 7 glottal pulse trains with wandering pitch, two formants and syllables.

    Arguments
    ---------
    sample_rate : int
        In Hz.

    Example
    -------
    >>> noise, snr_db = GeneratedNoise(16000).draw(4, 32000)
    >>> noise.shape, snr_db.shape
    (torch.Size([4, 32000]), torch.Size([4]))
    """

    def _make(self, kind, batch, size, device):
        make = {"noise": self._noise, "music": self._music, "speech": self._speech}[kind]
        return make(batch, size, device)

    def _noise(self, batch, size, device):
        fft_size = fast_fft_size(size)
        spectrum = torch.fft.rfft(torch.randn(batch, fft_size, device=device))
        hertz = torch.fft.rfftfreq(fft_size, 1 / self.sample_rate, device=device)
        # Flat below 100 Hz and nothing below 20: else a steep tilt would be all rumble, and a noise
        # at 0 dB would not be heard.
        tilt = (hertz.clamp(min=100) / 100) ** -torch.rand(batch, 1, device=device)
        spectrum = spectrum * tilt * (hertz >= 20)
        noise = torch.fft.irfft(spectrum, n=fft_size)[:, :size]
        noise = noise / noise.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)
        mains_hz = torch.tensor([50.0, 60.0], device=device)[torch.randint(2, (batch, 1))]
        phase = 2 * math.pi * mains_hz * self._time_s(size, device)
        loud = torch.rand(batch, 1, device=device) * (torch.rand(batch, 1, device=device) < 0.5)
        # A clipped sine has the odd harmonics that hum has.
        return noise + loud * (3 * phase.sin()).clamp(-1, 1)

    def _music(self, batch, size, device):
        num_chords = max(2, round(3 * size / self.sample_rate))
        root = 36 + 24 * torch.rand(batch, 1, 1, device=device)
        steps = torch.tensor([0.0, 5.0, 7.0, 9.0], device=device)
        step = steps[torch.randint(4, (batch, 1, num_chords), device=device)]
        third = 3 + torch.randint(2, (batch, 1, num_chords), device=device).float()
        chord = torch.cat([torch.zeros_like(third), third, torch.full_like(third, 7.0)], 1)
        semitones = root + step + chord
        pitch_hz = 440 * 2 ** ((semitones - 69) / 12)  # MIDI numbers
        hold = -(-size // num_chords)
        held_hz = pitch_hz.repeat_interleave(hold, 2)[..., :size]
        phase = 2 * math.pi * (held_hz / self.sample_rate).cumsum(2).remainder_(1)
        # Each chord is struck and dies away.
        since_s = torch.arange(size, device=device).remainder(hold) / self.sample_rate
        return (torch.tanh(3 * phase.sin()).sum(1)) * torch.exp(-3 * since_s)

    def _speech(self, batch, size, device):
        rate = self.sample_rate
        fft_size = fast_fft_size(size)
        pitch_hz = 90 + 150 * torch.rand(batch, 1, device=device)
        wander = 1 + 0.08 * self._knots(batch, size, 4.0, device).sub_(0.5).mul_(2)
        phase = 2 * math.pi * (pitch_hz / rate * wander).cumsum(1).remainder_(1)
        # Narrow pulses: harmonics up to about 20 times the pitch.
        pulses = torch.exp(100 * (phase.cos() - 1)) + 0.02 * torch.randn(batch, size, device=device)
        hertz = torch.fft.rfftfreq(fft_size, 1 / rate, device=device)
        response = torch.full_like(hertz, 0.03).expand(batch, -1)
        for low_hz, high_hz in ((300, 900), (900, 2500)):
            formant_hz = low_hz + (high_hz - low_hz) * torch.rand(batch, 1, device=device)
            response = response + 1 / (1 + ((hertz - formant_hz) / 100) ** 2)
        response = response * (hertz > 60)
        voice = torch.fft.irfft(torch.fft.rfft(pulses, n=fft_size) * response, n=fft_size)
        return voice[:, :size] * self._knots(batch, size, 8.0, device).square_()

    def _time_s(self, size, device):
        return torch.arange(size, device=device) / self.sample_rate

    def _knots(self, batch, size, rate_hz, device):
        """(B, T) that wanders between 0 and 1, a new value `rate_hz` times a second."""
        num_knots = max(2, round(rate_hz * size / self.sample_rate) + 1)
        knots = torch.rand(batch, 1, num_knots, device=device)
        return torch.nn.functional.interpolate(knots, size=size, mode="linear", align_corners=True)[
            :, 0
        ]
