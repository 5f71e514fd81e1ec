"""Parser of `auricle score`: error rates of transcripts, and of verification trials."""

from __future__ import annotations

from ...processing.transcription.phones import GLOTTAL_STOP_RULES, PHONE_SETS, SILENCE_RULES
from .common import add_command, add_shared, changed_options, options_for, spellings
from .trial_options import FORMS, SYSTEM, add_system_options, check_system

__all__ = ["add_parser", "run"]

_PHONES = ("phone_set", "hyp_phones", "ref_phones", "silence", "glottal_stop")
_TRANSCRIPTS = ("hyp", "ref", "unit", *_PHONES, "format", "alignment", "allow_empty")
_TRIALS = ("calibration", "llrs", "conventions", "save_scores", "det", "n_resamples")


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
    add_shared(results, "n_resamples")
    add_shared(score, "seed", "json")


def run(arguments) -> int:
    """Score what was given: transcripts, or trials."""
    transcripts = changed_options(arguments, _TRANSCRIPTS)
    trials = changed_options(arguments, (*SYSTEM, *_TRIALS))
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

    phones = {name: getattr(arguments, name) for name in _PHONES}
    score(**options_for(score, arguments), phones=phones)
    return 0


def _score_trials(arguments) -> int:
    from ..inference.trial_report import report
    from ..inference.trial_scoring import System, score_system

    check_system(arguments)
    if arguments.llrs and arguments.calibration:
        arguments.usage_error("give --llrs (they are calibrated) or --calibration, not both")
    scored = score_system(System(**options_for(System, arguments)))
    report(scored, **options_for(report, arguments))
    return 0
