"""Recordings and speakers that two splits share: found by content, refused, left out, counted."""

import pytest

from auricle.recipes.training.preparation import PreparationError
from auricle.recipes.training.shared_recordings import (
    Item,
    count_kept,
    find_copies,
    find_shared,
    leave_out_shared,
)

ITEMS = [
    Item("a", "train", "x", "1"),
    Item("b", "train", "y", "2"),
    Item("c", "train", "z", ""),
    Item("d", "train", "", "5"),
    Item("e", "valid", "y", "3"),
    Item("f", "valid", "w", "1"),
    Item("g", "valid", "v", ""),
    Item("h", "test", "q", "1"),
    Item("i", "test", "z", ""),
]
SHARED = {
    ("train", "test", "recordings"): ["a"],
    ("train", "test", "speakers"): ["c"],
    ("train", "valid", "speakers"): ["b"],
    ("valid", "test", "recordings"): ["f"],
}


def test_each_is_found_once_with_the_test_first():
    assert find_shared(ITEMS) == SHARED


def test_it_is_left_out_and_counted_where_that_is_asked_for():
    with pytest.raises(
        PreparationError, match="(?s)1 of train: speakers of test, e.g. c.*LIST"
    ) as told:
        leave_out_shared(ITEMS, False, "Mend the LIST")
    assert "--skip_broken true" in str(told.value)
    names, counts = leave_out_shared(ITEMS, True, "")
    assert names == {"a", "b", "c", "f"} and sum(counts.values()) == 4
    assert counts["left out of valid: identical recordings in test"] == 1
    assert leave_out_shared(ITEMS[3:4], False, "") == (set(), {})


def test_what_is_published_so_is_kept_and_counted():
    names, counts = leave_out_shared(ITEMS, False, "", is_published=True)
    assert not names and counts == count_kept(ITEMS)
    assert counts["kept in train: speakers of valid"] == 1


def test_a_split_of_which_nothing_is_left_is_refused_with_the_cause():
    with pytest.raises(PreparationError, match="(?s)nothing is left of train.*ARCHIVE"):
        leave_out_shared([ITEMS[0], *ITEMS[6:]], True, "the ARCHIVE")


def test_copies_are_told_from_files_of_one_size_and_from_those_with_one_middle(tmp_path):
    middle = b"m" * 300
    contents = {
        "original": b"a" * 300 + middle + b"b" * 300,
        "copy": b"a" * 300 + middle + b"b" * 300,
        "size": b"a" * 900,
        "middle": b"a" * 300 + middle + b"c" * 300,
        "short": middle,
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in contents if name != "original"]
    found = list(find_copies(paths, [tmp_path / "original"]))
    assert found == [True, False, False, False]
