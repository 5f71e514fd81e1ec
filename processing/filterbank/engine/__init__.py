"""The fast filterbank engine: pooled energies of band-pass filters.

It computes, for every filter n of a bank,

    E[b, t, n] = sum_k pool[n, k] |(x_b * h_n)[hop t - offset + k]|^2

with gradients of the filters, the pooling windows and (by torch operators) the signal. Users need
`EnergyEngine` and nothing else of this folder. `direct.py` is the formula in two convolutions; the
other files compute the same hundreds of times cheaper, for these reasons: a filter passes a narrow
band, so that its output needs few samples per second; a block's spectrum is computed once for all
filters; and pooling needs one value per hop.

How a block of samples flows
----------------------------
1. `engine.py`: chooses the form (direct, full rate, decimated), asks `backend.takes` whether C
   computes, and keeps what depends on filters only while nobody trains them.
2. `plan.py` (plan.c): from each filter's power response, the centre of its band and the lowest rate
   (samples per hop) that holds the error bounds. Filters that fit none are read at the full rate.
3. `spectra.py` (spectra.c): waveform -> overlapping blocks of a third of a second (C) or a second
   (torch) -> spectra, one FFT per block.
4. `band_responses.py` (band_responses.c): taps -> responses at the bins of each filter's band, by a
   coarse FFT and interpolation; pooling windows -> weights at the reduced rate.
5. `bank.py`: groups filters of one rate. This is all that depends on filters and block size only.
6. `pooled_bands.py` (pooled_bands.c, or `pooled_bands_torch.py`): cut a band of the spectrum,
   multiply by the response, inverse FFT at the reduced rate, rectify, pool. In C, eight blocks pass
   through the whole chain side by side, in buffers that stay in the cache.
7. `corrections.py`: subtracts the energy of the filters' tails in front of and behind each clip, which the
   direct form does not count. Filters at the full rate mask those samples instead.
   Adds an estimate of the energy lost by band-limiting (lost_energy.c), and flags the frames above
   `MAX_LOST`, such as a quiet frame near a loud burst.
8. `bank.py` recomputes the flagged frames at the full rate.

C or torch
----------
`backend.py` decides, once per call: C takes float32 tensors on a CPU where a C compiler is found and
AURICLE_COMPILED is not 0. It has no gradient of the signal; where that is wanted, steps 3 and 6 are
left to torch operators. PCEN (`..pcen`, pcen.c) asks the same function. A C function takes one
structure, declared in engine.h for C and for Python, and is called by `backend.call`.

Compiled, exported, transformed
-------------------------------
The plan reads values and C reads addresses, which tensors of torch.compile, torch.export and
torch.func do not have. There, the whole of this folder is one operator, auricle::filterbank_energy
(`engine.py`), and PCEN is another, auricle::pcen; `processing/system/operators.py` says how.

Kept for backward
-----------------
In C only what goes in (spectra, responses, weights): band signals are computed again, which is
faster than reading them. The torch operators keep band signals up to `KEEP_BYTES`. Tables that
depend on sizes only are kept between calls (`backend.keep_tensors`).
"""

if not __name__.startswith("auricle."):
    raise ImportError(f"import this folder as auricle.{__name__}; first: pip install -e .")

from .engine import BACKENDS, EnergyEngine

__all__ = ["BACKENDS", "EnergyEngine"]
