"""Decoding: what a path says, the most probable transcript by brute force, and what a bigram does."""

import itertools
import json
import math
import warnings

import pytest
import torch
from refusals import refused

from auricle.processing.transcription.bigram import Bigram
from auricle.processing.transcription.ctc_decoding import (
    BeamDecoder,
    GreedyDecoder,
    build_decoder,
    decoding_problems,
)

LABELS = ("<blank>", "s", "h", "sh")
ALL = {"unit_prune_logp": -math.inf, "beam_prune_logp": -math.inf}


def posteriors(seed, steps=5, labels=4, items=1, sharpness=1.5):
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(items, steps, labels, generator=generator)).log_softmax(-1)


def path_of(*indices, labels=4, sure=0.9):
    """Log-probabilities (1, N, C) of a path of which the model is rather sure."""
    rest = (1 - sure) / (labels - 1)
    return (
        torch.full((1, len(indices), labels), rest)
        .log()
        .scatter(2, torch.tensor(indices)[None, :, None], math.log(sure))
    )


def log_probability(item, units):
    """Of a transcript, by torch's CTC: an oracle that sums over all alignments."""
    return -torch.nn.functional.ctc_loss(
        item[:, None].double(),
        torch.tensor([units], dtype=torch.long).reshape(1, -1),
        torch.tensor([len(item)]),
        torch.tensor([len(units)]),
        reduction="none",
    ).item()


def best_of_all(item, bonus=lambda units: 0.0):
    transcripts = (
        list(units)
        for size in range(len(item) + 1)
        for units in itertools.product(range(1, item.shape[1]), repeat=size)
    )
    return max(transcripts, key=lambda units: log_probability(item, units) + bonus(units))


# --- greedy --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "units"),
    [
        ((1, 1, 0, 1, 2, 2), [1, 1, 2]),
        ((0, 0, 0), []),
        ((3,), [3]),
        ((1, 2, 1, 0, 0, 3), [1, 2, 1, 3]),
    ],
)
def test_a_path_by_hand(path, units):
    log_probabilities = path_of(*path)
    assert GreedyDecoder()(log_probabilities, torch.tensor([len(path)])) == [units]
    # of a path this sure it is the most probable transcript as well
    assert BeamDecoder(LABELS)(log_probabilities, torch.tensor([len(path)])) == [units]


@pytest.mark.parametrize("make", [GreedyDecoder, lambda: BeamDecoder(LABELS, 8)])
@pytest.mark.parametrize("steps", [1, 29, 49, 97])  # n / 97 * 97 is not n in single precision
def test_what_lies_behind_an_item_has_no_influence(make, steps):
    decode = make()
    batch = posteriors(0, steps=97, items=2)
    counts = torch.tensor([97, steps])
    found = decode(batch, counts)
    assert found[1] == decode(batch[1:, :steps], torch.tensor([steps]))[0]
    other = batch.clone()
    other[1, steps:] = path_of(*[3, 0] * 49)[0, : 97 - steps]
    assert decode(other, counts) == found
    assert found[0] == decode(batch[:1], torch.tensor([97]))[0]


def test_an_item_without_steps_says_nothing():
    for decode in (GreedyDecoder(), BeamDecoder(LABELS)):
        assert decode(posteriors(0, items=2), torch.tensor([0, 5]))[0] == []


@pytest.mark.parametrize("decode", [GreedyDecoder(), BeamDecoder(LABELS)])
def test_half_precision_and_wrong_shapes(decode):
    (found,) = decode(path_of(1, 0, 2).to(torch.bfloat16), torch.tensor([3]))
    assert found == [1, 2]
    refused(r"\(B, N, C\)", decode, path_of(1, 2)[0], torch.tensor([2]))
    refused("7 steps in a batch of 2", decode, path_of(1, 2), torch.tensor([7]))


# --- beam ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_the_most_probable_of_all_transcripts(seed):
    log_probabilities = posteriors(seed)
    decode = BeamDecoder(LABELS, 500, **ALL)
    assert decode(log_probabilities, torch.tensor([5])) == [best_of_all(log_probabilities[0])]


@pytest.mark.parametrize("beam_size", [1, 3, 16])
def test_that_is_not_always_what_greedy_says_and_never_less_probable(beam_size):
    different, decode = 0, BeamDecoder(LABELS, beam_size)
    for seed in range(40):
        log_probabilities, steps = posteriors(seed, steps=8), torch.tensor([8])
        (greedy,), (beam,) = (
            GreedyDecoder()(log_probabilities, steps),
            decode(log_probabilities, steps),
        )
        item = log_probabilities[0]
        assert log_probability(item, beam) >= log_probability(item, greedy) - 1e-9
        different += beam != greedy
    assert different >= 4


def test_names_of_units_do_not_run_into_each_other():
    # s h, and sh, would be the same text
    log_probabilities = path_of(1, 2, 0, 3)
    assert BeamDecoder(LABELS)(log_probabilities, torch.tensor([4])) == [[1, 2, 3]]
    many = [f"u{i}" for i in range(1200)]  # "u1" "1", "u11"
    long = path_of(11, 1, 1, 0, 1, 1199, labels=1200)
    assert BeamDecoder(many)(long, torch.tensor([6])) == [[11, 1, 1, 1199]]


def test_it_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BeamDecoder(LABELS)(posteriors(0), torch.tensor([5]))


# --- bigram --------------------------------------------------------------------------------------


def test_witten_bell_by_hand():
    bigram = Bigram.train([[1, 2], [1, 1]], num_labels=3)
    # pairs: (start 1) (1 2) (2 end) (start 1) (1 1) (1 end); each of 1, 2, end as what follows:
    unigram = [(2 + 1) / 9, (3 + 1) / 9, (1 + 1) / 9]  # end, 1, 2
    after_1 = [(1 + 3 * p) / 6 for p in unigram]  # three pairs, three kinds
    start = [(n + 1 * p) / 3 for n, p in zip((0, 2, 0), unigram, strict=True)]
    after_2 = [(n + 1 * p) / 2 for n, p in zip((1, 0, 0), unigram, strict=True)]
    expected = torch.tensor([start, after_1, after_2], dtype=torch.float64)
    found = torch.from_numpy(bigram.log_probabilities).exp()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(3, dtype=torch.float64))
    by_hand = math.log(start[1] * after_1[2] * after_2[0])
    assert bigram.log_probability([1, 2]) == pytest.approx(by_hand)
    mean = (2 * math.log(start[1]) + math.log(after_1[1]) + math.log(after_1[2])) / 4
    assert bigram.mean == pytest.approx(mean)


def test_a_unit_that_was_never_seen_is_followed_by_anything():
    bigram = Bigram.train([[1, 2]], num_labels=5)
    for row in bigram.log_probabilities:
        assert math.exp(row[4]) > 0 and sum(map(math.exp, row)) == pytest.approx(1)


def test_a_bigram_is_saved_as_json(tmp_path):
    bigram = Bigram.train([[1, 2, 3], [3, 3]], num_labels=4)
    path = bigram.save(tmp_path / "bigram.json")
    again = Bigram.load(path)
    assert (again.log_probabilities == bigram.log_probabilities).all()
    assert again.state() == bigram.state() == json.loads(path.read_text())


@pytest.mark.parametrize(
    "text", ["[1", "{}", '{"version": 9, "num_labels": 3, "counts": []}', "[]",
             '{"version": 1, "num_labels": 3, "counts": [[0, 7, 1]]}',
             '{"version": 1, "num_labels": 3, "counts": []}']
)  # fmt: skip
def test_a_file_that_is_no_bigram(tmp_path, text):
    path = tmp_path / "bigram.json"
    path.write_text(text)
    refused("bigram.json", Bigram.load, path)


@pytest.mark.parametrize("lists", [[], [[]], [[1, 0]], [[4]]])
def test_what_a_bigram_cannot_be_trained_on(lists):
    refused("transcript", Bigram.train, lists, num_labels=4)


def test_a_bigram_decides_a_tie():
    tie = torch.tensor([[[0.01, 0.97, 0.01, 0.01], [0.02, 0.0, 0.49, 0.49]]]).log()
    for wanted in (2, 3):
        bigram = Bigram.train([[1, wanted]] * 5, num_labels=4)
        decode = BeamDecoder(LABELS, 8, 0.3, bigram)
        assert decode(tie, torch.tensor([2])) == [[1, wanted]]


def test_a_bigram_has_its_say_while_there_is_still_a_choice():
    # of one prefix that is kept
    nearly = torch.tensor([[[0.01, 0.55, 0.43, 0.01], [0.01, 0.01, 0.01, 0.97]]]).log()
    bigram = Bigram.train([[2, 3]] * 9, num_labels=4)
    assert BeamDecoder(LABELS, 1)(nearly, torch.tensor([2])) == [[1, 3]]
    assert BeamDecoder(LABELS, 1, 1.0, bigram)(nearly, torch.tensor([2])) == [[2, 3]]


@pytest.mark.parametrize("seed", range(8))
def test_with_a_bigram_too_the_best_of_all_transcripts_is_found(seed):
    transcripts = torch.randint(1, 4, (6, 5), generator=torch.Generator().manual_seed(seed))
    bigram = Bigram.train(transcripts.tolist(), num_labels=4)
    weight = 1.5

    def bonus(units):
        return weight * (bigram.log_probability(units) - len(units) * bigram.mean)

    log_probabilities = posteriors(seed, sharpness=1.0)
    decode = BeamDecoder(LABELS, 500, weight, bigram, **ALL)
    expected = best_of_all(log_probabilities[0], bonus)
    assert decode(log_probabilities, torch.tensor([5])) == [expected]


def test_weight_0_is_no_bigram():
    bigram = Bigram.train([[1, 2, 3]], num_labels=4)
    batch, steps = posteriors(3, steps=12, items=4), torch.full((4,), 12)
    without = BeamDecoder(LABELS, 8)(batch, steps)
    assert BeamDecoder(LABELS, 8, 0.0, bigram)(batch, steps) == without
    assert BeamDecoder(LABELS, 8, 3.0, bigram)(batch, steps) != without


# --- configuration -------------------------------------------------------------------------------


def test_a_configuration_gives_its_decoder():
    assert isinstance(build_decoder("greedy", LABELS), GreedyDecoder)
    assert isinstance(build_decoder("beam", LABELS, 4), BeamDecoder)
    assert decoding_problems({"decoding": "beam", "beam_size": 4, "lm_weight": 0.5}) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"decoding": "best"}, "greedy or beam"),
        ({"beam_size": 0}, "from 1 to 10000"),
        ({"beam_size": 10_000_000}, "from 1 to 10000"),
        ({"beam_size": 2.5}, "whole number"),
        ({"lm_weight": -1}, "0 or more"),
        ({"lm_weight": math.nan}, "0 or more"),
        ({"lm_weight": True}, "a number"),
        ({"decoding": "greedy", "lm_weight": 0.5}, "decoding beam"),
    ],
)
def test_bad_options(options, text):
    (found,) = decoding_problems(options)
    assert text in found


def test_a_decoder_that_cannot_be():
    refused("no bigram", BeamDecoder, LABELS, 8, 0.5)
    refused("same units", BeamDecoder, LABELS, 8, 0.5, Bigram.train([[1]], num_labels=3))
    refused("3 log-probabilities", BeamDecoder(LABELS), posteriors(0, labels=3), torch.tensor([5]))
    refused("beam_size", BeamDecoder, LABELS, 0)
