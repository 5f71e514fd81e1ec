"""Alignment of token sequences with the fewest edits, many pairs at a time.

Definitions:

- The edits of a pair are the fewest substitutions, deletions and insertions that turn the
  reference into the hypothesis, each of cost 1.
- Several alignments can have the fewest edits. Walking back from the end, an insertion is taken
  before a deletion, and a deletion before a match or substitution: the split into the three kinds
  is then that of Kaldi's ``compute-wer`` and SpeechBrain's ``ErrorRateStats``. (sclite weighs a
  substitution 4 and the others 3, so its number of edits may be larger, and is never smaller.)
- Optional tokens (silences, rule "optional"): one that is not matched costs nothing, on either
  side, and it is aligned with an equal token or with nothing, never with another one. Among the
  alignments of fewest edits one with the most matched optional tokens is taken. The number of
  edits is that of the strings without optional tokens.

References
----------
R. Wagner and M. Fischer, "The string-to-string correction problem", Journal of the ACM 21, 1974.
speechbrain/speechbrain@v1.1.2, speechbrain/utils/edit_distance.py (order of ties).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_STOP, _MATCH, _DELETE, _INSERT = range(4)
_MAX_CELLS = 4_000_000  # cells of the tables of operations held at once: 4 MB
_MOST_CELLS_OF_A_PAIR = 10**9  # 1 GB; half an hour of speech in characters


@dataclass(frozen=True)
class Alignment:
    """A reference, a hypothesis, and the steps that lead from one to the other.

    Each character of `steps` is a step: C correct, S substitution, D deletion, I insertion, and
    d, i for an optional token that only the reference or only the hypothesis has (free).

    Example
    -------
    >>> alignment = align([["sil", "ae", "t"]], [["sil", "eh", "t", "s"]])[0]
    >>> alignment.steps, alignment.edits
    ('CSCI', 2)
    >>> alignment.pairs()[1:]
    [('ae', 'eh'), ('t', 't'), (None, 's')]
    """

    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]
    steps: str

    @property
    def edits(self) -> int:
        """Substitutions, deletions and insertions together."""
        return sum(self.steps.count(kind) for kind in "SDI")

    def pairs(self) -> list[tuple[str | None, str | None]]:
        """(reference token, hypothesis token) of every step; None on the side that has nothing."""
        reference, hypothesis = iter(self.reference), iter(self.hypothesis)
        return [
            (None if s in "Ii" else next(reference), None if s in "Dd" else next(hypothesis))
            for s in self.steps
        ]


def align(
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[Sequence[str]],
    optional: Iterable[str] = (),
) -> list[Alignment]:
    """Align hypotheses to references with the fewest edits, many utterances at a time.

    The tables of utterances of similar length are filled together, a row of all of them per step.
    Time and memory grow with the product of the lengths of a pair: one byte per cell.

    Arguments
    ---------
    references, hypotheses : B lists of tokens each; a list may be empty.
    optional : tokens that cost nothing where they are not matched.

    Returns
    -------
    B alignments, in the order given.

    Raises
    ------
    ValueError
        Not equally many, too long, a string where a list of tokens belongs, or a token that cannot be
        compared (a list), with the number of the pair.

    Example
    -------
    >>> align([["a", "sil", "b"]], [["a", "c", "b", "sil"]], optional=["sil"])[0].steps
    'CdICi'
    """
    references = [as_tokens(r, f"reference {k}") for k, r in enumerate(references, 1)]
    hypotheses = [as_tokens(h, f"hypothesis {k}") for k, h in enumerate(hypotheses, 1)]
    optional = as_tokens(optional, "optional")
    if len(references) != len(hypotheses):
        raise ValueError(
            f"{len(references)} references and {len(hypotheses)} hypotheses: give pairs"
        )
    number: dict[str, int] = {}
    for tokens in (*references, *hypotheses):
        for token in tokens:
            number.setdefault(token, len(number))
    # two more places: what stands for padding (-1, -2) is never optional
    is_optional = np.zeros(len(number) + 2, dtype=bool)
    is_optional[[number[token] for token in optional if token in number]] = True

    sizes = [(len(r), len(h)) for r, h in zip(references, hypotheses, strict=True)]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    longest = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    if longest[0] * longest[1] > _MOST_CELLS_OF_A_PAIR:
        raise ValueError(
            f"{longest[0]} and {longest[1]} tokens of one utterance are too many to be aligned "
            f"({_MOST_CELLS_OF_A_PAIR:.0e} pairs of tokens are allowed): split it"
        )
    steps = [""] * len(order)
    for block in _blocks(order, references, hypotheses):
        reference, reference_lengths = _to_numbers([references[k] for k in block], number, -1)
        hypothesis, hypothesis_lengths = _to_numbers([hypotheses[k] for k in block], number, -2)
        table = _operations(reference, hypothesis, is_optional)
        walked = _walk_back(table, reference_lengths, hypothesis_lengths)
        for k, operations in zip(block, walked, strict=True):
            steps[k] = _name_steps(operations, references[k], hypotheses[k], number, is_optional)
    return [Alignment(*parts) for parts in zip(references, hypotheses, steps, strict=True)]


def as_tokens(tokens: Iterable[str], where: str = "") -> tuple[str, ...]:
    """A list of tokens as a tuple, refused if it is a string or holds what cannot be compared.

    Arguments
    ---------
    tokens : the tokens in order.
    where : what to name in an error, such as the utterance.

    Raises
    ------
    ValueError
        A string, no list at all, or a token that is itself a list, a dict or a set.

    Example
    -------
    >>> as_tokens(["a", "b"])
    ('a', 'b')
    """
    place = f"{where}: " if where else ""
    if isinstance(tokens, (str, bytes)):
        raise ValueError(f"{place}give a list of tokens, not the string {tokens!r}: split it first")
    try:
        tokens = tuple(tokens)
    except TypeError:
        raise ValueError(f"{place}give a list of tokens, not {tokens!r}") from None
    for position, token in enumerate(tokens):
        try:
            hash(token)
        except TypeError:
            raise ValueError(
                f"{place}{token!r} (token {position + 1}) is no token: give strings"
            ) from None
    return tokens


def _blocks(order: list[int], references, hypotheses) -> Iterable[list[int]]:
    """Utterances of similar length, as many as fit into the memory for one go."""
    block: list[int] = []
    rows = columns = 0
    for k in order:
        more_rows = max(rows, len(references[k]) + 1)
        more_columns = max(columns, len(hypotheses[k]) + 1)
        if block and (len(block) + 1) * more_rows * more_columns > _MAX_CELLS:
            yield block
            block, more_rows, more_columns = [], len(references[k]) + 1, len(hypotheses[k]) + 1
        block.append(k)
        rows, columns = more_rows, more_columns
    if block:
        yield block


def _to_numbers(
    sequences: list[tuple[str, ...]], number: Mapping[str, int], padding: int
) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(tokens) for tokens in sequences])
    padded = np.full((len(sequences), lengths.max()), padding, np.int64)
    for row, tokens in zip(padded, sequences, strict=True):
        row[: len(tokens)] = [number[token] for token in tokens]
    return padded, lengths


def _operations(
    reference: np.ndarray, hypothesis: np.ndarray, is_optional: np.ndarray
) -> np.ndarray:
    """The last step of the best way to every cell: (B, I), (B, J) -> (B, I + 1, J + 1), uint8.

    An edit weighs more than all tokens together, an unmatched optional token 1: the fewest edits
    first, then the most matches of optional tokens.
    """
    size, rows, columns = len(reference), reference.shape[1], hypothesis.shape[1]
    edit = rows + columns + 1
    deleting = np.where(is_optional[reference], 1, edit)
    inserting = np.where(is_optional[hypothesis], 1, edit)
    inserted = np.zeros((size, columns + 1), np.int64)  # the cost of inserting everything so far
    np.cumsum(inserting, axis=1, out=inserted[:, 1:])
    table = np.empty((size, rows + 1, columns + 1), np.uint8)
    table[:, 0, :], table[:, :, 0], table[:, 0, 0] = _INSERT, _DELETE, _STOP
    before = inserted
    for i in range(rows):
        token = reference[:, i : i + 1]
        different = np.where(is_optional[token] | is_optional[hypothesis], 3 * edit, edit)
        by_match = before[:, :-1] + np.where(token == hypothesis, 0, different)
        by_deletion = before + deleting[:, i : i + 1]
        row = by_deletion.copy()
        np.minimum(row[:, 1:], by_match, out=row[:, 1:])
        # row[j] = min over k <= j of (row[k] + the cost of inserting k + 1 ... j)
        row = np.minimum.accumulate(row - inserted, axis=1) + inserted
        is_insertion = row[:, 1:] == row[:, :-1] + inserting
        is_deletion = row[:, 1:] == by_deletion[:, 1:]
        table[:, i + 1, 1:] = np.select([is_insertion, is_deletion], [_INSERT, _DELETE], _MATCH)
        before = row
    return table


def _walk_back(
    table: np.ndarray, reference_lengths: np.ndarray, hypothesis_lengths: np.ndarray
) -> list[np.ndarray]:
    """The operations from the beginning to the end of every utterance."""
    which = np.arange(len(table))
    i, j = reference_lengths.copy(), hypothesis_lengths.copy()
    walked = []
    while (now := table[which, i, j]).any():
        walked.append(now)
        i -= (now == _MATCH) | (now == _DELETE)
        j -= (now == _MATCH) | (now == _INSERT)
    if not walked:
        return [np.zeros(0, np.uint8) for _ in which]
    path = np.array(walked).T
    return [way[:length][::-1] for way, length in zip(path, (path > 0).sum(1), strict=True)]


def _name_steps(operations: np.ndarray, reference, hypothesis, number, is_optional) -> str:
    i = j = 0
    names = []
    for operation in operations.tolist():
        if operation == _MATCH:
            names.append("C" if reference[i] == hypothesis[j] else "S")
        elif operation == _DELETE:
            names.append("d" if is_optional[number[reference[i]]] else "D")
        else:
            names.append("i" if is_optional[number[hypothesis[j]]] else "I")
        i += operation != _INSERT
        j += operation != _DELETE
    return "".join(names)
