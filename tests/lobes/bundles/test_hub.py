"""Bundles on a hub, which is a small server of this machine: published, fetched, refused."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import torch
from random_bundle import random_bundle

from auricle.lobes import bundles, pretrained

COMMIT = "c0ffee" + 34 * "0"


class Hub(BaseHTTPRequestHandler):
    """What `huggingface_hub` asks of a hub; its repositories are dicts from names to bytes."""

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, value):
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        about = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+)?", path)
        named = about or re.fullmatch(rf"/([^/]+/[^/]+)/resolve/{COMMIT}/(.+)", path)
        files = self.server.repositories.get(named[1]) if named else None
        if files is None or (not about and named[2] not in files):
            self.answer(404, X_Error_Code="RepoNotFound", X_Error_Message="no such repository")
        elif about:
            sizes = self.server.sizes
            siblings = [{"rfilename": n, "size": sizes.get(n, len(b))} for n, b in files.items()]
            self.json({"id": named[1], "sha": self.server.sha, "siblings": siblings})
        else:
            self.answer(200, files[named[2]], ETag=f'"{hash(named[2])}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET

    def do_POST(self):
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/repos/create":
            about = json.loads(body)
            name = f"{about.get('organization') or 'me'}/{about['name']}"
            self.server.repositories.setdefault(name, {})
            self.server.private = about.get("private") or about.get("visibility") == "private"
            self.json({"url": f"http://{self.headers['Host']}/{name}"})
        elif path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular"} for f in files]
            self.json({"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        else:
            name = re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path)[1]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    held = base64.b64decode(value["content"])
                    self.server.repositories[name][value["path"]] = held
            address = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
            self.json({"success": True, "commitOid": COMMIT, "commitUrl": address})


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.repositories, server.asked, server.sizes, server.sha = {}, [], {}, COMMIT
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_TOKEN", "no_real_token")
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def test_a_published_bundle_is_opened_from_the_hub(hub, tmp_path, auricle):
    folder = random_bundle(tmp_path / "bundle")
    (folder / "notes.txt").write_text("private")
    (folder / "hyperparams.yaml").write_text("a: !apply:os.abort []\n")
    printed = auricle.output("publish", folder, "me/words", "--private", "--licence", "mit")
    assert f"hf://me/words@{COMMIT}" in printed and hub.private is True
    held = hub.repositories["me/words"]
    assert set(held) == {"bundle.json", "model.safetensors", "README.md", "hyperparams.yaml"}
    assert b'license: "mit"' in held["README.md"] and b"abort" not in held["hyperparams.yaml"]
    ours, wav = pretrained.load(folder), 0.1 * torch.randn(1, 16000)
    theirs = pretrained.load("hf://me/words")
    assert torch.equal(ours(wav), theirs(wav)) and ours.description == theirs.description
    count = len(hub.asked)
    pretrained.load(f"hf://me/words@{COMMIT}")
    assert len(hub.asked) == count, "a commit in the cache is fetched again"
    assert "hub/me/words" in auricle.output("cache", "list")


def test_only_files_of_bundles_are_fetched(hub, tmp_path):
    folder = random_bundle(tmp_path / "bundle")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    hub.repositories["a/b"] = {**files, "custom.py": b"raise SystemExit", "calibration.json": b"{}"}
    fetched = bundles.find_bundle("hf://a/b@main")
    assert {file.name for file in fetched.iterdir()} == {
        *("bundle.json", "model.safetensors", "calibration.json")
    }
    assert not any("custom" in path or "hyperparams" in path for path in hub.asked)


@pytest.mark.parametrize(
    "source, sizes, sha, words",
    [
        ("hf://a/none", {}, COMMIT, "hf://a/none"),
        ("hf://a/empty", {}, COMMIT, "bundle.json and model.safetensors missing"),
        ("hf://a", {}, COMMIT, "hf://OWNER/NAME"),
        ("hf://a/../b", {}, COMMIT, "hf://OWNER/NAME"),
        ("hf://a/b", {"bundle.json": 2**40}, COMMIT, "bundle.json has"),
        ("hf://a/b", {"model.safetensors": None}, COMMIT, "model.safetensors has"),
        ("hf://a/b", {}, "../../x", "names the commit"),
    ],
)
def test_what_cannot_be_a_bundle_is_refused_before_it_is_fetched(hub, source, sizes, sha, words):
    hub.repositories |= {"a/b": {"bundle.json": b"{}", "model.safetensors": b""}, "a/empty": {}}
    hub.sizes, hub.sha = sizes, sha
    with pytest.raises(bundles.BundleError, match=re.escape(words)):
        pretrained.load(source)
    assert not any("resolve" in path for path in hub.asked)


def test_a_bundle_of_the_hub_is_checked_as_any(hub, tmp_path):
    folder = random_bundle(tmp_path / "bundle")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    files["model.safetensors"] = files["model.safetensors"][:-4]
    hub.repositories["a/b"] = files
    with pytest.raises(bundles.BundleError, match="damaged"):
        pretrained.load("hf://a/b")


@pytest.mark.parametrize(
    "repository, licence", [("words", "mit"), ("a/b@c", "mit"), ("a/b", "A B")]
)
def test_a_name_or_a_licence_of_another_form_is_refused(hub, tmp_path, repository, licence):
    from auricle.lobes.bundles.publishing import publish

    with pytest.raises(bundles.BundleError, match="OWNER/NAME|Hugging Face spells"):
        publish(random_bundle(tmp_path / "bundle"), repository, licence=licence)
    assert not hub.repositories
