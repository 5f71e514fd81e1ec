"""Subword units by byte-pair encoding, trained on transcripts.

References
----------
R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units",
ACL 2016; google/sentencepiece does it.
"""

import io
import re
from collections.abc import Sequence

import sentencepiece

# Stands for what the training transcripts do not have; equal to nothing that is spoken.
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"


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
        said = str(error).strip().splitlines()[-1]
        most, least = re.search(r"value <= (\d+)", said), re.search(r"vs (\d+)", said)
        cure = (
            f"give at most {most[1]}"
            if most
            else f"their characters alone are more: give at least {least[1]}"
            if least
            else said
        )
        raise ValueError(
            f"bpe_size is {size}, which does not suit {len(texts)} training transcripts: {cure}"
        ) from None
    return model.getvalue()
