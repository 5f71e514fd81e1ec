"""CTC decoding of log-probabilities per step to units: greedy, or by prefix beam search.

Both are SpeechBrain's. A decoder is a callable (log-probabilities (B, N, C), steps (B,)) -> list of
index lists; index 0 is the blank and never in them.
"""

import sys
from collections.abc import Sequence

import torch
from speechbrain.decoders.ctc import CTCPrefixBeamSearcher, ctc_greedy_decode

from ..system.rules import is_whole, number, one_of, wrong_values
from .bigram import Bigram

DECODINGS = ("greedy", "beam")
BLANK_INDEX = 0
#: Of a beam: more are no better and take all memory.
MOST_PREFIXES = 10_000
# SpeechBrain's searcher knows a prefix by its text, in which the names of units would run into each
# other ("s" "h", "sh"): each unit is one character of a private area of Unicode.
_FIRST_CHARACTER = 0xF0000


class GreedyDecoder:
    """The most probable unit of every step; repeats are merged, then blanks deleted.

    Example
    -------
    >>> steps = torch.tensor([[[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]]]).log()
    >>> GreedyDecoder()(steps, torch.tensor([4])), GreedyDecoder()(steps, torch.tensor([3]))
    ([[1, 1]], [[1]])
    """

    def __call__(self, log_probabilities: torch.Tensor, steps: torch.Tensor) -> list[list[int]]:
        log_probabilities, counts = _on_cpu(log_probabilities, steps)
        # SpeechBrain turns relative lengths into steps by rounding: they come back exactly.
        relative = torch.tensor(counts, dtype=torch.float64) / max(log_probabilities.shape[1], 1)
        return ctc_greedy_decode(log_probabilities, relative, blank_id=BLANK_INDEX)


class BeamDecoder:
    """Prefix beam search: the units whose alignments are together the most probable.

    With a bigram the prefixes are ranked by ``log P(units | sound) + lm_weight * (log P_bigram -
    their number * the bigram's mean per unit in training)``. The mean is subtracted because a
    bigram alone favours short transcripts; so the weight decides which units, and not how many.

    Which alignments a search has dropped on its way changes what it thinks of a prefix, so those
    that are left, and what greedy decoding says, are ranked in the end by their exact probability:
    without a bigram the result is never less probable than greedy decoding's. There the bigram
    scores the end of the utterance as well.

    Arguments
    ---------
    labels : the units by index; index 0 is the blank.
    beam_size : prefixes kept per step.
    lm_weight : 0 or more; 0: the bigram is not used.
    bigram : `Bigram` of these units; needed if lm_weight is not 0.
    unit_prune_logp : units whose log-probability at a step is lower are not tried there; the best
        unit always is.
    beam_prune_logp : prefixes that are so much worse than the best are dropped.

    References
    ----------
    A. Graves and N. Jaitly, "Towards End-to-End Speech Recognition with Recurrent Neural Networks",
    ICML 2014 (prefix search). Followed: SpeechBrain's CTCPrefixBeamSearcher; its KenLM scorer needs
    words and KenLM, so its hook for language models, `get_lm_beams`, is given the bigram.

    Example
    -------
    The best path is two blanks; but "a" has three alignments:

    >>> steps = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    >>> GreedyDecoder()(steps, torch.tensor([2])), BeamDecoder(["-", "a"])(steps, torch.tensor([2]))
    ([[]], [[1]])
    """

    def __init__(
        self,
        labels: Sequence[str],
        beam_size: int = 16,
        lm_weight: float = 0.0,
        bigram: Bigram | None = None,
        *,
        unit_prune_logp: float = -7.0,
        beam_prune_logp: float = -15.0,
    ):
        if problems := decoding_problems({"beam_size": beam_size, "lm_weight": lm_weight}):
            raise ValueError("; ".join(problems))
        if lm_weight and bigram is None:
            raise ValueError(f"lm_weight is {lm_weight} and there is no bigram: give one, or 0")
        if bigram is not None and bigram.num_labels != len(labels):
            raise ValueError(
                f"the bigram has {bigram.num_labels} labels and the units {len(labels)}, the blank "
                "included: they must be trained on the same units"
            )
        self._num_labels = len(labels)
        self._lm_weight = float(lm_weight)
        self._bigram = bigram if lm_weight else None
        characters = [chr(_FIRST_CHARACTER + index) for index in range(len(labels))]
        self._searcher = _Searcher(
            BLANK_INDEX,
            characters,
            space_token=characters[BLANK_INDEX],  # there are no words; otherwise it warns
            beam_size=int(beam_size),
            beam_prune_logp=beam_prune_logp,
            token_prune_min_logp=unit_prune_logp,
            prune_history=False,  # a history of words, and there are none
            topk=int(beam_size),
        )
        self._searcher.score_prefix = self._score_prefix if self._bigram else None

    def __call__(self, log_probabilities: torch.Tensor, steps: torch.Tensor) -> list[list[int]]:
        log_probabilities, counts = _on_cpu(log_probabilities, steps)
        if log_probabilities.shape[2] != self._num_labels:
            raise ValueError(
                f"{log_probabilities.shape[2]} log-probabilities per step, and {self._num_labels} "
                "labels"
            )
        # By item and with whole steps: a batch would be given relative lengths, which are cut off.
        return list(map(self._decode, log_probabilities, counts))

    def _decode(self, log_probabilities: torch.Tensor, count: int) -> list[int]:
        if not count:
            return []
        item = log_probabilities[:count]
        hypotheses = self._searcher.decode_log_probs(item.numpy(), count)
        transcripts = [_indices(hypothesis.text) for hypothesis in hypotheses]
        (greedy,) = GreedyDecoder()(item[None], torch.tensor([count]))
        if greedy not in transcripts:
            transcripts.append(greedy)
        scores = _log_probabilities_of(transcripts, item)
        if self._bigram is not None:
            weighted = (self._lm_weight * self._lm_score(units) for units in transcripts)
            scores = [a + b for a, b in zip(scores, weighted, strict=True)]
        return max(zip(scores, transcripts, strict=True), key=lambda pair: pair[0])[1]

    def _lm_score(self, indices: list[int]) -> float:
        return self._bigram.log_probability(indices) - len(indices) * self._bigram.mean

    def _score_prefix(self, text: str, known: dict[str, float]) -> float:
        """Weighted score of a prefix without its end, from that of the prefix before."""
        if not text:
            return 0.0
        if text not in known:
            before, after = ([BLANK_INDEX] + _indices(text[-2:]))[-2:]
            step = self._bigram.log_probabilities[before, after] - self._bigram.mean
            known[text] = self._score_prefix(text[:-1], known) + self._lm_weight * float(step)
        return known[text]


class _Searcher(CTCPrefixBeamSearcher):
    """SpeechBrain's search with another language model than KenLM's."""

    score_prefix = None

    def get_lm_beams(self, beams, cached_lm_scores, cached_partial_token_scores, is_eos=False):
        scored = super().get_lm_beams(beams, cached_lm_scores, cached_partial_token_scores, is_eos)
        if self.score_prefix is not None:
            for beam in scored:
                # The cache lasts for one item; without KenLM nobody else uses it.
                beam.lm_score = beam.score + self.score_prefix(beam.text, cached_lm_scores)
        return scored


def build_decoder(
    decoding: str,
    labels: Sequence[str],
    beam_size: int = 16,
    lm_weight: float = 0.0,
    bigram: Bigram | None = None,
) -> GreedyDecoder | BeamDecoder:
    """The decoder that a configuration describes.

    Arguments
    ---------
    decoding : "greedy" or "beam".
    labels, beam_size, lm_weight, bigram : as for `BeamDecoder`; greedy decoding has no use for them.

    Raises
    ------
    ValueError
        Another decoding; what `BeamDecoder` refuses.
    """
    if problems := decoding_problems({"decoding": decoding}):
        raise ValueError("; ".join(problems))
    if decoding == "greedy":
        return GreedyDecoder()
    return BeamDecoder(labels, beam_size, lm_weight, bigram)


def decoding_problems(options: dict) -> list[str]:
    """What is wrong with `decoding`, `beam_size` and `lm_weight`, as far as given.

    Example
    -------
    >>> decoding_problems({"decoding": "beam", "beam_size": 0})
    ['beam_size is 0; it must be a whole number of prefixes from 1 to 10000']
    """
    rules = {
        "decoding": one_of(DECODINGS, "can be greedy or beam"),
        "beam_size": (
            lambda value: is_whole(value, 1) and value <= MOST_PREFIXES,
            f"must be a whole number of prefixes from 1 to {MOST_PREFIXES}",
        ),
        "lm_weight": number(0, sys.float_info.max, "must be a number, 0 or more"),
    }
    problems = wrong_values(options, rules, "{name} is {value!r}; it {what}")
    if not problems and options.get("lm_weight") and options.get("decoding") == "greedy":
        problems.append(
            f"lm_weight is {options['lm_weight']!r}, and greedy decoding has no bigram: decoding beam"
        )
    return problems


def _log_probabilities_of(transcripts: list[list[int]], item: torch.Tensor) -> list[float]:
    """Of each transcript over all its alignments with an item (N, C)."""
    loss = torch.nn.functional.ctc_loss(
        item.double()[:, None].expand(-1, len(transcripts), -1),
        torch.tensor([unit for units in transcripts for unit in units], dtype=torch.long),
        torch.full((len(transcripts),), len(item)),
        torch.tensor([len(units) for units in transcripts]),
        blank=BLANK_INDEX,
        reduction="none",
    )
    return (-loss).tolist()


def _indices(text: str) -> list[int]:
    return [ord(character) - _FIRST_CHARACTER for character in text]


def _on_cpu(log_probabilities, steps) -> tuple[torch.Tensor, list[int]]:
    """(B, N, C) float32 and the steps as whole numbers.

    Raises
    ------
    ValueError
        Another shape; steps that are not there.
    """
    counts = [int(count) for count in steps]
    if log_probabilities.dim() != 3 or len(counts) != len(log_probabilities):
        raise ValueError(
            f"log-probabilities must be (B, N, C) and steps (B,), got "
            f"{tuple(log_probabilities.shape)} and {len(counts)} numbers of steps"
        )
    wrong = [count for count in counts if not 0 <= count <= log_probabilities.shape[1]]
    if wrong:
        raise ValueError(f"an item of {wrong[0]} steps in a batch of {log_probabilities.shape[1]}")
    return log_probabilities.detach().float().cpu(), counts
