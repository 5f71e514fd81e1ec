"""`auricle robustness`: EER under noise, reverberation, codecs and other distortions."""

from pathlib import Path
from typing import Literal

from ..reports.printing import show


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
    from ...processing.data.distortions.conditions import choose
    from ...processing.data.musan import Musan
    from ...processing.data.synthetic import is_mini
    from ...processing.plots.common import save_figure
    from ...processing.plots.robustness import robustness_picture
    from ...processing.scoring.verification.trials import read_trials
    from ...processing.system.files import write_json, write_text
    from ..inference.extraction import folder_reader
    from ..inference.input_files import read_speakers
    from ..inference.robustness import Design, evaluate, open_systems
    from ..reports.robustness_table import markdown

    # What is cheap to refuse is refused before an hour of work.
    chosen = choose(conditions)
    trial_list = read_trials(trials, trials_format)
    noises = Musan(musan) if musan else None
    speaker_of = read_speakers(speakers) if speakers else None
    systems, models = open_systems(bundles)
    report = evaluate(
        systems,
        trial_list,
        {name: folder_reader(data_folder, system.sample_rate) for name, system in systems.items()},
        chosen,
        Design(sides, noises, speaker_of, n_resamples, seed),
        progress=True,
    )
    report |= {"models": models, "synthetic": is_mini(data_folder)}
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "robustness.json", report, indent=1)
    text = markdown(report)
    write_text(folder / "robustness.md", text)
    picture = save_figure(robustness_picture(report), folder / "robustness.png")
    files = ", ".join(str(folder / f"robustness.{end}") for end in ("json", "md"))
    show(report, [text, f"Written: {files}", f"Picture: {picture}"], json, indent=1)
