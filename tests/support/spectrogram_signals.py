"""Pictures of three kinds of sound, as a frontend would give them."""

import torch


def signals(frames, features=40):
    """Noise, a rising ridge as a chirp leaves it, and bursts with pauses as speech has them."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(frames, features, generator=generator)
    time, channel = torch.arange(frames)[:, None], torch.arange(features)
    ridge = 4 * torch.exp(-((channel - time * features / frames) ** 2) / 8) - 1
    syllables = torch.sin(time / 7).clamp(min=0) * (2 + torch.cos(channel / 5)) + noise / 10
    return torch.stack([noise, ridge, syllables])
