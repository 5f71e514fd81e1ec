"""Layers shared by encoders: masks of valid frames, norms, convolutions, pooling."""
