"""Choose FFT sizes that are quick to compute."""

from scipy.fft import next_fast_len


def fast_fft_size(num_samples: int) -> int:
    """The next even length without prime factors above 5.

    Example
    -------
    >>> fast_fft_size(44799)
    45000
    """
    return 2 * next_fast_len(-(-num_samples // 2), real=True)
