"""Regression scores: by hand, against SciPy and scikit-learn, by invariance, and what is refused."""

import json

import numpy as np
import pytest
import torch
from refusals import refused
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from auricle.processing.scoring.regression.comparison import compare_regression
from auricle.processing.scoring.regression.metrics import RegressionScores
from auricle.processing.scoring.regression.moments import concordance

SCALE = {"low": 1, "high": 9}


def songs(size=60, noise=0.8, seed=0):
    generator = np.random.default_rng(seed)
    targets = generator.uniform(2, 8, (size, 2))
    predictions = 5 + 0.7 * (targets - 5) + generator.normal(0.2, noise, targets.shape)
    return [f"s{i:03d}" for i in range(size)], predictions, targets


def collected(ids, predictions, targets, groups=None, n_resamples=0):
    scores = RegressionScores(scale=SCALE, n_resamples=n_resamples)
    scores.append(ids, predictions, targets, groups)
    return scores


def lin(p, t):
    """Another way to the same number: 1 - E(p - t)^2 over what independence would give."""
    return 1 - np.mean((p - t) ** 2) / (p.var() + t.var() + (p.mean() - t.mean()) ** 2)


def test_ccc_by_hand_with_moments_over_n():
    # means 3 and 2, variances 2/3 and 2/3, covariance 2/3
    assert concordance([2, 3, 4], [1, 2, 3]) == pytest.approx((4 / 3) / (4 / 3 + 1))
    assert concordance([1, 2, 3], [1, 2, 3]) == 1
    assert concordance([3, 2, 1], [1, 2, 3]) == -1


def test_every_score_against_other_libraries():
    ids, p, t = songs()
    result = collected(ids, p, t).summarize()
    for d, name in enumerate(("valence", "arousal")):
        assert result[f"ccc_{name}"] == pytest.approx(lin(p[:, d], t[:, d]), abs=1e-12)
        assert result[f"r2_{name}"] == pytest.approx(r2_score(t[:, d], p[:, d]), abs=1e-12)
        assert result[f"pearson_{name}"] == pytest.approx(pearsonr(p[:, d], t[:, d])[0], abs=1e-12)
        rmse = np.sqrt(np.mean((p[:, d] - t[:, d]) ** 2))
        assert result[f"rmse_{name}"] == pytest.approx(rmse, abs=1e-12)
        assert result[f"rmse_unit_scale_{name}"] == pytest.approx(rmse / 4, abs=1e-12)
    assert result["r2"] == pytest.approx(r2_score(t, p), abs=1e-12)
    assert result["ccc"] == pytest.approx((result["ccc_valence"] + result["ccc_arousal"]) / 2)
    assert result["interval"] is None and result["level"] == "clip" and result["n"] == 60


def test_ccc_keeps_its_value_on_another_scale_and_far_from_zero():
    ids, p, t = songs()
    expected = collected(ids, p, t).summarize()["ccc"]
    far = RegressionScores(scale={"low": 1e6, "high": 1e6 + 1})
    far.append(ids, 1e6 + (p - 1) / 8, 1e6 + (t - 1) / 8)
    far.n_resamples = 0
    assert far.summarize()["ccc"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("constant", [5.0, 0.1, 1 / 3, 1e5])
def test_a_constant_prediction_scores_zero(constant):
    ids, p, t = songs()
    result = collected(ids, np.full_like(p, constant), t, n_resamples=50).summarize()
    assert result["ccc"] == 0 and result["pearson"] == 0
    assert result["interval"]["ccc"] == [0, 0]
    numbers = [value for value in result.values() if isinstance(value, float)]
    assert np.isfinite(numbers).all() and len(numbers) > 10


def test_the_mean_predictor_has_r2_zero():
    ids, _, t = songs()
    result = collected(ids, np.broadcast_to(t.mean(0), t.shape), t).summarize()
    assert result["r2"] == pytest.approx(0, abs=1e-12) and result["ccc"] == 0


def test_clips_are_averaged_to_songs_first():
    ids, p, t = songs(20)
    offset = np.array([-1.0, 0.0, 1.0])[:, None, None]
    clips = (p + offset).reshape(-1, 2)
    names = [f"{i}-{k}" for k in range(3) for i in ids]
    whole = collected(names, clips, np.tile(t, (3, 1)), groups=ids * 3).summarize()
    assert whole["level"] == "song" and whole["n"] == 20 and whole["n_items"] == 60
    assert whole["ccc"] == pytest.approx(collected(ids, p, t).summarize()["ccc"], abs=1e-12)
    # at clip level it is another number
    per_clip = collected(names, clips, np.tile(t, (3, 1))).summarize()
    assert per_clip["ccc"] < whole["ccc"] - 0.01


def test_shards_in_any_order_give_equal_numbers_through_json():
    ids, p, t = songs(40)
    groups = [f"g{i % 13}" for i in range(40)]
    expected = collected(ids, p, t, groups, n_resamples=50).summarize()
    order = np.random.default_rng(3).permutation(40)
    states = [RegressionScores(scale=SCALE, n_resamples=50).state()]
    for part in np.array_split(order, 3):
        shard = RegressionScores(scale=SCALE, n_resamples=50)
        shard.append([ids[i] for i in part], p[part], t[part], [groups[i] for i in part])
        states.insert(0, json.loads(json.dumps(shard.state())))
    merged = RegressionScores.from_state(*states)
    assert merged.summarize() == expected
    json.dumps(expected, allow_nan=False)


def test_tensors_are_taken_in_any_precision():
    ids, p, t = songs()
    p, t = (torch.tensor(v, dtype=torch.bfloat16, requires_grad=True) for v in (p, t))
    result = collected(ids, p, t).summarize()
    p, t = (v.detach().double().numpy() for v in (p, t))
    assert result["ccc"] == pytest.approx(np.mean([lin(p[:, d], t[:, d]) for d in (0, 1)]))


def sequences(size=12, points=30, seed=0):
    generator = np.random.default_rng(seed)
    base = generator.uniform(-0.6, 0.6, (size, 1, 2))
    targets = base + 0.2 * np.sin(np.arange(points) / 5)[None, :, None]
    predictions = 0.8 * base + generator.normal(0, 0.1, (size, points, 2))
    times_s = np.tile(15 + 0.5 * np.arange(points), (size, 1))
    return [f"s{i}" for i in range(size)], predictions, targets, times_s


def dynamic(n_resamples=0):
    return RegressionScores(scale={"low": -1, "high": 1}, n_resamples=n_resamples)


def test_sequences_pooled_and_per_song():
    ids, p, t, times_s = sequences()
    counts = np.array([30, 20] * 6)
    scores = dynamic(100)
    scores.append_sequences(ids, p, t, times_s, counts)
    result = scores.summarize()
    p, t = ([row[:n] for row, n in zip(v, counts, strict=True)] for v in (p, t))
    pooled = [lin(np.concatenate(p)[:, d], np.concatenate(t)[:, d]) for d in (0, 1)]
    own = [lin(a[:, d], b[:, d]) for a, b in zip(p, t, strict=True) for d in (0, 1)]
    assert result["ccc"] == pytest.approx(np.mean(pooled), abs=1e-12)
    assert result["ccc_song_mean"] == pytest.approx(np.mean(own), abs=1e-12)
    assert result["ccc_song_mean"] < result["ccc"] - 0.2  # songs are told apart, moments are not
    assert result["level"] == "point" and result["n"] == 12 and result["n_points"] == counts.sum()
    assert result["interval"]["over"] == "song" and result["interval"]["n_groups"] == 12
    low, high = result["interval"]["ccc_song_mean"]
    assert low < result["ccc_song_mean"] < high


def test_overlapping_windows_are_averaged_at_each_time():
    ids, p, t, times_s = sequences(4)
    whole, windows = dynamic(), dynamic()
    whole.append_sequences(ids, p, t, times_s)
    for name, part, shift in (("a", slice(0, 20), 0.1), ("b", slice(10, 30), -0.1)):
        changed = p[:, part].copy()
        overlap = slice(10, 20) if name == "a" else slice(0, 10)
        changed[:, overlap] += shift
        windows.append_sequences(
            [f"{i}{name}" for i in ids], changed, t[:, part], times_s[:, part], groups=ids
        )
    assert windows.summarize()["ccc"] == pytest.approx(whole.summarize()["ccc"], abs=1e-12)
    assert windows.summarize()["n_points"] == 120


def test_intervals_resample_songs_and_not_clips():
    ids, p, t = songs(30)
    alone = collected(ids, p, t, n_resamples=1000).summarize()["interval"]
    names = [f"{i}-{k}" for k in range(9) for i in ids]
    many = collected(names, np.tile(p, (9, 1)), np.tile(t, (9, 1)), ids * 9, 1000).summarize()
    assert many["interval"]["ccc"] == pytest.approx(alone["ccc"], abs=1e-9)
    assert many["interval"]["over"] == "song" and many["interval"]["n_groups"] == 30


@pytest.mark.slow
def test_interval_covers_the_truth_as_often_as_it_says():
    _, p, t = songs(20000)
    truth = concordance(p[:, 0], t[:, 0])
    inside = 0
    for seed in range(60):
        ids, p, t = songs(60, seed=seed + 1)
        scores = RegressionScores(["valence"], SCALE, n_resamples=200)
        scores.append(ids, p[:, :1], t[:, :1])
        low, high = scores.summarize()["interval"]["ccc"]
        inside += low <= truth <= high
    assert 50 <= inside <= 60


def test_paired_comparison_sees_what_two_intervals_do_not():
    ids, _, t = songs(120)
    hard = np.random.default_rng(1).normal(0, 1.2, t.shape)  # what is hard for both
    slight = np.random.default_rng(2).normal(0, 0.45, t.shape)
    a, b = collected(ids, t + hard, t, None, 1000), collected(ids, t + hard + slight, t, None, 1000)
    low_a, high_b = a.summarize()["interval"]["ccc"][0], b.summarize()["interval"]["ccc"][1]
    assert low_a < high_b  # the single intervals overlap
    result = compare_regression(a, b)
    assert result.differ and result.p_value < 0.05 and result.difference > 0
    assert result.a == pytest.approx(a.summarize()["ccc"], abs=1e-12)
    back = compare_regression(b, a)
    assert back.difference == -result.difference and back.p_value == result.p_value
    same = compare_regression(a, a)
    assert same.p_value == 1 and not same.differ and same.interval == (0, 0)
    assert compare_regression(a, b, "rmse_arousal").difference < 0


def test_only_the_same_songs_are_compared():
    ids, p, t = songs(10)
    a = collected(ids, p, t)
    refused("s009", compare_regression, a, collected(ids[:9], p[:9], t[:9]))
    refused("different labels", compare_regression, a, collected(ids, p, t[:, ::-1]))
    refused("accuracy", compare_regression, a, a, "accuracy")


@pytest.mark.parametrize(
    "change, said",
    [
        ({"predictions": [[np.nan, 2], [3, 4]]}, "prediction of 'a' holds NaN"),
        ({"targets": [[2, 3], [4, np.inf]]}, "target of 'b' holds NaN"),
        ({"targets": [[2, 3], [4, 9.5]]}, "'b'.*1 to 9"),
        ({"ids": ["a", "a"]}, "twice"),
        ({"ids": ["a", "z"]}, "twice"),
        ({"ids": []}, "empty"),
        ({"ids": ["a", 3]}, "ids.*3"),
        ({"predictions": [[2], [3]]}, r"\(2, 2\) is needed"),
        ({"groups": ["g", None]}, "groups"),
        ({"groups": ["g", "h"]}, "groups"),
    ],
)
def test_bad_batches_are_refused_and_leave_nothing(change, said):
    scores = collected(["z"], [[2, 2]], [[3, 3]])
    batch = {"ids": ["a", "b"], "predictions": [[1, 2], [3, 4]], "targets": [[2, 3], [4, 5]]}
    refused(said, scores.append, **(batch | change))
    assert len(scores) == 1
    scores.append(**batch)
    assert len(scores) == 3


def test_a_constant_target_and_no_items_are_errors():
    ids, p, t = songs(10)
    t[:, 1] = 3
    refused("arousal is 3", collected(ids, p, t).summarize)
    refused("nothing", RegressionScores().summarize)
    refused("constant", concordance, [1, 2], [3, 3])


def test_clips_and_sequences_and_scales_do_not_mix():
    ids, p, t, times_s = sequences(2)
    scores = dynamic()
    scores.append(["z"], [[0, 0]], [[0, 0]])
    refused("together", scores.append_sequences, ids, p, t, times_s)
    refused("rise", dynamic().append_sequences, ids, p, t, times_s[:, ::-1])
    refused("merge", scores.merge, RegressionScores())
    refused("twice", scores.merge, scores)
