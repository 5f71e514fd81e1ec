"""Phone, character and word error rates: edits of all utterances over all reference tokens.

Definitions:

- Error rate = edits of all utterances / reference tokens of all utterances; never a mean of rates.
- ``per_utterance_mean`` is that mean of rates, a short utterance weighing as much as a long one. It
  is what studies print that score each utterance for itself with fastwer, and is comparable with
  theirs at most (same phones, same silences), never with an error rate.
- What an edit is, how ties are split into the three kinds, and what optional silences cost is
  `auricle.processing.scoring.transcription.alignment`'s.
- The divisor counts the optional tokens of the reference too, so that it depends on the reference
  alone. Those that cost nothing are counted apart.
- Characters: the space between two words is one, as ``list(" ".join(words))`` has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...system.listing import first_of
from ...system.rules import choice
from ...transcription.phones import PhoneConvention, is_token
from ...transcription.unit_options import RATES
from ..bootstrap import percentile_interval, ratio
from ..collector import Collector
from ..recording_names import spelling_hint
from .alignment import Alignment, align, as_tokens


class EditCounts(Collector):
    """Collects transcripts, merges shards exactly, and scores them.

    Arguments
    ---------
    unit : "phone" (PER), "char" (CER) or "word" (WER).
    convention : for phones, and only for them: set, silence rule, glottal-stop rule. It is applied
        to both sides.
    allow_empty_references : without it an utterance whose reference has no token is an error;
        with it everything said there is an insertion.

    Raises
    ------
    ValueError
        Another unit, phones without a convention, a convention without phones.

    Example
    -------
    >>> counts = EditCounts("word")
    >>> counts.append(["u1"], references=[["the", "cat"]], hypotheses=[["the", "hat"]])
    >>> other = EditCounts("word")
    >>> other.append(["u2"], references=[["sat", "down"]], hypotheses=[["sat", "down"]])
    >>> summary = counts.merge(other).summarize()
    >>> summary["wer"], summary["edits"], summary["reference_tokens"]
    (0.25, 1, 4)
    """

    item = "utterance"

    def __init__(
        self,
        unit: str = "phone",
        convention: PhoneConvention | None = None,
        *,
        allow_empty_references: bool = False,
    ):
        choice("unit", unit, RATES)
        if unit == "phone" and not isinstance(convention, PhoneConvention):
            raise ValueError(
                "a phone error rate needs its convention: PhoneConvention.timit(39), or "
                f"PhoneConvention(phone_set=NAME, symbols=[...]) for other phones; got {convention!r}"
            )
        if unit != "phone" and convention is not None:
            raise ValueError(f"a phone convention says nothing about units {unit!r}: leave it out")
        super().__init__()
        self.unit = unit
        self.convention = convention
        self.allow_empty_references = bool(allow_empty_references)
        self._aligned: dict[str, Alignment] = {}

    def append(
        self,
        ids: Sequence[str],
        references: Sequence[Sequence[str]],
        hypotheses: Sequence[Sequence[str]],
    ) -> None:
        """Add a batch of utterances; after an error nothing of the batch has been added.

        Arguments
        ---------
        ids : one unique name per utterance; it is what detects an utterance scored twice.
        references, hypotheses : lists of tokens, one list per utterance. A hypothesis may be empty.

        Raises
        ------
        ValueError
            Empty batch, lengths that differ, an id seen before, an empty reference, something
            that is no token.
        UnknownPhone
            A symbol that is not in the convention's set, named with its utterance.
        """
        ids, references, hypotheses = list(ids), list(references), list(hypotheses)
        self._check_ids(ids)
        if not len(ids) == len(references) == len(hypotheses):
            raise ValueError(
                f"{len(ids)} ids, {len(references)} references and {len(hypotheses)} hypotheses: "
                "give one of each per utterance"
            )
        records = {}
        for name, reference, hypothesis in zip(ids, references, hypotheses, strict=True):
            reference = self._prepare(reference, f"utterance {name!r}, reference")
            hypothesis = self._prepare(hypothesis, f"utterance {name!r}, hypothesis")
            if not reference and not self.allow_empty_references:
                raise ValueError(
                    f"utterance {name!r} has an empty reference: an error rate has nothing to "
                    "divide by; leave it out, or allow empty references (what is said there then "
                    "counts as insertions)"
                )
            records[name] = (reference, hypothesis)
        self._add(records)

    def state(self) -> dict:
        """Everything collected, as plain strings and lists: for `all_gather_object` or JSON."""
        return {
            "unit": self.unit,
            "convention": self.convention and self.convention.state(),
            "allow_empty_references": self.allow_empty_references,
            "ids": list(self._records),
            "references": [list(reference) for reference, _ in self._records.values()],
            "hypotheses": [list(hypothesis) for _, hypothesis in self._records.values()],
        }

    @classmethod
    def _restored(cls, state: dict) -> EditCounts:
        convention = state["convention"] and PhoneConvention(**state["convention"])
        shard = cls(
            state["unit"], convention, allow_empty_references=state["allow_empty_references"]
        )
        if state["ids"]:
            shard.append(state["ids"], state["references"], state["hypotheses"])
        return shard

    def alignments(self) -> dict[str, Alignment]:
        """The alignment of every utterance, in the order of the names."""
        new = sorted(self._records.keys() - self._aligned.keys())
        optional = self.convention.optional if self.convention else ()
        if new:
            aligned = align(*zip(*(self._records[n] for n in new), strict=True), optional)
            self._aligned.update(zip(new, aligned, strict=True))
        return {name: self._aligned[name] for name in sorted(self._records)}

    def confusion(self) -> tuple[list[str], np.ndarray]:
        """Which token was taken for which: symbols (S,) and counts (S + 1, S + 1), int64.

        Rows are the reference, columns the hypothesis. The last column counts deletions, the last
        row insertions; their common cell is 0. Free optional tokens are in no cell. The symbols
        are the convention's, or all that occur, in alphabetical order.
        """
        pairs = Counter()
        for alignment in self.alignments().values():
            scored = zip(alignment.steps, alignment.pairs(), strict=True)
            pairs.update(pair for step, pair in scored if step not in "di")
        if self.convention:
            symbols = sorted(self.convention.symbols)
        else:
            symbols = sorted({token for pair in pairs for token in pair} - {None})
        place = {symbol: index for index, symbol in enumerate(symbols)}
        matrix = np.zeros((len(symbols) + 1,) * 2, np.int64)
        for (reference, hypothesis), times in pairs.items():
            matrix[place.get(reference, -1), place.get(hypothesis, -1)] = times
        return symbols, matrix

    def summarize(
        self, *, n_resamples: int = 1000, seed: int = 0, confidence: float = 0.95
    ) -> dict:
        """The error rate with its convention, counts and interval, ready for a results file.

        The same utterances give the same numbers in whatever order or number of shards they came.
        The interval is the percentile bootstrap over utterances. It is None, with the reason as
        its method, where it would mean nothing: a single utterance, no edit at all, every
        utterance alike, or so many empty references that a resample could consist of them.

        Arguments
        ---------
        n_resamples, seed, confidence : as for `percentile_interval`.

        Returns
        -------
        dict with "per", "cer" or "wer" (a share: 0.1478; above 1 with many insertions), unit,
        phone_set, silence_rule and glottal_stop (phones only), reference_tokens,
        hypothesis_tokens, edits, hits, substitutions, deletions, insertions, optional {matched,
        deleted, inserted}, n (utterances), n_with_edits, per_utterance_mean (mean over utterances
        of edits / reference tokens, those without a token left out; not the error rate),
        interval, and for phones and characters confusion {labels, counts}: the labels of the rows
        end with "<ins>", those of the columns with "<del>".

        Raises
        ------
        ValueError
            No utterance, or no reference token in any of them.
        """
        if not self._records:
            raise ValueError("nothing to score: append at least one utterance")
        alignments = self.alignments().values()
        kinds = Counter("".join(alignment.steps for alignment in alignments))
        counts = np.array([[a.edits, len(a.reference)] for a in alignments])
        edits, tokens = counts.sum(axis=0).tolist()
        if not tokens:
            raise ValueError("no reference has a token: an error rate has nothing to divide by")
        rate = RATES[self.unit]
        draw = {"n_resamples": n_resamples, "seed": seed, "confidence": confidence}
        summary = {
            rate: edits / tokens,
            **self._describe(),
            "reference_tokens": tokens,
            "hypothesis_tokens": sum(len(a.hypothesis) for a in alignments),
            "edits": edits,
            "hits": kinds["C"],
            "substitutions": kinds["S"],
            "deletions": kinds["D"],
            "insertions": kinds["I"],
            "optional": self._count_optional(kinds),
            "n": len(self),
            "n_with_edits": int((counts[:, 0] > 0).sum()),
            "per_utterance_mean": _mean_of_rates(counts),
            "interval": _interval(rate, counts, draw),
        }
        if self.unit != "word":  # a table of words would have thousands of rows
            symbols, matrix = self.confusion()
            labels = {"reference": [*symbols, "<ins>"], "hypothesis": [*symbols, "<del>"]}
            summary["confusion"] = {"labels": labels, "counts": matrix.tolist()}
        return summary

    def _count_optional(self, kinds: Counter) -> dict | None:
        if not (self.convention and self.convention.optional):
            return None
        optional = set(self.convention.optional)
        total = sum(token in optional for a in self._aligned.values() for token in a.reference)
        return {"matched": total - kinds["d"], "deleted": kinds["d"], "inserted": kinds["i"]}

    def _prepare(self, tokens: Iterable[str], where: str) -> tuple[str, ...]:
        tokens = as_tokens(tokens, where)
        if self.convention:
            return tuple(self.convention.prepare(tokens, where=where))
        for token in tokens:
            if not is_token(token) and not (self.unit == "char" and token == " "):
                raise ValueError(
                    f"{where}: {token!r} is no token: give non-empty strings without white space"
                )
            if self.unit == "char" and len(token) != 1:
                raise ValueError(f"{where}: {token!r} is not one character")
        return tokens

    def _describe(self) -> dict:
        return {"unit": self.unit, **(self.convention.describe() if self.convention else {})}

    def _settings(self) -> dict:
        empty = {"allow_empty_references": self.allow_empty_references}
        symbols = self.convention and (self.convention.symbols, self.convention.silent)
        return {**self._describe(), **empty, "symbols": symbols}


def _mean_of_rates(counts: np.ndarray) -> float:
    """Mean of edits / tokens over the utterances (n, 2) that have a reference token."""
    edits, tokens = counts[counts[:, 1] > 0].T
    return float((edits / tokens).mean())


def _interval(rate: str, counts: np.ndarray, draw: dict) -> dict:
    """The bootstrap interval of edits / tokens from (n, 2), or why there is none."""
    n, empty = len(counts), int((counts[:, 1] == 0).sum())
    bounds, method = None, "percentile bootstrap"
    if n < 2:
        method = "none: a single utterance"
    elif not counts[:, 0].any():
        method = "none: no edit, so that every resample is alike"
    elif (empty / n) ** n * draw["n_resamples"] > 1e-6:
        method = "none: a resample could consist of empty references"
    else:
        bounds = percentile_interval(ratio, counts, **draw)
        if bounds[0] == bounds[1]:
            bounds, method = None, "none: every utterance has the same rate"
    return {rate: bounds, **draw, "over": "utterance", "n_groups": n, "method": method}


def score_transcripts(
    references: Mapping[str, Sequence[str]],
    hypotheses: Mapping[str, Sequence[str]],
    unit: str = "phone",
    convention: PhoneConvention | None = None,
    *,
    allow_empty_references: bool = False,
) -> EditCounts:
    """Counts of two sets of transcripts {utterance: tokens} that have the same utterances.

    Raises
    ------
    ValueError
        An utterance that only one side has, by name, and what `EditCounts` refuses.

    Example
    -------
    >>> counts = score_transcripts({"u": ["a", "b"]}, {"u": ["a"]}, "word")
    >>> counts.summarize()["deletions"]
    1
    """
    complaints = [
        f"{len(only)} of the {here} without a {there}: {first_of(map(repr, sorted(only)))}"
        for here, there, only in (
            ("references", "hypothesis", references.keys() - hypotheses.keys()),
            ("hypotheses", "reference", hypotheses.keys() - references.keys()),
        )
        if only
    ]
    if complaints:
        raise ValueError(
            "references and hypotheses must be of the same utterances: "
            + "; ".join(complaints)
            + " (an utterance in which nothing was recognised is a line with its name alone)"
            + spelling_hint(min(references.keys() - hypotheses.keys(), default=""), hypotheses)
        )
    counts = EditCounts(unit, convention, allow_empty_references=allow_empty_references)
    ids = list(references)
    counts.append(ids, [references[n] for n in ids], [hypotheses[n] for n in ids])
    return counts
