"""PLDA against the two-covariance model by hand, and what makes SpeechBrain's trainer safe."""

import json
from dataclasses import replace

import numpy as np
import pytest
from error_rates import eer
from refusals import refused
from safetensors import safe_open
from scipy.stats import multivariate_normal
from speechbrain.processing.PLDA_LDA import Ndx, StatObject_SB, fast_PLDA_scoring

from auricle.processing.scoring.verification.embeddings import Embeddings, cosine_scores
from auricle.processing.scoring.verification.plda import fit_plda, load_plda, plda_scores, save_plda
from auricle.processing.scoring.verification.trials import TrialList


def world(counts, dimensions, rank, seed=0, scale=1.0):
    """Recordings of speakers from a two-covariance model, all of whose numbers are arbitrary."""
    generator = np.random.default_rng(seed)
    factors = scale * generator.normal(size=(dimensions, rank))
    root = generator.normal(size=(dimensions, dimensions))
    within = root @ root.T / dimensions + 0.3 * np.eye(dimensions)
    speaker = np.repeat(np.arange(len(counts)), counts)
    rows = generator.normal(size=(len(counts), rank))[speaker] @ factors.T
    rows += generator.multivariate_normal(np.zeros(dimensions), within, len(speaker))
    rows += 3 * generator.normal(size=dimensions)
    names = [f"s{s:03d}/{k}" for k, s in enumerate(speaker)]
    return Embeddings(names, rows), dict(zip(names, speaker.astype(str), strict=True)), speaker


def in_own_space(model):
    """Mean, between and within covariance of a full-size model, in the embeddings' coordinates."""
    back = np.linalg.inv(model.projection)
    between = back.T @ model.factors @ model.factors.T @ back
    return model.centre + model.mean @ back, between, back.T @ model.residual @ back


def by_hand(x, y, mean, between, within):
    """log p(x, y | one speaker) - log p(x, y | two)."""
    total = between + within
    joint = np.block([[total, between], [between, total]])
    size = np.zeros(len(mean))
    one = multivariate_normal(np.zeros(2 * len(mean)), joint).logpdf(np.r_[x - mean, y - mean])
    single = multivariate_normal(size, total)
    return one - single.logpdf(x - mean) - single.logpdf(y - mean)


def log_likelihood(rows, speaker, mean, between, within):
    found = 0.0
    for number in np.unique(speaker):
        own = rows[speaker == number] - mean
        n = len(own)
        covariance = np.kron(np.eye(n), within) + np.kron(np.ones((n, n)), between)
        found += multivariate_normal(np.zeros(own.size), covariance).logpdf(own.ravel())
    return found


def em_by_hand(rows, speaker, steps=300):
    """Two-covariance EM (full rank, mean fixed as SpeechBrain's), from another start."""
    mean = rows.mean(0)
    groups = [rows[speaker == number] - mean for number in np.unique(speaker)]
    between = within = np.cov(rows.T, bias=True) / 2
    for _ in range(steps):
        precision_b, precision_w = np.linalg.inv(between), np.linalg.inv(within)
        new_between, new_within = 0.0, 0.0
        for own in groups:
            cov = np.linalg.inv(precision_b + len(own) * precision_w)
            y = cov @ precision_w @ own.sum(0)
            new_between = new_between + cov + np.outer(y, y)
            new_within = new_within + (own - y).T @ (own - y) + len(own) * cov
        between, within = new_between / len(groups), new_within / len(rows)
    return mean, between, within


def test_training_finds_the_closed_form_of_balanced_data():
    cohort, speaker_of, speaker = world([5] * 120, 6, 6)
    model = fit_plda(cohort, speaker_of, dimensions=6, rank=6, length_norm=False, iterations=100)
    mean, between, within = in_own_space(model)
    rows = cohort.vectors
    means = np.array([rows[speaker == s].mean(0) for s in range(120)])
    inside = rows - means[speaker]
    expected_within = inside.T @ inside / (120 * 4)
    expected_between = np.cov(means.T, bias=True) - expected_within / 5
    assert np.linalg.eigvalsh(expected_between)[0] > 0  # or the closed form would not hold
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-9)
    np.testing.assert_allclose(within, expected_within, atol=1e-6)
    np.testing.assert_allclose(between, expected_between, atol=1e-6)


@pytest.mark.slow
def test_training_finds_the_likeliest_model_of_unbalanced_data():
    counts = np.random.default_rng(1).integers(1, 9, 60)
    cohort, speaker_of, speaker = world(counts, 3, 3, seed=1, scale=4.0)
    model = fit_plda(cohort, speaker_of, dimensions=3, rank=3, length_norm=False, iterations=100)
    mine = log_likelihood(cohort.vectors, speaker, *in_own_space(model))
    best = log_likelihood(cohort.vectors, speaker, *em_by_hand(cohort.vectors, speaker))
    assert mine == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_low_rank_finds_the_directions_that_speakers_differ_in(rank):
    """And not the loudest one, where EM would begin by itself: the fit beats the truth."""
    generator = np.random.default_rng(4)
    factors, loud = generator.normal(size=(8, rank)), 20 * generator.normal(size=8)
    within = np.eye(8) + np.outer(loud, loud)
    speaker = np.repeat(np.arange(100), 4)
    rows = generator.normal(size=(100, rank))[speaker] @ factors.T
    rows += generator.multivariate_normal(np.zeros(8), within, len(speaker))
    names = [f"{s}/{k}" for k, s in enumerate(speaker)]
    speaker_of = dict(zip(names, map(str, speaker), strict=True))
    cohort = Embeddings(names, rows)
    model = fit_plda(cohort, speaker_of, dimensions=8, rank=rank, length_norm=False)
    found = log_likelihood(rows, speaker, *in_own_space(model))
    truth = log_likelihood(rows, speaker, np.zeros(8), factors @ factors.T, within)
    none = log_likelihood(rows, speaker, np.zeros(8), 0 * within, np.cov(rows.T, bias=True))
    assert none + 50 < truth < found < truth + 60
    # from the start that the coordinates give, 5 iterations do; from the data's own, it is
    # still 180 nats away after them
    early = fit_plda(cohort, speaker_of, dimensions=8, rank=rank, length_norm=False, iterations=5)
    assert log_likelihood(rows, speaker, *in_own_space(early)) > found - 0.1


@pytest.mark.parametrize("rank", [2, 5])
def test_scores_are_the_likelihood_ratios(rank):
    cohort, speaker_of, _ = world([4] * 50, 5, rank, seed=2)
    model = fit_plda(cohort, speaker_of, dimensions=5, rank=rank, length_norm=False)
    tested, _, speaker = world([2] * 12, 5, rank, seed=3)
    pairs = [(i, j) for i in range(24) for j in range(i, 24)]
    names = tested.names
    trials = TrialList.from_pairs((names[i], names[j], speaker[i] == speaker[j]) for i, j in pairs)
    found = plda_scores(trials, tested, model)
    again = plda_scores(trials, tested, model, block_trials=7)
    np.testing.assert_array_equal(found, again)
    parts = in_own_space(model)
    expected = [by_hand(tested.vectors[i], tested.vectors[j], *parts) for i, j in pairs]
    np.testing.assert_allclose(found, expected, atol=1e-8)

    # and SpeechBrain's own scores, all against all
    rows = tested.vectors @ model.projection - model.centre @ model.projection
    texts = np.array(names, dtype="|O")
    none = np.full(24, None)
    stats = StatObject_SB(texts, texts, none, none, np.ones((24, 1)), rows)
    theirs = fast_PLDA_scoring(
        stats, stats, Ndx(models=texts, testsegs=texts), model.mean, model.factors, model.residual
    )
    order = {name: k for k, name in enumerate(theirs.modelset)}
    matrix = [theirs.scoremat[order[names[i]], order[names[j]]] for i, j in pairs]
    np.testing.assert_allclose(found, matrix, atol=1e-8)


def test_plda_ignores_what_does_not_tell_speakers_apart():
    """A loud nuisance direction: cosine is lost in it, PLDA is not."""
    cohort, speaker_of, _ = world([8] * 60, 10, 4, seed=5)
    tested, _, speaker = world([4] * 30, 10, 4, seed=5)
    generator = np.random.default_rng(6)
    loud = generator.normal(size=10)

    def drown(embeddings):
        noise = 20 * generator.normal(size=(len(embeddings), 1)) * loud
        return Embeddings(embeddings.names, embeddings.vectors + noise)

    cohort, tested = drown(cohort), drown(tested)
    names = tested.names
    trials = TrialList.from_pairs(
        (names[i], names[j], speaker[i] == speaker[j]) for i in range(120) for j in range(i)
    )
    labels = trials.is_target
    model = fit_plda(cohort, speaker_of, dimensions=10, length_norm=False)
    by_plda = eer(plda_scores(trials, tested, model), labels)
    by_cosine = eer(cosine_scores(trials, tested, mean=cohort.mean()), labels)
    assert by_plda < 0.15 < 0.3 < by_cosine


def test_length_normalisation_makes_loudness_matter_nothing():
    cohort, speaker_of, _ = world([5] * 40, 6, 4, seed=7)
    model = fit_plda(cohort, speaker_of)
    vectors = np.random.default_rng(8).normal(size=(4, 6)) + model.centre
    names = ["a/0", "a/1", "b/0", "b/1"]
    trials = TrialList.from_pairs([("a/0", "a/1", True), ("a/0", "b/0", False), ("b/0", "b/1", 1)])
    louder = model.centre + (vectors - model.centre) * [[1.0], [7.0], [0.1], [1e3]]
    found = [plda_scores(trials, Embeddings(names, v), model) for v in (vectors, louder)]
    np.testing.assert_allclose(*found, rtol=1e-9)
    crops = Embeddings(names, np.repeat(vectors[:, None], 3, axis=1))
    np.testing.assert_allclose(plda_scores(trials, crops, model), found[0], rtol=1e-9)


def test_more_dimensions_than_recordings_are_reduced_and_stay_finite():
    cohort, speaker_of, _ = world([3] * 10, 64, 8, seed=9)  # 30 recordings, 20 within speakers
    model = fit_plda(cohort, speaker_of)
    assert model.about == {"recordings": 30, "speakers": 10, "dimensions": 10, "rank": 9}
    trials = TrialList.from_pairs([("s000/0", "s000/1", True), ("s000/0", "s001/3", False)])
    same, other = plda_scores(trials, cohort, model, partial=True)
    assert np.isfinite([same, other]).all() and same > other
    refused(r"dimensions is 21.*2 to 20", fit_plda, cohort, speaker_of, dimensions=21)


def test_a_file_gives_the_same_scores_and_holds_no_code(tmp_path):
    cohort, speaker_of, _ = world([5] * 20, 6, 4)
    model = fit_plda(cohort, speaker_of)
    path = save_plda(tmp_path / "new" / "model.safetensors", model)
    again = load_plda(path)
    trials = TrialList.from_pairs([("s000/0", "s000/1", True), ("s000/0", "s001/5", False)])
    np.testing.assert_array_equal(
        *(plda_scores(trials, cohort, m, partial=True) for m in (model, again))
    )
    assert again.about == model.about and again.length_norm is True
    with safe_open(path, framework="np") as held:
        assert json.loads(held.metadata()["model"])["about"] == model.about
    bad = save_plda(tmp_path / "bad.safetensors", replace(model, residual=-model.residual))
    refused("bad.safetensors.*covariance", load_plda, bad)
    path.write_bytes(path.read_bytes()[:-9])
    refused("model.safetensors.*PLDA", load_plda, path)
    refused("no such PLDA model", load_plda, tmp_path / "missing")


@pytest.mark.parametrize(
    ("counts", "options", "said"),
    [
        ([5] * 10, {"rank": 6}, "rank is 6.*1 to 5"),
        ([9] * 4, {"rank": 4}, "5 dimensions.*1 to 3"),
        ([5] * 10, {"dimensions": 1}, "dimensions is 1"),
        ([5] * 10, {"iterations": 0}, "iterations is 0"),
        ([1] * 10, {}, "0 speakers.*10"),
        ([5] * 2, {}, "2 speakers"),
    ],
)
def test_what_cannot_be_trained_is_refused(counts, options, said):
    cohort, speaker_of, _ = world(counts, 5, 3)
    refused(said, fit_plda, cohort, speaker_of, **options)


def test_degenerate_embeddings_are_refused():
    cohort, speaker_of, speaker = world([5] * 10, 5, 3)
    missing = {name: speaker_of[name] for name in cohort.names[1:]}
    refused("no speaker for 's000/0'", fit_plda, cohort, missing)
    flat = Embeddings(cohort.names, cohort.vectors * [1, 1, 1, 0, 0] + 1)
    refused("fewer than 5", fit_plda, flat, speaker_of, dimensions=5, length_norm=False)
    copies = Embeddings(
        cohort.names, cohort.vectors[np.unique(speaker, return_index=True)[1]][speaker]
    )
    refused("speaker.*fewer than 5", fit_plda, copies, speaker_of, dimensions=5, length_norm=False)
    model = fit_plda(cohort, speaker_of)
    trials = TrialList.from_pairs([("a", "b", True), ("a", "c", False)])
    refused("7 dimensions.*5", plda_scores, trials, Embeddings("abc", np.eye(3, 7)), model)
