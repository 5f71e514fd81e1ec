"""What several tests of scores draw their data with."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def strings():
    def draw(size, symbols, longest=12, seed=0):
        """Random references, and hypotheses that are mutations of them; empty ones among both."""
        generator = np.random.default_rng(seed)
        references, hypotheses = [], []
        for _ in range(size):
            reference = generator.choice(symbols, generator.integers(0, longest + 1)).tolist()
            hypothesis = []
            for token in reference:
                fate = generator.random()
                hypothesis += (
                    [] if fate < 0.15 else [str(generator.choice(symbols))] * (fate < 0.35)
                )
                hypothesis += [token] * (fate >= 0.15)
            references.append(reference)
            hypotheses.append(hypothesis[:: -1 if generator.random() < 0.2 else 1])
        return references, hypotheses

    return draw
