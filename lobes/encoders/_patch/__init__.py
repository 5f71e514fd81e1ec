"""Shared parts of the encoders that cut a spectrogram into patches."""
