"""Lists, scores, transcripts, labels and tables for the fuzzer, read as commands read them."""

import contextlib
import io
import json
import random as randoms
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

from fuzz_mutations import mutate_text, retouch

from auricle.processing.data.manifest import read_manifest, write_manifest
from auricle.processing.scoring.verification.pair_scores import read_scored_trials
from auricle.processing.transcription.segments import read_segments
from auricle.recipes import cli
from auricle.recipes.inference.alignment_transcripts import read_lexicon
from auricle.recipes.inference.input_files import read_names
from auricle.recipes.music_emotion.annotation_tables import Reader
from auricle.recipes.speech_commands import corpus
from auricle.recipes.timit.labels import read_labels
from auricle.recipes.timit.table import read_table

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
#: How results name a file, and what is digested of it: another spelling of one content differs there.
_OF_THE_FILE = ("digest", "source", "file", "files", "hyp", "ref")


def command(*words, parse=True):
    """The JSON that a command prints; a ValueError with what it says where it refuses."""
    out, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = cli.main([str(word) for word in words])
    except SystemExit as end:
        status = end.code
    if status == 2 and errors.getvalue().strip():
        raise ValueError(errors.getvalue())
    assert status in (0, 1), f"status {status}, said {errors.getvalue()!r}"
    if not parse:
        return out.getvalue()
    return json.loads(out.getvalue(), parse_constant=_no_json)


def _no_json(constant):
    raise AssertionError(f"{constant} is no JSON")


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in _OF_THE_FILE}
    return value


def filled_lines(data):
    """Lines that are not blank, as any program would count them."""
    text = data.decode("utf-8-sig", "replace")
    return [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]


class Text:
    """A kind of text file: an example, what reads it, and what it may not lose.

    Arguments
    ---------
    name, text : the kind, and a good file.
    read : from a path to what was read.
    count : from that to how many lines it accounts for, read or told of; None: not counted.
    lines : from the bytes to how many lines have to be accounted for.
    others : further good files by name, which `read` finds in the folder.
    """

    def __init__(self, name, text, read, count=None, lines=None, others=None, file="case.txt"):
        self.name, self.text, self.file, self.others = name, text, file, others or {}
        self.reads, self._count = read, count
        self._lines = lines or (lambda data: len(filled_lines(data)))
        self.right = None

    names_its_file = True

    def damaged(self, random):
        gentle = random.random() < 0.25
        return (retouch if gentle else mutate_text)(random, self.text), gentle

    def read(self, path, random):
        self.put_others(path.parent)
        if self.right is None:
            damaged = path.read_bytes()
            path.write_text(self.text)
            self.right = self.reads(path)
            path.write_bytes(damaged)
        return self.reads(path)

    def put_others(self, folder):
        for name, content in self.others.items():
            data = content if isinstance(content, bytes) else content.encode()
            Path(folder, name).write_bytes(data)

    def must_read(self, gentle):
        return gentle

    def judge(self, read, data, gentle, path):
        if gentle:
            if _plain(read) != _plain(self.right):
                return "differs", f"{read} in place of {self.right}"
            return "read alike", ""
        if self._count:
            told, there = self._count(read), self._lines(data)
            if told is not None and told != there:
                return "count", f"{there} lines, of which {told} are accounted for"
        return ("read alike" if read == self.right else "read, another content"), ""


def trial_lines(shape):
    random = randoms.Random(0)
    names = [f"id{s}/v/{n}.wav" for s in range(5) for n in range(2)]
    lines = []
    for a in names:
        for b in names:
            if a < b:
                is_target = a[:3] == b[:3]
                score = round(random.gauss(1.5 * is_target, 1), 4)
                word = "target" if is_target else "nontarget"
                lines.append(shape.format(a=a, b=b, label=int(is_target), word=word, score=score))
    return "".join(line + "\n" for line in lines)


SCORES = trial_lines("{a} {b} {score} {word}")
_DRAWS = ("--n-resamples", 20, "--json")


def _scored(path):
    """What `auricle score` prints, and the scores by another way of reading them."""
    said = command("score", "--scores", path, *_DRAWS)
    _, scores = read_scored_trials(path)
    column = (
        3
        if any(
            line.split()[3:4] and NUMBER.fullmatch(line.split()[3]) and "." in line.split()[3]
            for line in filled_lines(path.read_bytes())
        )
        else 2
    )
    words = [line.split()[column] for line in filled_lines(path.read_bytes())]
    assert all(map(NUMBER.fullmatch, words)), words
    assert list(map(float, words)) == scores.tolist()
    return said


def _trials(*words):
    return lambda path: command("score", *[path if word == "FILE" else word for word in words])


def _counts(said):
    return said["counts"]["trials"]


def _utterances(fixed):
    """All utterances of the good side, or an error."""
    return (lambda said: said["n"]), (lambda data: len(fixed.splitlines()))


KALDI = "u1 she had your dark suit\nu2 in greasy wash water\nu3 all year\nu4 don't ask me\n"
TRN = "".join(
    f"{text} ({name})\n" for name, _, text in (line.partition(" ") for line in KALDI.splitlines())
)
OPTIONAL = (
    ";; made by hand\nshe had (your) dark suit (u1)\nin { greasy / greazy } wash water (u2)\n"
)
OPTIONAL += "all year (u3)\ndon't { ask / task / @ } me (u4)\n"
PHONES = "u1 sil sh iy hh ae d sil\nu2 ih n g r iy s iy\nu3 aa l y ih r\n"
TIMES = "0 2360 h#\n2360 4000 sh\n4000 5200 iy\n5200 6000 hv\n6000 7000 ae\n7000 8000 h#\n"
LEXICON = ";;; comment\nshe  SH IY1\nhad  HH AE1 D\nhad(2)  HH AH0 D\nyour  Y AO1 R\n"


def _words(*options, other):
    def read(path):
        sides = {"--hyp": path, "--ref": path} | {other[0]: path.with_name(other[1])}
        flat = [word for pair in sides.items() for word in pair]
        return command("score", *flat, *options, "--json")

    return read


def _labels(path):
    """Phones of a .PHN file by the reader of the corpus; what is wrong with it is told."""
    file = SimpleNamespace(path=path, key=path.name)
    labels, problems = read_labels(SimpleNamespace(path=path.name, labels={".phn": file}), 8000)
    return labels.phones, labels.phone_ends, problems


def _label_count(read):
    phones, _, problems = read
    if any(kind == "not UTF-8" for kind, _ in problems):
        return None
    unreadable = sum(kind == "unreadable line" for kind, _ in problems)
    return len(phones) + unreadable


CLIPS = [f"{word}/{i:08x}_nohash_0.wav" for word in ("yes", "no") for i in range(6)]


def _listed(path):
    """Clips of a list of Speech Commands, and what is told of those that are not there."""
    Path(path.parent, "validation_list.txt").write_text("")
    whole = SimpleNamespace(
        clips={corpus._clip(clip): None for clip in CLIPS}, lists={}, problems=[]
    )
    corpus._read_lists(path.parent, whole, SimpleNamespace(has_extra_classes=True))
    return sorted(whole.lists["test"]), whole.problems


def _distinct(data):
    return len({str(Path(line.strip().replace("\\", "/"))) for line in filled_lines(data)})


def _phone_table(separator):
    cells = ["path", "speaker", "split", "phones", "text"]
    rows = [cells]
    for number in range(8):
        split = "train" if number < 5 else "valid" if number < 6 else "test"
        text = ('"well, hello"' if separator == "," else "well, hello") if number % 2 else "hello"
        rows.append([f"wav/u{number}.wav", f"s{number}", split, "hh ah0 l ow1", text])
    return "".join(separator.join(row) + "\n" for row in rows)


def _phone_rows(path):
    for other in path.parent.glob("manifest.*"):
        if other != path:
            other.unlink()
    try:
        _, rows, _, problems = read_table(path.parent)
    except RuntimeError as error:
        raise ValueError(error) from None
    return rows, problems


def _swallowed(problems):
    """Lines that are within a cell of others, and told so."""
    numbers = [re.search(r"goes over (\d+) lines", reason) for *_, reason in problems]
    return sum(int(number[1]) - 1 for number in numbers if number)


def _rows_told(read):
    rows, problems = read
    twice = sum(kind == "there twice" for _, kind, _ in problems)
    return len(rows) + twice + _swallowed(problems) + 1


EMOTION = "song_id, valence_mean, valence_std, arousal_mean, arousal_std\n"
EMOTION += "".join(f"{n},{3 + n / 10},0.9,{5 - n / 10},1.1\n" for n in range(2, 12))


def _emotions(path):
    reader, columns = Reader(path.parent), ["song_id", "valence_mean", "arousal_mean"]
    scale = {"low": 1, "high": 9}
    songs = list(reader.songs(path, columns, "row"))
    labels = {song: reader.emotion(path, song, row, columns[1:], scale) for song, row in songs}
    try:
        reader.finish()
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    return {song: label for song, label in labels.items() if label}, reader.problems


def _emotions_told(read):
    labels, problems = read
    wrong_songs = {
        re.search(r"song (\S+):", reason)[1]
        for _, kind, reason in problems
        if kind in ("no number", "label outside the scale")
    }
    return (
        len(labels)
        + len(wrong_songs)
        + sum(
            kind in ("no song id", "there twice", "more cells than columns")
            for _, kind, _ in problems
        )
        + _swallowed(problems)
        + 1
    )


def _manifest():
    rows = [
        {
            "id": f"u{n}",
            "path": f"wav/u {n}.wav",
            "duration_s": 1 + n / 10,
            "split": "train",
            "label": "yes, no"[: 3 + n % 5],
            "speaker": f"s{n}",
        }
        for n in range(8)
    ]
    with tempfile.TemporaryDirectory() as folder:  # several processes make it at once
        write_manifest(rows, Path(folder, "manifest.csv"))
        return Path(folder, "manifest.csv").read_text()


def _manifest_lines(rows):
    """Lines of a manifest that its rows account for: a cell in quotation marks may hold several."""
    total = 1
    for row in rows:
        cells = [cell for cell in row.values() if isinstance(cell, str)]
        total += any(cell.strip() for cell in cells)
        total += sum(len(filled_lines(f"x{cell}x".encode())) - 1 for cell in cells)
    return total


def texts():
    """Every kind of text."""
    scores = {"scores": SCORES, "list": trial_lines("{label} {a} {b}")}
    list_of_scores = ("--trials", "FILE", "--scores", "scores", "--partial", *_DRAWS)
    speakers = "".join(f"id{s}/v/{n}.wav id{s}\n" for s in range(5) for n in range(2))
    words, word_lines = _utterances(KALDI)
    phones, phone_lines = _utterances(PHONES)
    return [
        Text("scores", SCORES, _scored, _counts),
        Text("scores_of_speechbrain", trial_lines("{a} {b} {label} {score}"), _scored, _counts),
        Text(
            "scores_of_a_list",
            trial_lines("{a} {b} {score}"),
            _trials("--trials", "list", "--scores", "FILE", *_DRAWS),
            _counts,
            lambda data: 45,
            scores,
        ),
        Text("trials_voxceleb", scores["list"], _trials(*list_of_scores), _counts, None, scores),
        Text(
            "trials_kaldi",
            trial_lines("{a} {b} {word}"),
            _trials(*list_of_scores),
            _counts,
            None,
            scores,
        ),
        Text(
            "speakers",
            speakers,
            _trials("--scores", "scores", "--speakers", "FILE", *_DRAWS),
            None,
            None,
            scores,
        ),
        Text(
            "compared_scores",
            SCORES,
            lambda path: command("compare", path.with_name("scores"), path, *_DRAWS),
            _counts,
            lambda data: 45,
            scores,
        ),
        Text("names", speakers.replace(" ", "_"), read_names, len),
        Text(
            "words",
            KALDI,
            _words("--unit", "word", other=("--ref", "ref")),
            words,
            word_lines,
            {"ref": KALDI},
        ),
        Text(
            "words_trn",
            TRN,
            _words("--unit", "word", other=("--ref", "ref")),
            words,
            word_lines,
            {"ref": TRN},
        ),
        Text(
            "words_optional",
            OPTIONAL,
            _words("--unit", "word", other=("--hyp", "hyp")),
            words,
            word_lines,
            {"hyp": TRN},
        ),
        Text(
            "characters",
            KALDI,
            _words("--unit", "char", "--case", "fold", other=("--ref", "ref")),
            words,
            word_lines,
            {"ref": KALDI},
        ),
        Text(
            "phones", PHONES, _words(other=("--ref", "ref")), phones, phone_lines, {"ref": PHONES}
        ),
        Text("segments", TIMES, read_segments, len),
        Text("labels", TIMES, _labels, _label_count),
        Text("lexicon", LEXICON, read_lexicon),
        Text(
            "speech_commands_list",
            "".join(clip + "\n" for clip in CLIPS[:4]),
            _listed,
            lambda read: len(read[0]),
            _distinct,
            file="testing_list.txt",
        ),
        Text("phones_csv", _phone_table(","), _phone_rows, _rows_told, file="manifest.csv"),
        Text("phones_tsv", _phone_table("\t"), _phone_rows, _rows_told, file="manifest.tsv"),
        Text("emotion_csv", EMOTION, _emotions, _emotions_told, file="case.csv"),
        Text("manifest", _manifest(), read_manifest, _manifest_lines, file="case.csv"),
    ]
