"""Units of a recogniser: phones, characters or subwords, as indices and as scored tokens.

Phones are trained on 39, 48 or 61 and scored on 39, whatever they were trained on: reference and
hypothesis are both folded to 39. Characters are scored as characters, subwords as words.

References
----------
R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units",
ACL 2016; google/sentencepiece does it.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Mapping, Sequence

import sentencepiece

from ..system.rules import is_whole
from .phones import PhoneConvention, fold, folding, phones
from .spoken_text import text_of
from .unit_options import KINDS, RATES, unit_problems

BLANK, UNKNOWN = "<blank>", "<unk>"
SCORED_PHONES = 39
_VERSION = 1
# Stands for what the training transcripts do not have; equal to nothing that is spoken.
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"


class Units:
    """The units of a model, index 0 the blank of CTC. `build` makes them, `from_state` remakes them.

    Arguments
    ---------
    kind : a key of `KINDS`.
    labels : the units by index.
    silence_rule : "keep", "collapse" (runs of silence are one, in training targets as well) or
        "optional" (in the score alone); phones only.
    glottal_stop : "delete" or "keep" for ``q``; phones only.
    model : the serialised sentencepiece model of "bpe".

    Example
    -------
    >>> row = {"id": "a", "phones": "h# sh iy q tcl t h#"}
    >>> units = Units.build("phones48", [row])
    >>> len(units.labels), units.labels[0], units.scored_as
    (49, '<blank>', 'phone')
    >>> units.decode(units.encode(row)) == units.reference(row)
    True
    >>> units.reference(row)
    ['sil', 'sh', 'iy', 'sil', 't', 'sil']
    """

    def __init__(
        self,
        kind: str,
        labels: Sequence[str],
        silence_rule: str = "keep",
        glottal_stop: str = "delete",
        model: bytes | None = None,
    ):
        self.kind = kind
        self.labels = tuple(labels)
        self.silence_rule = silence_rule
        self.glottal_stop = glottal_stop
        self._index = {label: index for index, label in enumerate(self.labels)}
        self._model = model
        self._processor = None
        self.convention = None
        if self.scored_as == "phone":
            self.phone_set = int(kind.removeprefix("phones"))
            self.convention = PhoneConvention.timit(SCORED_PHONES, silence_rule, glottal_stop)
            # In training an optional silence is a silence; collapsing changes the targets.
            targets = "collapse" if silence_rule == "collapse" else "keep"
            self._targets = PhoneConvention.timit(self.phone_set, targets, glottal_stop)
            self._to_scored = folding(self.phone_set, SCORED_PHONES, glottal_stop)

    @classmethod
    def build(
        cls,
        kind: str,
        rows: Iterable[Mapping],
        *,
        silence_rule: str = "keep",
        glottal_stop: str = "delete",
        bpe_size: int = 100,
    ) -> Units:
        """The units of the training rows.

        Arguments
        ---------
        kind : a key of `KINDS`.
        rows : training rows with `id` and `phones` (of the 61, separated by spaces), or with
            `words` or `text`.
        silence_rule, glottal_stop : as for the class.
        bpe_size : subwords, the one for the unknown included.

        Raises
        ------
        ValueError
            Another kind or rule; no row; transcripts that do not give so many subwords; an
            utterance without a transcript, named.
        """
        rules = {"silence_rule": silence_rule, "glottal_stop": glottal_stop}
        if problems := unit_problems({"units": kind, **rules, "bpe_size": bpe_size}):
            raise ValueError("; ".join(problems))
        rows = list(rows)
        if not rows:
            raise ValueError("no training row: units are built from at least one")
        if KINDS[kind] == "phone":
            symbols = phones(int(kind.removeprefix("phones")), glottal_stop)
            return cls(kind, (BLANK, *symbols), **rules)
        texts = [text_of(row) for row in rows]
        if kind == "char":
            alphabet = set("abcdefghijklmnopqrstuvwxyz' ").union(*texts)
            return cls(kind, (BLANK, UNKNOWN, *sorted(alphabet)))
        model = train_subwords(texts, bpe_size)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
        return cls(kind, (BLANK, *pieces), model=model)

    @property
    def scored_as(self) -> str:
        """ "phone", "char" or "word"."""
        return KINDS[self.kind]

    def encode(self, row: Mapping) -> list[int]:
        """Indices of a row's transcript, none of them the blank.

        Raises
        ------
        ValueError
            The transcript gives no unit; the utterance is named.
        UnknownPhone
            A symbol that is none of the 61.
        """
        if self.scored_as == "phone":
            folded = self._folded(row, self.phone_set)
            indices = [self._index[phone] for phone in self._targets.prepare(folded)]
        elif self.kind == "char":
            unknown = self._index[UNKNOWN]
            indices = [self._index.get(character, unknown) for character in text_of(row)]
        else:
            indices = [piece + 1 for piece in self._subwords().encode(text_of(row))]
        if not indices:
            raise ValueError(
                f"utterance {row['id']!r} has no unit of {self.kind} in its transcript: "
                "leave it out, or mend the transcript"
            )
        return indices

    def reference(self, row: Mapping) -> list[str]:
        """Tokens of a row's transcript as they are scored."""
        if self.scored_as == "phone":
            return self.convention.prepare(self._folded(row, SCORED_PHONES))
        text = text_of(row)
        return list(text) if self.kind == "char" else text.split()

    def _folded(self, row: Mapping, phone_set: int) -> list[str]:
        symbols = row.get("phones", "").split()
        return fold(symbols, 61, phone_set, self.glottal_stop, where=row["id"])

    def text(self, tokens: Iterable[str]) -> str:
        """Tokens as a line of text; characters as the words that they spell."""
        return ("" if self.scored_as == "char" else " ").join(tokens)

    def decode(self, indices: Iterable[int]) -> list[str]:
        """Tokens of what was recognised as they are scored: phones, characters or words.

        Arguments
        ---------
        indices : what a CTC decoder gives: repeats already merged; blanks are passed over.
        """
        indices = [int(index) for index in indices]
        wrong = [index for index in indices if not 0 <= index < len(self.labels)]
        if wrong:
            raise ValueError(
                f"index {wrong[0]} is no unit: {self.kind} has {len(self.labels)}, the blank included"
            )
        indices = [index for index in indices if index]
        if self.kind == "bpe":
            return self._subwords().decode([index - 1 for index in indices]).split()
        labels = [self.labels[index] for index in indices]
        if self.kind == "char":
            # A space at an end or beside a space is no character that anybody spoke.
            text = "".join(UNKNOWN_CHARACTER if x == UNKNOWN else x for x in labels)
            return list(" ".join(text.split()))
        return self.convention.prepare([self._to_scored[label] for label in labels])

    def describe(self) -> dict:
        """What a result says about its units: what was trained on, and how it is scored."""
        return {
            "kind": self.kind,
            "size": len(self.labels) - 1,
            "scored_as": RATES[self.scored_as],
            **(self.convention.describe() if self.convention else {}),
        }

    def state(self) -> dict:
        """Everything as plain strings, numbers and lists, for JSON."""
        return {
            "version": _VERSION,
            "kind": self.kind,
            "labels": list(self.labels),
            "silence_rule": self.silence_rule,
            "glottal_stop": self.glottal_stop,
            "model": None if self._model is None else base64.b64encode(self._model).decode("ascii"),
        }

    @classmethod
    def from_state(cls, state: Mapping) -> Units:
        """Remake what `state` describes.

        Raises
        ------
        ValueError
            It is no state of units, of a later version, or does not fit itself.
        """
        try:
            if not is_whole(state["version"]) or state["version"] > _VERSION:
                raise ValueError(
                    f"the units are of version {state['version']}, known are those up to "
                    f"{_VERSION}: take a newer auricle"
                )
            kind, labels = state["kind"], list(state["labels"])
            silence_rule, glottal_stop = state["silence_rule"], state["glottal_stop"]
            model = None if state["model"] is None else base64.b64decode(state["model"])
            if not all(isinstance(label, str) for label in labels):
                raise TypeError("labels are text")
        except (KeyError, TypeError, binascii.Error) as error:
            raise ValueError(
                f"this is no state of units ({type(error).__name__}: {error})"
            ) from None
        options = {"units": kind, "silence_rule": silence_rule, "glottal_stop": glottal_stop}
        if problems := unit_problems(options):
            raise ValueError("the state of the units cannot be used: " + "; ".join(problems))
        if labels[:1] != [BLANK] or len(set(labels)) != len(labels):
            raise ValueError(f"the labels of the units must be different and begin with {BLANK!r}")
        units = cls(kind, labels, silence_rule, glottal_stop, model)
        if (kind == "bpe") != (model is not None) or (
            kind == "bpe" and units._num_subwords() != len(labels) - 1
        ):
            raise ValueError(f"the units {kind} and their subword model do not fit each other")
        if units.convention:
            expected = (BLANK, *phones(units.phone_set, glottal_stop))
            if units.labels != expected:
                raise ValueError(f"the labels are not those of {kind} in this auricle")
        return units

    def __reduce__(self):
        return Units.from_state, (self.state(),)

    def _num_subwords(self) -> int | None:
        try:
            return self._subwords().get_piece_size()
        except RuntimeError:  # sentencepiece: it is no model
            return None

    def _subwords(self) -> sentencepiece.SentencePieceProcessor:
        if self._processor is None:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=self._model)
        return self._processor


def train_subwords(texts: Sequence[str], size: int) -> bytes:
    """A serialised sentencepiece model with no other special piece than the unknown, number 0.

    Arguments
    ---------
    texts : transcripts, normalised already.
    size : pieces, the unknown included.

    Raises
    ------
    ValueError
        The transcripts do not give so many pieces, or have more characters.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            character_coverage=1.0,
            normalization_rule_name="identity",  # normalised already
            unk_id=0,
            unk_surface=UNKNOWN_CHARACTER,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[-1]
        most, least = re.search(r"value <= (\d+)", reason), re.search(r"vs (\d+)", reason)
        cure = (
            f"give at most {most[1]}"
            if most
            else f"their characters alone are more: give at least {least[1]}"
            if least
            else reason
        )
        raise ValueError(
            f"bpe_size is {size}, which does not suit {len(texts)} training transcripts: {cure}"
        ) from None
    return model.getvalue()
