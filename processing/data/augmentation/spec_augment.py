"""Mask stretches of time and of features with zeros (SpecAugment)."""

from speechbrain.augment.freq_domain import SpectrogramDrop


def feature_masks(
    time_masks: int = 0,
    time_mask_frames: int = 20,
    frequency_masks: int = 0,
    frequency_mask_features: int = 7,
) -> list:
    """SpecAugment's masks as a list of modules `(B, N, F) -> (B, N, F)`; masked values are zero.

    Arguments
    ---------
    time_masks, frequency_masks : int
        Masks per clip; 0 leaves that axis alone.
    time_mask_frames, frequency_mask_features : int
        Longest mask, in frames and in features.

    References
    ----------
    D. S. Park et al., SpecAugment, Interspeech 2019; done by speechbrain's SpectrogramDrop.
    """
    return [
        SpectrogramDrop(0, longest + 1, count, count, replace="zeros", dim=dim)
        for count, longest, dim in (
            (time_masks, time_mask_frames, 1),
            (frequency_masks, frequency_mask_features, 2),
        )
        if count > 0
    ]
