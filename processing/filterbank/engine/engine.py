"""Choose the form that computes a filterbank's energies, and keep what does not change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch

from ...system.operators import is_traced, operator
from ..framing import frame_count
from . import backend as c_backend
from .bank import BandedBank
from .direct import direct_energy
from .plan import Plan, fits, make_plan
from .spectra import BLOCK_FRAMES, OPERATOR_FRAMES, Blocks, make_blocks

#: "direct": full rate by convolution, the readable form. "full_rate": exact, by blocks of the
#: spectrum. "decimated": each filter at the rate that its bandwidth needs. "auto": decimated, or
#: full_rate where no filter can be decimated.
BACKENDS = ("auto", "direct", "decimated", "full_rate")


@dataclass(eq=False)
class _Frozen:
    """Filters that nobody trains, and their banks by (blocks, compiled)."""

    taps: torch.Tensor
    pool: torch.Tensor
    banks: dict = field(default_factory=dict)


class EnergyEngine:
    """Pooled energies of a filterbank whose filters may change at every call.

    Holds no parameter and no state that affects results: a plan (the rate of each filter), which
    is checked against the filters and renewed when it no longer fits, and the responses of filters
    that are not being trained.

    Arguments
    ---------
    hop : int
        Distance between frames, in samples.
    backend : str
        One of `BACKENDS`.
    rectifier : str
        "square", "abs" or "leaky_relu", of each real filter output; only squares of complex
        filters can be decimated.

    Example
    -------
    >>> from auricle.processing.filterbank.shapes import gabor_taps, gaussian_lowpass
    >>> taps = gabor_taps(torch.tensor([0.5]), torch.tensor([20.0]), 401)
    >>> pool = gaussian_lowpass(torch.tensor([0.4]), 401)
    >>> EnergyEngine(hop=160)(torch.zeros(2, 16000), taps, pool, offset=200).shape
    torch.Size([2, 100, 1])
    """

    #: Calls after which a plan that still fits is made anew: it may have become wasteful.
    REPLAN_CALLS = 200
    #: Block sizes whose banks are kept for filters that are not being trained.
    KEPT_SIZES = 4

    def __init__(self, hop: int, backend: str = "auto", rectifier: str = "square"):
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
        if backend == "decimated" and rectifier != "square":
            raise ValueError(
                f"only squares can be decimated, got rectifier={rectifier!r}; use "
                'backend="full_rate" or "auto"'
            )
        self.hop = hop
        self.backend = backend
        self.rectifier = rectifier
        self.forget()

    def forget(self) -> None:
        """Drop the plan and everything that was kept."""
        self._plan: Plan | None = None
        self._pending: tuple | None = None
        self._age = 0
        self._stamp: list | None = None
        self._frozen: _Frozen | None = None

    def __getstate__(self) -> dict:
        return {"hop": self.hop, "backend": self.backend, "rectifier": self.rectifier}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.forget()

    def frozen(
        self,
        parameters: Sequence[torch.Tensor],
        build: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Filters from `build()`, kept for as long as nobody trains or changes the parameters.

        Arguments
        ---------
        parameters : tensors that the filters are built from
        build : callable
            -> (taps, pool).

        Returns
        -------
        (taps, pool). A call of the engine with these very tensors reuses their bank.
        """
        if is_traced(*parameters):
            return build()
        if torch.is_grad_enabled() and any(p.requires_grad for p in parameters):
            return build()
        if any(p.is_inference() for p in parameters):
            return build()
        stamp = [(p, p._version, p.data_ptr(), p.dtype) for p in parameters]
        if self._stamp is None or not all(
            new[0] is old[0] and new[1:] == old[1:]
            for new, old in zip(stamp, self._stamp, strict=True)
        ):
            self._stamp, self._frozen = stamp, _Frozen(*build())
        return self._frozen.taps, self._frozen.pool

    def recall(self, taps: torch.Tensor, pool: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The filters of the last call where these have the same values: their bank is reused."""
        if taps.requires_grad or pool.requires_grad:
            return taps, pool
        kept = self._frozen
        same = kept is not None and taps.dtype == kept.taps.dtype
        if not (same and torch.equal(taps, kept.taps) and torch.equal(pool, kept.pool)):
            self._frozen = kept = _Frozen(taps.clone(), pool.clone())
        return kept.taps, kept.pool

    def __call__(
        self,
        wavs: torch.Tensor,
        taps: torch.Tensor,
        pool: torch.Tensor,
        offset: int,
        num_valid: torch.Tensor | None = None,
        floor: float = 0.0,
    ) -> torch.Tensor:
        """Energies (B, ceil(T / hop), N); arguments as `direct_energy`.

        `floor` is an energy below which accuracy does not matter to the caller.

        With "auto", taps that are parameters themselves are read at the full rate: a reduced rate
        has no gradient outside a filter's band, and such a filter may move there.
        """
        if is_traced(wavs, taps, pool, num_valid):
            # Decided here: inside the operator all taps are leaves.
            form = "full_rate" if self._is_exact(taps) else "decimated"
            backend = "direct" if self.backend == "direct" else form
            return filterbank_energy(
                *(wavs, taps, pool, num_valid, offset, float(floor)),
                *(self.hop, backend, self.rectifier),
            )
        return self.compute(wavs, taps, pool, offset, num_valid, floor)

    def compute(self, wavs, taps, pool, offset, num_valid=None, floor=0.0) -> torch.Tensor:
        """`__call__` on tensors that have data."""
        # In a clip shorter than half a filter the tails outside outweigh the energy inside.
        if self.backend == "direct" or 2 * wavs.shape[1] < taps.shape[2]:
            return direct_energy(
                wavs, taps, pool, self.hop, offset, num_valid, rectifier=self.rectifier
            )
        compiled = c_backend.takes(wavs, taps, pool)
        frames = BLOCK_FRAMES if compiled and not wavs.requires_grad else OPERATOR_FRAMES
        blocks = make_blocks(
            *(wavs.shape[1], self.hop, taps.shape[2], pool.shape[1], offset, frames)
        )
        return self._bank(taps, pool, blocks, compiled).energy(wavs, num_valid, floor)

    def _is_exact(self, taps: torch.Tensor) -> bool:
        free = self.backend == "auto" and taps.is_leaf and taps.requires_grad
        return (
            free or self.backend == "full_rate" or self.rectifier != "square" or taps.shape[1] == 1
        )

    def plan(self, taps: torch.Tensor, exact: bool = False, compiled: bool = False) -> Plan:
        """The plan for these filters: on a CPU a new one, elsewhere the last one while it fits.

        Whether it fits is asked without waiting for the device; the answer takes effect one or a
        few calls later, for which the plan has a `MARGIN`.
        """
        if exact or taps.device.type == "cpu":
            # On a CPU a new plan costs hardly more than checking the old one. Depending on nothing
            # but the filters, it is the same for a copy, after a reload and in a resumed run.
            return make_plan(taps, self.hop, exact, compiled)
        if self._plan is not None and len(self._plan.rates) == len(taps):
            self._age += 1
            if self._age < self.REPLAN_CALLS and self._still_fits(taps):
                return self._plan
        # The plan outlives the taps, their power response must not.
        self._plan = replace(make_plan(taps, self.hop), power=None)
        self._age, self._pending = 0, None
        return self._plan

    def _still_fits(self, taps: torch.Tensor) -> bool:
        if self._pending is not None:
            answer, arrived = self._pending
            if not arrived.query():
                return True
            self._pending = None
            if not bool(answer):
                return False
        answer = torch.empty((), dtype=torch.bool, pin_memory=True)
        answer.copy_(fits(self._plan, taps), non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self._pending = answer, arrived
        return True

    def _bank(
        self, taps: torch.Tensor, pool: torch.Tensor, blocks: Blocks, compiled: bool
    ) -> BandedBank:
        kept = self._frozen
        keep = kept is not None and taps is kept.taps and pool is kept.pool
        if keep and (blocks, compiled) in kept.banks:
            return kept.banks[blocks, compiled]
        exact = self._is_exact(taps)
        plan = self.plan(taps, exact, compiled)
        bank = BandedBank(taps, pool, plan, blocks, self.rectifier, exact, compiled)
        if keep:
            if len(kept.banks) >= self.KEPT_SIZES:
                kept.banks.pop(next(iter(kept.banks)))
            bank.kept = {}
            kept.banks[blocks, compiled] = bank
        return bank


@lru_cache(maxsize=16)
def _engine(hop: int, backend: str, rectifier: str) -> EnergyEngine:
    return EnergyEngine(hop, backend, rectifier)


def _energy(
    wavs: torch.Tensor,
    taps: torch.Tensor,
    pool: torch.Tensor,
    num_valid: torch.Tensor | None,
    offset: int,
    floor: float,
    hop: int,
    backend: str,
    rectifier: str,
) -> torch.Tensor:
    engine = _engine(hop, backend, rectifier)
    if wavs.device.type != "cpu":
        engine = EnergyEngine(hop, backend, rectifier)  # a plan there is one model's
    return engine.compute(wavs, *engine.recall(taps, pool), offset, num_valid, floor)


def _energy_shape(wavs, taps, pool, num_valid, offset, floor, hop, backend, rectifier):
    # No len(), which is a number and would hold for one size of batch only.
    return wavs.new_empty(wavs.shape[0], frame_count(wavs.shape[1], hop), taps.shape[0])


#: `EnergyEngine.__call__` as an operator, for what torch compiles, exports or transforms.
filterbank_energy = operator("filterbank_energy", _energy, _energy_shape)
