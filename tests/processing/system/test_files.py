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
    replacing_folder,
    sweep_parts,
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


def test_what_a_killed_process_was_writing_is_swept_and_nothing_else(tmp_path):
    long_ago = 1_000_000_000
    for name in ("a.csv.0a1b2c3d.part", "a.csv.11111111.part", "mine.part", "a.csv.part"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / "b.csv.22222222.part").write_text("just begun")
    (tmp_path / "c.csv.33333333.part").symlink_to(tmp_path / "mine.part")
    with replacing(tmp_path / "d.csv") as part:
        os.utime(part, (long_ago, long_ago))
        sweep_parts(tmp_path, "a.csv")
        sweep_parts(tmp_path)
        left = {path.name for path in tmp_path.iterdir()} - {part.name}
        part.write_text("whole")
    assert left == {"mine.part", "a.csv.part", "b.csv.22222222.part", "c.csv.33333333.part"}
    assert (tmp_path / "d.csv").read_text() == "whole"


def test_a_folder_that_a_killed_process_was_filling_is_swept_when_it_is_filled_anew(tmp_path):
    for name in (".data.0a1b2c3d.part", ".other.0a1b2c3d.part"):
        (tmp_path / name / "data").mkdir(parents=True)
        os.utime(tmp_path / name, (1_000_000_000,) * 2)
    with replacing_folder(tmp_path / "data") as partial:
        assert sorted(path.name for path in tmp_path.iterdir() if path != partial.parent) == [
            ".other.0a1b2c3d.part"
        ]
        os.utime(partial.parent, (1_000_000_000,) * 2)
        with pytest.raises(OSError), replacing_folder(tmp_path / "data") as second:
            (partial / "b").touch()  # the first one is being filled, and is left
            (second / "a").touch()
            (tmp_path / "data").mkdir()
            (tmp_path / "data" / "c").touch()
        (tmp_path / "data" / "c").unlink()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["b"]


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 65 + "]" * 65, "in each other"),
        ("[" * 10**5, "in each other"),
        ('{"a": ' * 65 + "1" + "}" * 65, "in each other"),
        ('{"a": {"b": 1, "b": 2}}', "'b' twice"),
        ("NaN", "holds NaN"),
        ("[-Infinity]", "holds -Infinity"),
        ("[1e999]", "holds 1e999"),
        ("9" * 5000, "5000 digits"),
        ("[-" + "9" * 21 + "]", "22 digits"),
        ('"' + "a" * 100 + '"', "more than 90 bytes"),
    ],
)
def test_json_that_no_program_can_work_with_is_refused(tmp_path, text, said):
    path = tmp_path / "bad.json"
    path.write_text(text)
    most = {"most_bytes": 90} if text.startswith('"') else {}
    refused(f"bad.json.*{said}", read_json, path, error=TextError, **most)


def test_json_as_deep_as_allowed_is_read_and_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 64 + "]" * 64)
    assert isinstance(read_json(path), list)
    os.mkfifo(tmp_path / "pipe.json")
    refused("pipe.json: no regular file", read_json, tmp_path / "pipe.json", error=TextError)


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
