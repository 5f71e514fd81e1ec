"""Lists of trials and their scores: formats, what is refused, cosines, norms, shards."""

import hashlib
import json
import tracemalloc

import numpy as np
import pytest
import torch
from refusals import refused

from auricle.processing.scoring.verification.embeddings import (
    EmbeddingCollector,
    Embeddings,
    cosine_scores,
)
from auricle.processing.scoring.verification.pair_scores import read_scored_trials
from auricle.processing.scoring.verification.score_normalization import (
    cohort_statistics,
    normalized_scores,
)
from auricle.processing.scoring.verification.trial_scores import summarize_trials, write_scores
from auricle.processing.scoring.verification.trials import TrialList, read_trials, write_trials

VOXCELEB = "1 id1/a/00001.wav id1/b/00001.wav\n0 id1/a/00001.wav id2/a/00001.wav\n"
KALDI = "id1/a/00001.wav id1/b/00001.wav target\nid1/a/00001.wav id2/a/00001.wav nontarget\n"
SCORED = (
    "id1/a/00001.wav id1/b/00001.wav 0.75 target 9.1 8.2 0.1 0.2\n"
    "id1/a/00001.wav id2/a/00001.wav -1e-3 nontarget 9.1 7.7 0.1 0.3\n"
)
NAMES = ("id1/a/00001.wav", "id1/b/00001.wav", "id2/a/00001.wav")


def written(tmp_path, text, name="trials.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def corpus(n_speakers=6, per_speaker=4, dimensions=16, seed=0):
    """Embeddings of recordings named speaker/video/00001.wav, and all pairs as trials."""
    generator = np.random.default_rng(seed)
    voices = generator.normal(0, 1, (n_speakers, dimensions))
    names, vectors = [], []
    for s in range(n_speakers):
        for v in range(per_speaker):
            names.append(f"id{s}/v{v}/00001.wav")
            vectors.append(voices[s] + generator.normal(0, 1.2, dimensions) + 0.8)
    pairs = [
        (a, b, a.split("/")[0] == b.split("/")[0])
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    return TrialList.from_pairs(pairs), Embeddings(names, np.float32(vectors))


def cohort_of(size=40, dimensions=16, seed=9):
    vectors = np.random.default_rng(seed).normal(0.8, 1, (size, dimensions))
    return Embeddings([f"cohort{i}" for i in range(size)], np.float32(vectors))


# ---- lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "format"), [(VOXCELEB, "voxceleb"), (KALDI, "kaldi"), (SCORED, "wespeaker")]
)
def test_formats_are_recognised_and_say_the_same(tmp_path, text, format):
    for chosen in ("auto", format):
        trials = read_trials(written(tmp_path, "\ufeff" + text), chosen)
        assert trials.names == NAMES
        trials = read_trials(written(tmp_path, text), chosen)
        assert trials.names == NAMES and trials.format == format
        assert trials.enroll.tolist() == [0, 0] and trials.test.tolist() == [1, 2]
        assert trials.is_target.tolist() == [True, False]
        assert trials.digest == hashlib.sha256(text.encode()).hexdigest()
    assert read_trials(written(tmp_path, KALDI), "wespeaker").is_target.tolist() == [True, False]


def test_the_whole_path_is_the_name():
    """All are called 00001.wav, and two are in folders of one name."""
    trials = TrialList.from_pairs([(NAMES[0], NAMES[1], True), (NAMES[0], NAMES[2], False)])
    assert len(trials.names) == 3
    with pytest.raises(ValueError, match="'id1/a/00001.wav'"):
        trials.locate([name.rsplit("/", 1)[1] + str(i) for i, name in enumerate(NAMES)])


def test_line_ends_blank_lines_and_spaces(tmp_path):
    messy = "\n1  id1/a/00001.wav\tid1/b/00001.wav\r\n\n0 id1/a/00001.wav id2/a/00001.wav"
    assert read_trials(written(tmp_path, messy)).names == NAMES


@pytest.mark.parametrize("format", ["voxceleb", "kaldi"])
def test_written_lists_read_back(tmp_path, format):
    trials, _ = corpus()
    again = read_trials(write_trials(tmp_path / "lists" / "t.txt", trials, format))
    assert again.names == trials.names and again.format == format
    for name in ("enroll", "test", "is_target"):
        np.testing.assert_array_equal(getattr(again, name), getattr(trials, name))


def test_counts():
    pairs = [("a", "b", 1), ("b", "a", 1), ("a", "c", 0), ("a", "b", 1), ("c", "c", 1)]
    counts = TrialList.from_pairs(pairs).counts
    assert counts == {
        "trials": 5,
        "target": 4,
        "nontarget": 1,
        "recordings": 3,
        "repeated": 2,
        "with_itself": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "trials.txt"),
        ("\n \n", "trials.txt"),
        (VOXCELEB + "a b\n", "line 3.*label.*'a b'"),
        ("a b\n", "line 1.*label"),
        ("\n\n" + VOXCELEB + "2 a b\n", "line 5.*voxceleb: '2 a b'"),
        (VOXCELEB + "a b target\n", "line 3.*voxceleb"),
        (KALDI + "1 a b\n", "line 3.*kaldi"),
        (KALDI + "a b imposter\n", "line 3.*kaldi"),
        (VOXCELEB + "1 a b c\n", "line 3.*voxceleb"),
        (SCORED + "a b 0.5\n", "line 3.*wespeaker"),
        ("a b c\n", "line 1.*format"),
        ("1 a b\n1 a c\n", "one-sided: all 2.*no non-target"),
        ("0 a b\n", "one-sided: all 1.*no target"),
        ("1 a b\n0 a c\n\n0 a b\n", "'a' and 'b'.*lines 1 and 4"),
        ("1 a b\n0 a c\n0 b a\n", r"lines 1 and 3"),
        (VOXCELEB.encode() + b"1 \xff\xfe b\n", "line 3.*UTF-8"),
    ],
)
def test_refused_lists(tmp_path, text, message):
    refused(message, read_trials, written(tmp_path, text))


def test_refused_pairs_and_formats(tmp_path):
    refused("trial 2.*None", TrialList.from_pairs, [("a", "b", True), ("a", "c", None)])
    refused("format must.*'kaldy'", read_trials, written(tmp_path, KALDI), "kaldy")
    refused("format must.*'wespeaker'", write_trials, tmp_path / "t", corpus()[0], "wespeaker")


def test_locate_refuses_what_does_not_fit():
    trials = TrialList.from_pairs([("a", "b", True), ("a", "c", False)])
    enroll, test = trials.locate(["c", "a", "b"])
    assert (enroll.tolist(), test.tolist()) == ([1, 1], [2, 0])
    refused("trial 2.*'c'", trials.locate, ["a", "b"])
    refused("3 of 4.*'d'.*partial", trials.locate, ["a", "b", "c", "d"])
    assert trials.locate(["a", "b", "d", "c"], partial=True)[1].tolist() == [1, 3]
    refused("'b' occurs twice", trials.locate, ["a", "b", "c", "b"])


def test_speakers():
    trials, _ = corpus(3, 2)
    assert trials.speakers().tolist() == [0, 0, 1, 1, 2, 2]
    backwards = {name: "zyx"[int(name[2])] for name in trials.names}
    assert trials.speakers(backwards).tolist() == [2, 2, 1, 1, 0, 0]
    refused("'id0/v0/00001.wav'", trials.speakers, {})
    wrong = {**backwards, "id1/v0/00001.wav": "z"}
    refused("'z' and 'z'.*speaker of every", trials.speakers, wrong)
    refused(
        "'a'.*speaker of every",
        TrialList.from_pairs([("a", "b", True), ("a", "c", False)]).speakers,
    )


@pytest.mark.long
def test_memory_of_reading_is_linear_and_small(tmp_path):
    """50,000 trials over 400 recordings: under 60 bytes a trial at the most, numbers included."""
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, 400, (50_000, 2)).tolist()
    lines = (
        f"{int(a % 20 == b % 20)} id{a % 20}/{a}/00001.wav id{b % 20}/{b}/00001.wav\n"
        for a, b in pairs
    )
    path = written(tmp_path, "".join(lines))
    tracemalloc.start()
    trials = read_trials(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(trials) == 50_000 and peak < 60 * 50_000 + 200_000


# ---- embeddings and cosines ----------------------------------------------------------------------


def test_cosine_by_hand_and_by_torch():
    trials, embeddings = corpus()
    scores = cosine_scores(trials, embeddings)
    vectors = torch.tensor(embeddings.vectors)
    row = {name: i for i, name in enumerate(embeddings.names)}
    pairs = [
        (row[trials.names[a]], row[trials.names[b]])
        for a, b in zip(trials.enroll, trials.test, strict=True)
    ]
    expected = torch.stack([torch.cosine_similarity(vectors[a], vectors[b], 0) for a, b in pairs])
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-6)
    centred = vectors - vectors.mean(0)
    expected = torch.stack([torch.cosine_similarity(centred[a], centred[b], 0) for a, b in pairs])
    subtracted = cosine_scores(trials, embeddings, mean=embeddings.mean())
    np.testing.assert_allclose(subtracted, expected.numpy(), atol=1e-5)
    by_hand = TrialList.from_pairs([("a", "b", True), ("a", "c", False)])
    vectors = np.array([[2.0, 0.0], [3.0, 4.0], [-5.0, 0.0]])
    assert cosine_scores(by_hand, Embeddings("abc", vectors)).tolist() == [0.6, -1.0]


def test_scores_depend_neither_on_blocks_nor_on_scale_nor_on_order():
    trials, embeddings = corpus()
    expected = cosine_scores(trials, embeddings)
    for block in (1, 7, 10**6):
        np.testing.assert_array_equal(
            cosine_scores(trials, embeddings, block_trials=block), expected
        )
    turned = Embeddings(embeddings.names[::-1], embeddings.vectors[::-1])
    np.testing.assert_array_equal(cosine_scores(trials, turned), expected)
    for scale in (1e-30, 1e30):
        scaled = Embeddings(embeddings.names, embeddings.vectors * np.float32(scale))
        np.testing.assert_allclose(cosine_scores(trials, scaled), expected, atol=1e-6)


def test_crops_give_the_mean_of_all_cosines_between_them():
    trials = TrialList.from_pairs([("a", "b", True), ("a", "c", False)])
    crops = np.random.default_rng(0).normal(size=(3, 5, 8))
    scores = cosine_scores(trials, Embeddings("abc", crops))
    for score, (a, b) in zip(scores, [(0, 1), (0, 2)], strict=True):
        one, other = torch.tensor(crops[a])[:, None], torch.tensor(crops[b])[None]
        assert score == pytest.approx(
            float(torch.cosine_similarity(one, other, -1).mean()), abs=1e-12
        )


def test_memory_of_scoring_is_bounded():
    """200,000 trials: the scores, the rows of both sides, and blocks; no (n, D) gather."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(50, 192)).astype(np.float32)
    one, other = generator.integers(0, 50, (2, 200_000))
    trials = TrialList(
        tuple(f"id{i % 5}/{i}" for i in range(50)),
        one.astype(np.int32),
        other.astype(np.int32),
        one % 5 == other % 5,
        "drawn",
        "pairs",
        "",
        0,
    )
    embeddings = Embeddings(trials.names, vectors)
    tracemalloc.start()
    cosine_scores(trials, embeddings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 200_000 + 16_000_000  # all rows of both sides would be 307 MB


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refused_embeddings(bad):
    vectors = np.ones((3, 4), np.float32)
    vectors[1, 2] = bad
    refused("'b'.*NaN", Embeddings, "abc", vectors)
    refused("'a' has two embeddings", Embeddings, "aba", np.ones((3, 4)))
    refused(r"shape \(3, 4\) for 2 names", Embeddings, "ab", np.ones((3, 4)))
    trials = TrialList.from_pairs([("a", "b", True), ("a", "c", False)])
    zero = Embeddings("abc", np.float32([[1, 1], [0, 1], [0, 0]]))
    refused("'c' is zero", cosine_scores, trials, zero)
    refused("'a' is zero.*mean", cosine_scores, trials, zero, mean=np.ones(2))
    refused(r"mean.*\(3,\)", cosine_scores, trials, zero, mean=np.ones(3))
    assert np.isfinite(Embeddings("ab", np.full((2, 64), 3e38, np.float32)).directions()).all()


def test_collector_merges_to_the_whole():
    _, embeddings = corpus()
    shards = []
    for part in (slice(0, 9), slice(9, 10), slice(10, 24)):
        shard = EmbeddingCollector()
        shard.append(embeddings.names[part], torch.tensor(embeddings.vectors[part]))
        shards.append(shard)
    shards[0].append(embeddings.names[-1:], embeddings.vectors[-1:])  # a sampler's padding
    shards.append(EmbeddingCollector())
    gathered = EmbeddingCollector.from_state(*(shard.state() for shard in shards)).summarize()
    assert gathered.names == embeddings.names
    np.testing.assert_array_equal(gathered.vectors, embeddings.vectors)
    refused("two different", shards[0].append, embeddings.names[:1], embeddings.vectors[1:2])
    refused(r"\(3,\).*\(16,\)", shards[0].append, ["new"], np.ones((1, 3)))
    refused("no embedding was collected", EmbeddingCollector().summarize)


# ---- score normalisation -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["z", "t", "s", "as"])
@pytest.mark.parametrize("mean", [None, np.full(16, 0.8)])
def test_normalisation_by_definition(kind, mean):
    trials, embeddings = corpus(4, 3)
    cohort = cohort_of()
    top_n = 10 if kind == "as" else None
    ours = normalized_scores(trials, embeddings, cohort, kind, top_n=top_n, mean=mean)
    shift = np.zeros(16) if mean is None else mean

    def unit(vector):
        centred = vector.astype(np.float64) - shift
        return centred / np.linalg.norm(centred)

    others = np.stack([unit(vector) for vector in cohort.vectors])
    vector = dict(zip(embeddings.names, embeddings.vectors, strict=True))
    for number, score in enumerate(ours):
        enroll = unit(vector[trials.names[trials.enroll[number]]])
        test = unit(vector[trials.names[trials.test[number]]])
        raw = enroll @ test
        by_side = []
        for side in (enroll, test):
            against = np.sort(others @ side)[-(top_n or len(others)) :]
            by_side.append((raw - against.mean()) / against.std())
        expected = {"z": by_side[0], "t": by_side[1]}.get(kind, np.mean(by_side))
        assert score == pytest.approx(expected, abs=1e-4)


def test_cohort_by_speaker_is_the_mean_of_their_embeddings():
    _, embeddings = corpus(3, 4)
    cohort = embeddings.by_speaker({name: name.split("/")[0] for name in embeddings.names})
    assert cohort.names == ("id0", "id1", "id2")
    np.testing.assert_allclose(cohort.vectors[1], embeddings.vectors[4:8].mean(0), atol=1e-6)
    refused("'id0/v0/00001.wav'", embeddings.by_speaker, {})


def test_whole_cohort_as_top_n_is_s_norm():
    trials, embeddings = corpus(4, 3)
    whole = normalized_scores(trials, embeddings, cohort_of(), "as", top_n=40)
    np.testing.assert_array_equal(whole, normalized_scores(trials, embeddings, cohort_of(), "s"))
    np.testing.assert_array_equal(whole, normalized_scores(trials, embeddings, cohort_of(), "as"))


def test_blocks_change_no_statistic(monkeypatch):
    _, embeddings = corpus()
    expected = cohort_statistics(embeddings, cohort_of(), top_n=7)
    monkeypatch.setattr(
        "auricle.processing.scoring.verification.score_normalization._BLOCK_CELLS", 120
    )
    for ours, whole in zip(
        cohort_statistics(embeddings, cohort_of(), top_n=7), expected, strict=True
    ):
        np.testing.assert_allclose(ours, whole, atol=1e-6)


def test_refused_normalisation():
    trials, embeddings = corpus(3, 2)
    refused("'zt'", normalized_scores, trials, embeddings, cohort_of(), "zt")
    refused("top_n.*'s'", normalized_scores, trials, embeddings, cohort_of(), "s", top_n=3)
    for top_n in (1, 41):
        said = f"top_n is {top_n}.*2 to the 40"
        refused(said, normalized_scores, trials, embeddings, cohort_of(), "as", top_n=top_n)
    refused("6 recording.*'id0/v0", normalized_scores, trials, embeddings, embeddings, "s")
    refused("16.*cohort 8", normalized_scores, trials, embeddings, cohort_of(dimensions=8), "s")
    refused("cohort has 1 member", normalized_scores, trials, embeddings, cohort_of(1), "s")
    same = Embeddings(["x", "y", "z"], np.ones((3, 16), np.float32))
    refused("'id0/v0/00001.wav'", normalized_scores, trials, embeddings, same, "s")


# ---- scores of a list ----------------------------------------------------------------------------


def test_summary_holds_what_a_results_file_needs():
    trials, embeddings = corpus(8, 4)
    scores = cosine_scores(trials, embeddings)
    summary = summarize_trials(trials, scores, n_resamples=100, calibrated=True)
    interval = summary["interval"]
    assert interval["eer"][0] < summary["eer"] < interval["eer"][1]
    assert interval["over"] == "speaker" and interval["n_speakers"] == 8
    assert set(summary["min_dcf"]) == set(summary["act_dcf"]) == {"0.01", "0.05"}
    assert summary["eer_average"] <= summary["eer_max"]
    assert summary["trials"]["digest"] == trials.digest and summary["counts"] == trials.counts
    assert summary["min_cllr"] <= summary["cllr"]
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    bare = summarize_trials(trials, scores, n_resamples=0)
    assert bare["interval"] is None and "cllr" not in bare


def test_no_error_is_not_taken_for_certainty():
    trials, _ = corpus(8, 2)
    interval = summarize_trials(trials, trials.is_target * 1.0, n_resamples=20)["interval"]
    assert interval["eer"] == [0, pytest.approx(1 - 0.025 ** (1 / 8))]
    assert interval["min_dcf_0.01"] is None and "exact binomial" in interval["method"]


@pytest.mark.parametrize(
    ("scores", "message"), [([0.5] * 14, r"\(14,\)"), ([0.5] * 3 + [np.nan] * 12, "trial 4")]
)
def test_refused_scores(scores, message):
    refused(message, summarize_trials, corpus(3, 2)[0], scores)


def test_score_files_read_back(tmp_path):
    trials, embeddings = corpus()
    scores = cosine_scores(trials, embeddings)
    again, values = read_scored_trials(write_scores(tmp_path / "a" / "scores.txt", trials, scores))
    np.testing.assert_array_equal(values.astype(np.float32), scores)
    assert again.names == trials.names
    np.testing.assert_array_equal(again.is_target, trials.is_target)
    for text in (SCORED, "\ufeff" + SCORED):
        again, values = read_scored_trials(written(tmp_path, text))
        assert values.tolist() == [0.75, -1e-3] and again.names == NAMES
    for text, line in (
        (SCORED + "a b nan target\n", "line 3.*nan"),
        (SCORED + "a b high target\n", "line 3.*'a b high target'"),
        (KALDI, "line 1"),
    ):
        refused(line, read_scored_trials, written(tmp_path, text))


def test_names_have_one_spelling(tmp_path):
    text = "1 ./id1/a.wav id1//b.wav\n0 id1/a.wav ./id2/A.wav\n"
    trials = read_trials(written(tmp_path, text))
    assert trials.names == ("id1/a.wav", "id1/b.wav", "id2/A.wav")
    assert trials.speakers({f"./{n}": n[:3] for n in trials.names}).tolist() == [0, 0, 1]
    vectors = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
    scores = cosine_scores(trials, Embeddings([f"./{n}" for n in trials.names], vectors))
    assert np.allclose(scores, [0.6, 0.0])
    path = written(tmp_path, "ID1/A.WAV ID1/B.WAV 2\n./id1/a.wav id2/a.wav 1\n", "s")
    refused("'ID1/A.WAV' and 'id1/a.wav' differ in upper", read_scored_trials, path, trials)
    folded = read_trials(written(tmp_path, text), fold_case=True)
    assert read_scored_trials(path, folded, fold_case=True)[1].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("id1/b.wav", "id1/b"), "suffix"),
        (("/", "\\"), "slashes"),
        (("id1/", "wav/id1/"), "folder"),
    ],
)
def test_names_that_differ_are_shown(tmp_path, change, what):
    trials = read_trials(written(tmp_path, "1 id1/b.wav id1/a.wav\n0 id1/b.wav id1/c.wav\n"))
    scores = "id1/b.wav id1/a.wav 1\nid1/b.wav id1/c.wav 0\n".replace(*change)
    path = written(tmp_path, scores, "s")
    refused(f"differ in .*{what}", read_scored_trials, path, trials, partial=what != "suffix")


def test_all_lines_tell_the_label_from_the_score(tmp_path):
    pairs = "1 a/1 a/2\n0 a/1 b/1\n1 b/1 b/2\n"
    trials = read_trials(written(tmp_path, pairs))
    speechbrain = ["a/1 a/2 1 1", "a/1 b/1 0 0", "b/1 b/2 1 0.25"]
    path = written(tmp_path, "\n".join(speechbrain), "s")
    assert read_scored_trials(path, trials)[1].tolist() == [1, 0, 0.25]
    assert read_scored_trials(path)[1].tolist() == [1, 0, 0.25]
    path = written(tmp_path, "\n".join(speechbrain[:2]), "s")
    refused("third and the fourth column", read_scored_trials, path, trials)
    path = written(tmp_path, "\n".join([*speechbrain[:2], "b/1 b/2 2 0.25"]), "s")
    refused("line 3 .*label", read_scored_trials, path, trials)


@pytest.mark.parametrize("number", ["1_0.5", "٣.٥", "0,5"])
def test_numbers_are_written_as_files_write_them(tmp_path, number):
    trials = read_trials(written(tmp_path, "1 a/1 a/2\n0 a/1 b/1\n"))
    path = written(tmp_path, f"a/1 a/2 1\na/1 b/1 {number}\n", "s")
    refused("line 2 has no score", read_scored_trials, path, trials)
