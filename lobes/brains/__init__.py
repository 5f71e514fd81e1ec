"""Brains of SpeechBrain: a base class, one Brain per task, optimisers, checkpoints."""
