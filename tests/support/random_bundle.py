"""A bundle of random weights, for tests of what is done with trained models."""

import torch

from auricle.lobes import build_model, bundles, count_frames

__all__ = ["emotion_bundle", "random_bundle"]


def random_bundle(
    folder,
    frontend="mel",
    encoder="linear",
    labels=("no", "yes"),
    task="keyword_spotting",
    *,
    seed=0,
    sample_rate=16000,
    clip_s=1.0,
    in_frames=None,
    normalization="sentence",
    frontend_options=None,
    encoder_options=None,
    head="classifier",
    change=None,
    **description,
):
    """Write a bundle and return its folder; `change(model)` is called before it is written."""
    torch.manual_seed(seed)
    frontend_options, encoder_options = frontend_options or {}, encoder_options or {}
    parts = {"frontend": frontend, "encoder": encoder, "sample_rate": sample_rate}
    parts |= {"normalization": normalization}
    model = build_model(
        **parts,
        frontend_options={frontend: frontend_options},
        encoder_options={encoder: encoder_options},
        clip_s=clip_s,
        in_frames=in_frames,
        head=head,
        num_outputs=len(labels),
    )
    if change is not None:
        with torch.no_grad():
            change(model)
    in_frames = in_frames or count_frames(model.compute_features, clip_s)
    about = {
        "task": task,
        "sample_rate": sample_rate,
        "clip_s": clip_s,
        "labels": list(labels),
        "normalization": normalization,
        "frontend": {"name": frontend, "options": frontend_options},
        "encoder": {"name": encoder, "options": encoder_options, "in_frames": in_frames},
        "head": {"name": head, "options": {}},
        **description,
    }
    return bundles.save(folder, about, model)


def emotion_bundle(folder, encoder, frontend="mel", head="regression", **changes):
    """A bundle of music emotion at 8 kHz; with another head, what passes for one of keywords."""
    task = "music_emotion" if head == "regression" else "keyword_spotting"
    about = {"scale": {"low": 1.0, "high": 9.0}, "target": "static", "normalization": "none"}
    about |= {"seed": 1, "sample_rate": 8000, "head": head, **changes}
    return random_bundle(folder, frontend, encoder, ("valence", "arousal"), task, **about)
