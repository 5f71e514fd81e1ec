"""Fetching archives, against a server on this machine: resume, checksums, no network, unpacking."""

import fcntl
import hashlib
import io
import os
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from refusals import refused

from auricle.processing.data.download import DownloadError, extract_tar, fetch

CONTENT = bytes(range(256)) * 5000
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """A server with one file; `log` holds what was asked for, `behaviour` what it does wrong."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            log.append(wanted)
            if self.path != "/file":
                return self.send_error(404)
            start = int(wanted[6:-1]) if wanted and behaviour != {"no ranges"} else 0
            if start >= len(CONTENT):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            if behaviour == {"trickles"}:
                for place in range(start, start + 200):
                    time.sleep(0.05)
                    self.wfile.write(CONTENT[place : place + 1])
                return
            end = len(CONTENT) // 2 if behaviour == {"breaks"} else len(CONTENT)
            self.wfile.write(CONTENT[start:end])

        def log_message(self, *args):
            pass

    log, behaviour = [], set()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    httpd.log, httpd.behaviour = log, behaviour
    httpd.url = f"http://127.0.0.1:{httpd.server_port}/file"
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.parametrize("checksum", [MD5, SHA256, None])
def test_a_file_arrives_whole_and_is_fetched_once(tmp_path, server, checksum):
    path = tmp_path / "new" / "file.tar.gz"
    for _ in range(2):
        assert fetch(server.url, path, checksum, progress=False) == path
        assert path.read_bytes() == CONTENT
    assert server.log == [None]
    assert [p.name for p in path.parent.iterdir()] == ["file.tar.gz"]


def not_fetched(match, *arguments, **options):
    return refused(match, fetch, *arguments, error=DownloadError, progress=False, **options)


@pytest.mark.parametrize("behaviour", [set(), {"no ranges"}])
def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path, server, behaviour):
    server.behaviour.add("breaks")
    path = tmp_path / "file.tar.gz"
    not_fetched("640000 of 1280000", server.url, path, MD5)
    assert not path.exists()
    server.behaviour.clear()
    server.behaviour.update(behaviour)
    fetch(server.url, path, MD5, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.log == [None, "bytes=640000-"]


@pytest.mark.slow
def test_a_trickle_is_ended_and_what_came_is_kept(tmp_path, server):
    server.behaviour.add("trickles")
    path = tmp_path / "file.tar.gz"
    not_fetched("only [0-9]+ bytes came.*goes on where it stopped", server.url, path, timeout_s=0.3)
    kept = (tmp_path / "file.tar.gz.part").stat().st_size
    assert 2 < kept < 100
    server.behaviour.clear()
    fetch(server.url, path, MD5, progress=False)
    assert server.log == [None, f"bytes={kept}-"]


def test_the_growing_file_is_no_link_and_no_other_process_writes_it(tmp_path, server):
    path, part, other = (tmp_path / name for name in ("file", "file.part", "other"))
    other.write_text("theirs")
    part.symlink_to(other)
    not_fetched("file.part cannot be written", server.url, path, MD5)
    assert other.read_text() == "theirs" and server.log == []
    part.unlink()
    with open(part, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        not_fetched("another process is writing", server.url, path, MD5)
    part.unlink()
    os.mkfifo(part)
    not_fetched("no file of yours", server.url, path, MD5)


def test_a_complete_part_needs_only_its_checksum(tmp_path, server):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(server.url, tmp_path / "file", MD5, progress=False).read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_leaves_nothing_to_go_on_from(tmp_path, server):
    wrong = "md5:" + "0" * 32
    error = not_fetched("expected 0{32}.*delete it", server.url, tmp_path / "file", wrong)
    assert MD5[4:] in str(error)
    assert list(tmp_path.iterdir()) == []
    # a file that was put there by hand is checked too, and left to its owner
    (tmp_path / "file").write_bytes(b"something else")
    not_fetched("is damaged or is another file", server.url, tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == b"something else"


def test_no_network_is_said_in_one_sentence_with_the_way_round(tmp_path, server):
    server.shutdown()
    server.server_close()
    text = str(not_fetched("", server.url, tmp_path / "file.tar.gz", MD5, timeout_s=5))
    assert text.startswith(f"{server.url} could not be fetched (")
    assert "refused" in text and "by hand" in text and str(tmp_path / "file.tar.gz") in text


@pytest.mark.parametrize("have", [b"", CONTENT[:100]], ids=["nothing", "a part"])
def test_an_address_that_is_not_there_names_the_answer(tmp_path, server, have):
    (tmp_path / "file.part").write_bytes(have)
    not_fetched("404", server.url + "s", tmp_path / "file")


def _tar(path, names):
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 5
            tar.addfile(member, io.BytesIO(b"hello"))
    return path


def test_an_archive_is_unpacked_into_its_folder(tmp_path):
    archive = _tar(tmp_path / "a.tar.gz", ["./yes/a.wav", "./testing_list.txt"])
    (tmp_path / "data").mkdir()
    extract_tar(archive, tmp_path / "data")
    assert (tmp_path / "data" / "yes" / "a.wav").read_bytes() == b"hello"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar.gz", "data"]
    refused("is not empty", extract_tar, archive, tmp_path / "data", error=DownloadError)


@pytest.mark.parametrize("damage", ["outside", "cut", "no archive"])
def test_an_unsafe_or_damaged_archive_leaves_no_half_data_set(tmp_path, damage):
    archive = _tar(tmp_path / "a.tar.gz", ["ok.wav", "../evil.wav" if damage == "outside" else "b"])
    if damage == "cut":
        archive.write_bytes(archive.read_bytes()[:60])
    if damage == "no archive":
        archive.write_bytes(b"<html>")
    folder = tmp_path / "in" / "data"
    refused("cannot be unpacked .*delete it", extract_tar, archive, folder, error=DownloadError)
    assert list((tmp_path / "in").iterdir()) == []
    assert not list(tmp_path.rglob("evil.wav"))
