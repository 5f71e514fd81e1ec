"""A static page that runs a bundle in a browser: its files, and the runtime beside them."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

from ...lobes import bundles
from ...lobes.export.export import exported_bytes
from ...processing.system.cache_folder import cache_folder
from ...processing.system.files import file_digest, replacing_folder, write_text

#: ONNX Runtime Web as npm has it, and the files of it that the page needs.
PACKAGE = "onnxruntime-web@1.30.0"
ARCHIVE = "onnxruntime-web-1.30.0.tgz"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
OUTPUTS = ("scores", "frames")
#: Tasks whose answers are probabilities of labels.
TASKS = ("classification", "tagging")


def write_demo(
    bundle: str | os.PathLike, folder: str | os.PathLike, runtime: str | os.PathLike | None = None
) -> Path:
    """Write a page that runs a bundle in a browser, on what a microphone or a file gives.

    Arguments
    ---------
    bundle : a folder or a name, as `bundles.load` takes it.
    folder : where to; must be empty, or not exist.
    runtime : the archive that `npm pack` makes of `PACKAGE`; None: that in the cache, where npm puts
        it first.

    Returns
    -------
    Path of index.html.

    Raises
    ------
    ValueError
        A bundle of a task without labels, or one that cannot be exported; a folder that holds
        something; an archive that is another one, or no npm to fetch it with.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ValueError(f"{folder} holds something, and nothing is overwritten: give a new folder")
    model = bundles.load(bundle)
    if model.task.name not in TASKS:
        raise ValueError(
            f"the page shows probabilities of labels, and {bundle} was trained for "
            f"{model.task.name}: give a bundle of {' or '.join(TASKS)}"
        )
    archive = find_runtime(runtime)
    exports = {output: exported_bytes(model, "onnx", output) for output in OUTPUTS}
    about = model.description
    corpus = about.get("corpus") or {}
    shown = {
        "labels": model.labels,
        "sample_rate": model.sample_rate,
        "clip_s": model.clip_s,
        "tags": model.task.name == "tagging",
        "masked": bool(model.clip_s and about.get("masked_padding")),
        "shortest_samples": max(record["shortest_samples"] for _, record in exports.values()),
        "about": f"{about['frontend']['name']} and {about['encoder']['name']}, trained on "
        f"{corpus.get('name', 'unknown data')}{' (synthetic)' if corpus.get('synthetic') else ''}",
    }
    page = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    # In a script only "<" could end it; in JSON it stands in strings alone.
    script = json.dumps(shown).replace("<", "\\u003c")
    with replacing_folder(folder) as part:
        for output, (data, _) in exports.items():
            (part / f"{output}.onnx").write_bytes(data)
        _unpack(archive, part)
        write_text(part / "index.html", page.replace("/*MODEL*/null", script))
    return folder / "index.html"


def find_runtime(archive: str | os.PathLike | None = None) -> Path:
    """The archive of `PACKAGE`, checked; see `write_demo`."""
    path = cache_folder() / "web" / ARCHIVE if archive is None else Path(archive)
    if archive is None and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", "--pack-destination", str(path.parent), PACKAGE]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            raise ValueError(
                f"there is no npm to fetch {PACKAGE} with: install it, or run `npm pack {PACKAGE}` "
                f"elsewhere and give --runtime {ARCHIVE}"
            ) from None
        if done.returncode:
            raise ValueError(f"npm cannot fetch {PACKAGE}: {done.stderr.strip()[-500:]}")
    if not path.is_file() or file_digest(path) != SHA256:
        raise ValueError(
            f"{path} is not {PACKAGE} as npm has it: remove it, or give --runtime {ARCHIVE}"
        )
    return path


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for name in RUNTIME:
            (folder / name).write_bytes(tar.extractfile(f"package/dist/{name}").read())
