"""`auricle robustness`: EER under noise, reverberation, codecs and other distortions."""

from typing import Literal


def run(
    bundles: list[str],
    /,
    *,
    trials: str,
    trials_format: Literal["auto", "voxceleb", "kaldi", "wespeaker"] = "auto",
    speakers: str | None = None,
    data_folder: str,
    out: str = "robustness",
    conditions: list[str] | None = None,
    sides: Literal["test", "both"] = "test",
    musan: str | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Measure EER under noise, reverberation, codecs and other distortions.

    Arguments
    ---------
    bundles : BUNDLE
        Trained models, FOLDER or NAME=FOLDER; each further one is compared with the first.
    trials : FILE
        The list.
    trials_format
        '1|0 A B', 'A B target|nontarget', 'A B SCORE target|nontarget'; auto: as it looks.
    speakers : FILE
        Lines 'RECORDING SPEAKER' (Kaldi's utt2spk). Default: a name's first folder.
    data_folder : FOLDER
        Where the audio is.
    out : FOLDER
        Where robustness.json, .md and .png go.
    conditions : NAME,NAME
        noise, reverberation, telephone, mulaw, codec, clipping, speed, or one kind of them (white,
        babble, music, mp3, opus, vorbis). Default: all; clean always.
    sides
        Which recordings of a trial are distorted: the second, or both.
    musan : FOLDER
        Noise, speech and music of MUSAN in place of generated sounds.
    n_resamples : N
        Draws of speakers for the intervals; 0: no intervals, no comparison.
    seed
        Of the distortions and the intervals' draws.
    json
        Print JSON.
    """
    from ..inference.robustness import robustness

    robustness(
        bundles,
        trials,
        data_folder,
        out=out,
        conditions=conditions,
        sides=sides,
        musan=musan,
        trials_format=trials_format,
        speakers=speakers,
        n_resamples=n_resamples,
        seed=seed,
        as_json=json,
    )
