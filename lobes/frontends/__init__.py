"""Frontends: waveform in, frames out. One file, one published idea."""
