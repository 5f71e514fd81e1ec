"""Draw noise, music and babble with an SNR each, from MUSAN or generated.

Both sources draw everything from torch's global generator, so that a training step that seeds it is
repeatable.
"""

import torch

from ..generated_music import chord_batch
from ..generated_noise import noise_batch, voice_batch
from ..musan import Musan

KINDS = ("noise", "music", "babble")
"""The kinds of noise that a source can draw."""

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
        """Draw noise for a batch and the SNR to add it at.

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
                sound = voices.new_zeros(len(rows), size).index_add(0, owner.to(device), voices)
                # n talkers, each at the drawn SNR, are together n times as strong.
                snr_db[rows] -= 10 * talkers.log10()
            else:
                sound = self._make(kind, len(rows), size, device)
            noise[rows.to(device)] = sound
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
        The unpacked corpus, as `Musan` reads it.
    sample_rate : int
        Rate of the clips, in Hz.

    Raises
    ------
    ValueError
        The folder, one of its three folders, or audio in one of them is missing.
    AudioError
        On drawing: a recording cannot be read.

    References
    ----------
    SNR ranges and number of talkers: the x-vector recipe (Snyder et al., ICASSP 2018), with the
    steps between its values filled in; the talkers of a babble are added at that SNR each, as there.
    """

    def __init__(self, folder, sample_rate: int):
        super().__init__(sample_rate)
        self.musan = Musan(folder)

    def _make(self, kind, batch, size, device):
        files = self.musan.files[kind]
        which = torch.randint(len(files), (batch,)).tolist()
        places = torch.rand(batch, dtype=torch.float64).tolist()
        stretches = [self._read(files[i], size, p) for i, p in zip(which, places, strict=True)]
        return torch.stack(stretches).to(device)

    def _read(self, path, size: int, place: float) -> torch.Tensor:
        """A stretch of `size` samples that begins at `place` (0 to 1) of where it can."""
        wav = self.musan.read(path, size, self.sample_rate, lambda count: int(place * count))
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

    _BATCHES = {"noise": noise_batch, "music": chord_batch, "speech": voice_batch}

    def _make(self, kind, batch, size, device):
        return self._BATCHES[kind](batch, size, self.sample_rate, device)
