"""`auricle score`: its options, for transcripts and for verification trials."""

from __future__ import annotations

from ...processing.transcription.phones import GLOTTAL_STOP_RULES, PHONE_SETS, SILENCE_RULES
from .common import add_command
from .trial_options import (
    FORMS,
    add_interval_options,
    add_system_options,
    given_options,
    read_system_options,
    spellings,
)

__all__ = ["add_parser", "run"]

_TRANSCRIPTS = {
    "hyp": None,
    "ref": None,
    "unit": "phone",
    "phone_set": None,
    "hyp_phones": None,
    "ref_phones": None,
    "silence": None,
    "glottal_stop": None,
    "format": "auto",
    "alignment": None,
    "allow_empty": False,
}
_TRIALS = {
    "calibration": None,
    "llrs": False,
    "conventions": False,
    "save_scores": None,
    "det": None,
    "n_resamples": 1000,
}


def add_parser(commands) -> None:
    """Add the command."""
    score = add_command(
        commands,
        "score",
        run,
        "phone, character or word error rate of transcripts; error rates of verification trials",
    )
    transcripts = score.add_argument_group("transcripts")
    transcripts.add_argument(
        "--hyp",
        metavar="FILE",
        help="what was recognised: a line per utterance, 'NAME TOKEN ...' or 'TOKEN ... (NAME)'",
    )
    transcripts.add_argument("--ref", metavar="FILE", help="what was said, likewise")
    transcripts.add_argument(
        "--unit", choices=["phone", "char", "word"], default="phone", help="default: phone"
    )
    transcripts.add_argument(
        "--phone-set", type=int, choices=PHONE_SETS, help="to score in; default: 39"
    )
    for side in ("hyp", "ref"):
        transcripts.add_argument(
            f"--{side}-phones",
            type=int,
            choices=PHONE_SETS,
            help=f"the set that --{side} is written in, to be folded; default: the set to score in",
        )
    transcripts.add_argument("--silence", choices=SILENCE_RULES, help="default: keep")
    transcripts.add_argument(
        "--glottal-stop", choices=GLOTTAL_STOP_RULES, help="the phone q; default: delete"
    )
    transcripts.add_argument(
        "--format",
        choices=["auto", "kaldi", "trn"],
        default="auto",
        help="of both files; default: as the lines of each look",
    )
    transcripts.add_argument(
        "--alignment", metavar="FILE", help="write the alignment of every utterance to this file"
    )
    transcripts.add_argument(
        "--allow-empty",
        action="store_true",
        help="score references without a token: what is said there is inserted",
    )
    add_system_options(score)
    results = score.add_argument_group("what is said of the trials")
    results.add_argument(
        "--calibration",
        metavar="FILE.json",
        help="turn the scores into log-likelihood ratios first (a file of `auricle calibrate`, or "
        "a bundle that holds one): adds actual DCF and Cllr",
    )
    results.add_argument(
        "--llrs",
        action="store_true",
        help="the scores are natural log-likelihood ratios as they are: adds actual DCF and Cllr",
    )
    results.add_argument(
        "--conventions", action="store_true", help="EER by the max and average conventions too"
    )
    results.add_argument(
        *spellings("--save-scores"),
        metavar="FILE",
        help="write ENROL TEST SCORE target|nontarget, as `auricle compare` reads",
    )
    results.add_argument("--det", metavar="FILE.png", help="draw the DET curve")
    add_interval_options(results)
    score.add_argument("--seed", type=int, default=0, help="of the interval's draws")
    score.add_argument("--json", action="store_true", help="print JSON")


def run(arguments) -> int:
    """Score what was given: transcripts, or trials."""
    transcripts = given_options(arguments, _TRANSCRIPTS)
    trials = [*read_system_options(arguments), *given_options(arguments, _TRIALS)]
    if transcripts and trials:
        arguments.usage_error(
            f"{transcripts[0]} is for transcripts and {trials[0]} for verification trials: {FORMS}"
        )
    if not transcripts and not trials:
        arguments.usage_error(f"nothing to score: {FORMS}")
    return _score_trials(arguments) if trials else _score_transcripts(arguments)


def _score_transcripts(arguments) -> int:
    missing = [f"--{side}" for side in ("hyp", "ref") if getattr(arguments, side) is None]
    if missing:
        arguments.usage_error(
            f"the following arguments are required: {', '.join(missing)} (of transcripts; {FORMS})"
        )
    from ..inference.score import score

    names = ("phone_set", "hyp_phones", "ref_phones", "silence", "glottal_stop")
    score(
        arguments.hyp,
        arguments.ref,
        arguments.unit,
        phones={name: getattr(arguments, name) for name in names},
        format=arguments.format,
        allow_empty=arguments.allow_empty,
        alignment=arguments.alignment,
        seed=arguments.seed,
        as_json=arguments.json,
    )
    return 0


def _score_trials(arguments) -> int:
    from ..inference.trial_scoring import score_system
    from ..reports.trial_report import report
    from .trial_options import check_system, system_of

    check_system(arguments)
    if arguments.llrs and arguments.calibration:
        arguments.usage_error("give --llrs (they are calibrated) or --calibration, not both")
    scored = score_system(system_of(arguments))
    report(
        scored,
        calibration=arguments.calibration,
        llrs=arguments.llrs,
        conventions=arguments.conventions,
        save_scores=arguments.save_scores,
        det=arguments.det,
        n_resamples=arguments.n_resamples,
        seed=arguments.seed,
        as_json=arguments.json,
    )
    return 0
