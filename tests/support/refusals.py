"""Calls that must be refused: which error they end with, and what its text names."""

import pytest


def refused(match, call, *arguments, error=ValueError, **options):
    """A call ends with an error whose text matches."""
    with pytest.raises(error, match=match):
        call(*arguments, **options)
