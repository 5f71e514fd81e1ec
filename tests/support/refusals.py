"""Calls that must be refused: which error they end with, and what its text names."""

import pytest


def refused(match, call, *arguments, error=ValueError, **options):
    """The error that a call ends with; its text matches."""
    with pytest.raises(error, match=match or None) as caught:
        call(*arguments, **options)
    return caught.value
