"""Phones, units, decoding and forced alignment."""
