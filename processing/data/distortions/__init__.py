"""Distortions of recordings at stated strengths, for robustness tests."""
