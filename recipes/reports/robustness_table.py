"""Report of the robustness suite as Markdown: tables of EERs, of differences, and notes."""

from collections.abc import Mapping

from .printing import markdown_rows


def markdown(report: Mapping) -> str:
    """Tables and notes of what `evaluate` gave, or of what `robustness.json` holds.

    One table of EERs with a row per condition and a column per system; where there are several
    systems, one of differences against the first; then what the numbers rest on.
    """
    records = {(row["system"], row["condition"]): row for row in report["records"]}
    conditions = list(dict.fromkeys(row["condition"] for row in report["records"]))
    systems = report["systems"]
    header = ["condition", *(f"{_escaped(name)}, EER (%)" for name in systems)]
    rows = [
        [_words(condition), *(_eer_text(records[name, condition]) for name in systems)]
        for condition in conditions
    ]
    blocks = [markdown_rows(header, rows)]
    if report["comparisons"]:
        blocks.append(_comparison_table(report["comparisons"]))
        blocks.append(_comparison_note(report))
    return "\n\n".join([*blocks, _notes(report)]) + "\n"


def _eer_text(record: Mapping) -> str:
    if record["missing"]:
        return "not measured"
    text = f"{100 * record['eer']:.2f}"
    if record["interval"]:
        low, high = record["interval"]
        text += f" ({100 * low:.2f} to {100 * high:.2f})"
    return text


def _comparison_table(comparisons) -> str:
    first = comparisons[0]["a"]
    header = ["condition", "B", f"EER of A ({_escaped(first)}) minus B (points)", "p", "p, Holm"]
    rows = []
    for row in comparisons:
        low, high = (100 * bound for bound in row["interval"])
        rows.append(
            [
                _words(row["condition"]),
                _escaped(row["b"]),
                f"{100 * row['difference']:+.2f} ({low:+.2f} to {high:+.2f})",
                f"{row['p']:.3f}",
                f"{row['p_holm']:.3f}",
            ]
        )
    return markdown_rows(header, rows)


def _comparison_note(report: Mapping) -> str:
    comparisons = report["comparisons"]
    n = len({row["condition"] for row in comparisons})
    apart = sum(not row["interval"][0] <= 0 <= row["interval"][1] for row in comparisons)
    left = sum(row["p_holm"] < 0.05 for row in comparisons)
    return (
        f"Paired bootstrap over speakers, below 0: A errs less. Many conditions are compared, {n} "
        "on the same trials: of 95 % intervals about one in twenty leaves out 0 where nothing "
        f"differs ({len(comparisons) / 20:.1f} of {len(comparisons)} by chance; {apart} do here), "
        f"and {left} stay below 0.05 with Holm's correction for the {n} conditions of a pair. It "
        "compares these trained models, not the methods behind them: another seed is another "
        "model. Whether a system is the more robust one, and not just the better one, is in how "
        "far its EER moves from its own clean row."
    )


def _notes(report: Mapping) -> str:
    trials, versions, interval = report["trials"], report["versions"], report["interval"]
    sides = {
        "test": "the test recording alone (the second of a trial); the enrolment recording is "
        "clean",
        "both": "both recordings of a trial",
    }[report["sides"]]
    notes = ["Synthetic mini corpus, not a benchmark result."] if report.get("synthetic") else []
    notes.append(f"Distorted is {sides}.")
    notes.append(
        f"Trials: {trials['source']}, {trials['target']:,} target and {trials['nontarget']:,} "
        f"non-target trials of {trials['recordings']:,} recordings, digest "
        f"`{trials['digest'][:16]}`; cosine of whole recordings."
    )
    exact = any(row.get("method", "").startswith("exact") for row in report["records"])
    if interval["n_resamples"]:
        notes.append(
            f"In parentheses: {100 * interval['confidence']:g} % interval, bootstrap over "
            f"{interval['n_speakers']} speakers, {interval['n_resamples']} resamples"
            + (", where there is no error exact binomial" if exact else "")
            + "."
        )
    groups = {row["group"] for row in report["records"]}
    if "noise" in groups:
        notes.append(
            "Signal-to-noise ratio: level of active speech (frames of 20 ms within 15.9 dB of "
            "their mean) over the noise's RMS; a recording meets the same noise at all levels."
        )
        notes.append(_noise_source(report))
    if "reverberation" in groups:
        notes.append(
            "Rooms are generated: exponentially decaying noise of the given RT60, as much energy "
            "as the direct sound has."
        )
    if "codec" in groups:
        notes.append(
            f"Codecs: libsndfile {versions['libsndfile']} through soundfile "
            f"{versions['soundfile']}; MP3 at a constant bit rate, Opus at a variable one of about "
            "the given, Ogg Vorbis at the given quality from 0 to 1; their delay is taken out."
        )
    if "speed" in groups:
        notes.append("Speed changes pitch and duration, as a tape does.")
    missing = {row["condition"]: row["missing"] for row in report["records"] if row["missing"]}
    for reason in dict.fromkeys(missing.values()):
        names = ", ".join(name for name, why in missing.items() if why == reason)
        notes.append(f"Not measured: {names} ({reason}).")
    notes.append(
        f"Seed {report['seed']}; auricle {versions['auricle']}, torch {versions['torch']}."
    )
    return " ".join(notes)


def _noise_source(report: Mapping) -> str:
    if report["noise"] == "MUSAN":
        return "Noise and music are MUSAN's, babble is five of its speech recordings at once."
    kinds = {row["kind"] for row in report["records"]}
    text = " ".join(
        f"{what} is generated."
        for kind, what in (("white", "White noise"), ("music", "Music"))
        if kind in kinds
    )
    babble = report["babble"]
    if babble is None:
        return text
    text += (
        f"{' ' if text else ''}Babble is {babble['talkers']} recordings of the list by {babble['talkers']} other "
        "speakers than those of the recording's trials"
    )
    few = babble["with_trial_speakers"]
    if few:
        text += (
            f" (than its own speaker alone for {few:,} of {babble['recordings']:,} recordings, "
            "whose trials leave too few)"
        )
    return text + "."


def _words(condition: str) -> str:
    """Names of conditions as a table says them."""
    names = {"white": "white noise", "room": "reverberation, RT60", "mp3": "MP3", "opus": "Opus"}
    names |= {"vorbis": "Ogg Vorbis", "300-3400": "telephone band 300 to 3400"}
    first, _, rest = condition.partition(" ")
    if rest.endswith(" quality"):
        rest = "quality " + rest.removesuffix(" quality")
    return f"{names.get(first, first)} {rest}".strip()


def _escaped(name: str) -> str:
    return name.replace("|", "\\|")
