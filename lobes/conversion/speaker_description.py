"""The description of a converted speaker network: embeddings without a head, means subtracted."""

#: What no bundle of these keeps.
LEFT_OUT = "the speakers of its training: a bundle without a head gives embeddings"


def describe_speakers(mel: dict, encoder: str, options: dict, followed: str) -> dict:
    """What a bundle of a speaker network says.

    Arguments
    ---------
    mel : options of the frontend `mel`
    encoder, options : of the encoder, its name and what it is built with
    followed : repository@commit of the source
    """
    return {
        "task": "verification",
        "sample_rate": 16000,
        "clip_s": None,
        "labels": [],
        "margin_scale": None,
        "normalization": "sentence_mean",
        "frontend": {"name": "mel", "options": mel},
        "encoder": {"name": encoder, "options": options, "in_frames": None},
        "head": {"name": "none", "options": {}},
        "converted": {
            "followed": followed,
            "licence": "Apache-2.0 (the code's; of weights, what their owner says)",
        },
    }
