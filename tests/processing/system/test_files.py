"""Files are written whole or not at all and never through a link; text is read with or without a BOM."""

import os
import stat

import pytest
from refusals import refused

from auricle.processing.system.files import (
    PART,
    TextError,
    file_digest,
    read_json,
    read_text,
    replacing,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half")
        assert part.name.endswith(PART) and part.parent == tmp_path
        raise RuntimeError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_is_replaced_and_its_target_is_left_alone(tmp_path):
    target = tmp_path / "target.txt"
    target.write_text("theirs")
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    write_text(link, "ours")
    assert target.read_text() == "theirs"
    assert link.read_text() == "ours" and not link.is_symlink()


def test_a_planted_link_under_a_temporary_name_is_not_followed(tmp_path):
    target = tmp_path / "target.txt"
    target.write_text("theirs")
    for name in ("a.json" + PART, "a" + PART):
        (tmp_path / name).symlink_to(target)
    write_json(tmp_path / "a.json", {"a": 1})
    assert target.read_text() == "theirs"
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_permissions_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_text_and_line_ends_are_one(tmp_path, mark):
    path = tmp_path / "a.txt"
    path.write_bytes(mark + b"one\r\ntwo\rthree\n")
    assert read_text(path) == "one\ntwo\nthree\n"


def test_errors_name_the_file_and_the_line(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"fine\ncaf\xe9\n")
    refused(r"latin\.txt.*line 2.*UTF-8", read_text, path, error=TextError)
    path = tmp_path / "broken.json"
    path.write_text('{\n"a": }')
    refused(r"broken\.json.*line 2", read_json, path, error=TextError)


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", float("nan"))
    assert not list(tmp_path.iterdir())


def test_a_digest_of_files_is_that_of_their_bytes_in_order(tmp_path):
    one, two, both = (tmp_path / name for name in "abc")
    one.write_bytes(b"x" * 3_000_000)
    two.write_bytes(b"y")
    both.write_bytes(one.read_bytes() + b"y")
    assert file_digest(one, two) == file_digest(both) != file_digest(two, one)
