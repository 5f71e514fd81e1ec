"""Add noise or reverberation to the training batches of speaker embeddings."""

from numbers import Real

import torch
from torch import nn

from .additive_noise import AddNoise, draw_active
from .noise_sources import GeneratedNoise, MusanNoise
from .reverberation import GeneratedRooms, Reverberate, RirsFolder


class SpeakerAugmentation(nn.Module):
    """Change an item with one probability: a room or added noise, one as often as the other.

    An item is left as it is with probability ``1 - probability``. Of those that are changed,
    `both_share` get a room and then noise; of the rest, half get a room and half get noise, which
    is noise, music or babble equally often. Drawn from torch's global generator for every item by
    itself.

    Arguments
    ---------
    noise : AddNoise
    reverberation : Reverberate
    probability : float
        That an item is changed.
    both_share : float
        Share of the changed items that get a room and noise.

    Shape
    -----
    wavs (B, T), lengths (B,) relative or None -> (B, T)

    Raises
    ------
    ValueError
        A probability or a share outside 0 to 1.

    References
    ----------
    wenet-e2e/wespeaker@03620b7: 0.6, then a room or noise with even odds. Deviations: noise, music
    and babble are equally likely (there in proportion to their files), speech is a babble (there
    one voice), and the level of the clip is kept (there the peak is normalised).
    """

    def __init__(
        self,
        noise: AddNoise,
        reverberation: Reverberate,
        probability: float = 0.6,
        both_share: float = 0.0,
    ):
        super().__init__()
        for name, value in (("probability", probability), ("both_share", both_share)):
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
                raise ValueError(f"augmentation {name} is a number from 0 to 1, got {value!r}")
        self.noise, self.reverberation = noise, reverberation
        self.probability, self.both_share = probability, both_share

    def forward(self, wavs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        batch = len(wavs)
        changed = draw_active(batch, self.probability)
        both = changed & draw_active(batch, self.both_share)
        room = draw_active(batch, 0.5)
        wavs = self.reverberation(wavs, lengths, changed & (room | both))
        return self.noise(wavs, lengths, changed & (~room | both))


def build_speaker_augmentation(
    sample_rate: int,
    probability: float = 0.6,
    musan_folder=None,
    rirs_folder=None,
    seed: int = 0,
    both_share: float = 0.0,
) -> SpeakerAugmentation | None:
    """Augmentation from the corpora where they are given, and from generated sound elsewhere.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    probability : float
        That an item is changed; with 0 there is no augmentation, and None is returned.
    musan_folder, rirs_folder : str, Path or None
        Unpacked MUSAN and RIRS_NOISES; None: generated noise and generated rooms.
    seed : int
        Of the pool of generated rooms.
    both_share : float
        Share of the changed items that get a room and noise.

    Raises
    ------
    ValueError
        As `SpeakerAugmentation`, `MusanNoise` and `RirsFolder`.

    Example
    -------
    >>> augment = build_speaker_augmentation(16000, 0.6)
    >>> augment(torch.randn(4, 32000), torch.ones(4)).shape
    torch.Size([4, 32000])
    >>> build_speaker_augmentation(16000, 0) is None
    True
    """
    noise = GeneratedNoise(sample_rate)
    if musan_folder:
        try:
            noise = MusanNoise(musan_folder, sample_rate)
        except ValueError as error:
            reason = f"musan_folder: {error}; without it (null) noise is generated"
            raise ValueError(reason) from None
    rooms = GeneratedRooms(sample_rate, seed=seed)
    if rirs_folder:
        rooms = RirsFolder(rirs_folder, sample_rate)
    augment = SpeakerAugmentation(AddNoise(noise), Reverberate(rooms), probability, both_share)
    return augment if augment.probability else None
