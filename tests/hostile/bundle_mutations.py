"""Hostile bundles: each kind of damage or trick as a function that changes a good bundle in place.

A function takes the folder and a source of random numbers. What `opens` may open, as far as it
then answers in numbers; all others must be refused.
"""

import json
import os
import shutil
import socket
import struct
from pathlib import Path

import torch
from random_bundle import emotion_bundle, random_bundle
from safetensors.torch import load_file, save_file

from auricle.processing.scoring.verification.calibration import Calibration
from auricle.processing.system.files import file_digest
from auricle.processing.transcription.bigram import Bigram
from auricle.processing.transcription.units import Units
from auricle.recipes.inference.calibration_files import FittedCalibration, write_calibration

ESCAPE = "\x1b[2J\x1b[1;1H\x9b1A\r\u202e"
#: In the place of a number, a text, a list or a part.
ODD = [
    *(None, True, False, -1, 0, 1, 2, 7.5, 1e9, 10**9, 2**31, 2**63, -(2**63), 10**4000, 1e308),
    *("", "x", "1", ESCAPE, "a" * 10**6, "../../etc/passwd", "\ud800", "{}", "!!python/name:os"),
    *([], {}, [[]], [None], {"name": "mel"}, {"name": [], "options": {}}, [1] * 10**5),
    *({"name": "mel", "options": []}, {"name": "mel", "options": {"num_features": {}}}),
]
#: What makes transformers read or run something else.
TRANSFORMERS = {
    "_attn_implementation": "someone/kernel",
    "_attn_implementation_internal": "someone/kernel",
    "attn_implementation": "flash_attention_2",
    "auto_map": {"AutoModel": "code.Model"},
    "_name_or_path": "someone/model",
    "name_or_path": "/etc",
    "trust_remote_code": True,
    "quantization_config": {"quant_method": "bitsandbytes"},
    "torch_dtype": "float16",
    "architectures": ["Wav2Vec2ForCTC"],
    "adapter_kwargs": {"path": "/etc"},
    "model_type": "bert",
    "__class__": "os",
}
#: Options of lobes that would take memory or time without end.
HUGE = [
    *((part, name, size) for part, name in (
        ("mel", "num_features"), ("mel", "window_ms"), ("leaf", "num_features"),
        ("leaf", "window_ms"), ("cqt", "num_features"), ("cqt", "filter_scale"),
        ("mfcc", "num_ceps"), ("mfcc", "num_mels"), ("stft_mel", "window_ms"),
        ("gammatone", "num_features"), ("sincnet", "num_features"), ("sinc_conv", "num_features"),
        ("tdfbanks", "num_features"), ("tdfbanks", "window_ms"), ("efficientleaf", "num_filters"),
        ("fastaudio", "num_features"), ("pcen_mel", "num_features"), ("wav2vec_conv", "channels"),
        ("spectrogram_image", "num_features"), ("blstm", "hidden"), ("blstm", "layers"),
        ("conformer", "layers"), ("conformer", "ff"), ("crdnn", "rnn_units"), ("crdnn", "dnn_layers"),
        ("ecapa", "embedding_size"), ("lstm_autoencoder", "lstm_units"), ("mlp_mixer", "blocks"),
        ("musicnn", "channels"), ("resnet50", "width"), ("vit", "depth"), ("vit", "frames"),
        ("wavenet_dilated", "stacks"), ("wavenet_dilated", "channels"), ("vggish", "dense"),
        ("bcresnet", "tau"), ("envnet", "dense"),
    ) for size in (10**9, 10**6, 60000)),
]  # fmt: skip

MUTATIONS = []
OPENS = set()


def mutation(function=None, *, opens=False):
    """Enter a kind of hostile bundle."""
    if function is None:
        return lambda function: mutation(function, opens=opens)
    MUTATIONS.append(function)
    if opens:
        OPENS.add(function)
    return function


def good_bundles(folder: Path) -> dict[str, Path]:
    """A bundle of every task and of every kind of lobe, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    units = Units.build("char", [{"id": "a", "text": "a b c"}])
    made = {
        "keywords": random_bundle(
            folder / "keywords", "leaf", "bcresnet", normalization="global",
            frontend_options={"num_features": 20}, encoder_options={"sub_bands": 5},
        ),
        "linear": random_bundle(folder / "linear", encoder="linear"),
        "transformer": random_bundle(folder / "transformer", "waveform", "mert"),
        "transcription": random_bundle(
            folder / "transcription", "mel", "crdnn", units.labels, "transcription",
            encoder_options={"rnn_units": 8, "dnn_units": 8}, units=units.state(),
        ),
        "emotion": emotion_bundle(folder / "emotion", "linear"),
        "speakers": random_bundle(
            folder / "speakers", encoder="linear", task="speaker_verification", head="cosine",
            margin_scale=30.0,
        ),
    }  # fmt: skip
    Bigram.train([[2, 3, 4]], len(units.labels)).save(made["transcription"] / "bigram.json")
    write_calibration(made["speakers"], FittedCalibration(Calibration(1.0, 0.0, 0.5), {}, {}))
    return made


# -- the text ----------------------------------------------------------------------------------------


def read(folder):
    return json.loads((folder / "bundle.json").read_text(encoding="utf-8"))


def write(folder, description):
    """As JSON, with NaN and halves of characters, of which the library writes neither."""
    (folder / "bundle.json").write_text(json.dumps(description), encoding="utf-8")


def edit(folder, **entries):
    write(folder, read(folder) | entries)


def described(key, text):
    """The description with raw JSON under a key."""

    def damage(folder, draw):
        (folder / "bundle.json").write_text(
            json.dumps(read(folder))[:-1] + f', "{key}": ' + text + "}", encoding="utf-8"
        )

    damage.__name__ = f"{key} {text[:10]}"
    return damage


for text in (
    *("[" * 10**5, "[" * 200 + "]" * 200, '{"a":' * 10**5, '{"a":' * 100 + "1" + "}" * 100),
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "[0,1e400]", "'a'", "\x00"),
    *("[" + "[]," * 4 * 10**6 + "[]]", '"' + "a" * 9 * 10**6 + '"', '{"b": 1, "b": 2}'),
):
    mutation(described("note", text))
mutation(described("sample_rate", "16000"))
mutation(described("\\u0066ormat", "1"))
mutation(described("clip_s", "1e999"))


@mutation
def raw_text(folder, draw):
    texts = [
        *(b"", b"\x00" * 100, b"\xff\xfe" + b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"\x80{}"),
        *(b"{" + b" " * 9 * 10**6 + b"}", b"[" * 10**6, b"!!python/object/apply:os.abort []"),
    ]
    (folder / "bundle.json").write_bytes(draw.choice(texts))


@mutation
def cut_text(folder, draw):
    text = (folder / "bundle.json").read_bytes()
    (folder / "bundle.json").write_bytes(text[: draw.randrange(len(text) - 3)])


@mutation(opens=True)
def flipped_text(folder, draw):
    text = bytearray((folder / "bundle.json").read_bytes())
    for _ in range(draw.randint(1, 4)):
        text[draw.randrange(len(text))] ^= 1 << draw.randrange(8)
    (folder / "bundle.json").write_bytes(text)


@mutation
def an_entry_lacks(folder, draw):
    description = read(folder)
    needed = ("format", "sample_rate", "clip_s", "labels", "normalization", "frontend", "encoder")
    del description[draw.choice(needed)]
    write(folder, description)


# -- entries -------------------------------------------------------------------------------------------


@mutation(opens=True)
def an_odd_entry(folder, draw):
    edit(folder, **{draw.choice(sorted(read(folder))): draw.choice(ODD)})


@mutation(opens=True)
def an_odd_entry_of_a_part(folder, draw):
    part = draw.choice(("frontend", "encoder", "head"))
    entry = read(folder)[part]
    entry[draw.choice(("name", "options", "in_frames"))] = draw.choice(ODD)
    edit(folder, **{part: entry})


@mutation(opens=True)
def an_odd_entry_deep_inside(folder, draw):
    description = read(folder)
    inside = [value for value in description.values() if isinstance(value, dict) and value]
    while inside:
        entry = draw.choice(inside)
        key = draw.choice(sorted(entry))
        inside = [entry[key]] if isinstance(entry[key], dict) and entry[key] else []
    entry[key] = draw.choice(ODD)
    write(folder, description)


@mutation
def a_huge_option(folder, draw):
    from auricle.lobes import FRONTENDS

    lobe, option, size = draw.choice(HUGE)
    part = "frontend" if lobe in FRONTENDS.lobes else "encoder"
    entry = {**read(folder)[part], "name": lobe, "options": {option: size}}
    edit(folder, **{part: entry})


@mutation
def a_huge_count(folder, draw):
    size = draw.choice((10**12, 10**9, 10**7, -5, 2**60))
    description = read(folder)
    where = draw.choice(("in_frames", "sample_rate", "clip_s", "subcenters"))
    if where == "in_frames":
        description["encoder"] |= {"name": "linear", "options": {}, "in_frames": size}
    elif where == "subcenters":
        description["head"] = {"name": "cosine", "options": {"subcenters": size}}
    else:
        description[where] = size
    write(folder, description)


@mutation
def many_labels(folder, draw):
    edit(folder, labels=[str(i) for i in range(draw.choice((0, 1, 50000, 700000)))])


@mutation
def labels_that_are_none(folder, draw):
    labels = read(folder)["labels"]
    labels[0] = draw.choice((1, None, ["a"], {"a": 1}, True, "a" * 5000, ESCAPE, "a\n", "\x7f"))
    edit(folder, labels=labels)


@mutation
def a_path(folder, draw):
    part = draw.choice(("frontend", "encoder", "head"))
    entry = read(folder)[part]
    key = draw.choice(("path", "teacher_path", "file", "folder", "init_file", "checkpoint", "url"))
    entry["options"] |= {key: draw.choice(("/etc/passwd", "..", "hyperparams.yaml", "~/x", 0))}
    edit(folder, **{part: entry})


@mutation
def a_name_that_is_none(folder, draw):
    part = draw.choice(("frontend", "encoder", "head"))
    names = (
        "../../x",
        "os",
        "__class__",
        "leaf\x00",
        "Mel",
        "mel.py",
        "_spectral",
        ESCAPE,
        "",
        "é",
    )
    edit(folder, **{part: {**read(folder)[part], "name": draw.choice(names)}})


@mutation
def a_config_that_fetches(folder, draw):
    from auricle.lobes.encoders._transformers_folder import SMALL

    key = draw.choice(sorted(TRANSFORMERS))
    config = {"model_type": "wav2vec2", **SMALL, key: TRANSFORMERS[key]}
    encoder = {"name": draw.choice(("wav2vec2", "mert")), "in_frames": None}
    edit(folder, encoder={**encoder, "options": {"config": config}})


@mutation
def a_huge_config(folder, draw):
    from auricle.lobes.encoders._transformers_folder import SMALL

    sizes = {"num_hidden_layers": 10**6, "hidden_size": 2**30, "intermediate_size": 10**9}
    sizes |= {"conv_dim": [10**6] * 7, "conv_kernel": [10**9] * 7, "num_conv_pos_embeddings": 10**9}
    key = draw.choice(sorted(sizes))
    config = {"model_type": "wav2vec2", **SMALL, key: sizes[key]}
    edit(
        folder,
        frontend={"name": "waveform", "options": {}},
        encoder={"name": "wav2vec2", "options": {"config": config}, "in_frames": None},
    )


@mutation(opens=True)
def odd_units(folder, draw):
    state = Units.build("char", [{"id": "a", "text": "a b c"}]).state()
    odd = [*ODD, "bpe", "phones39", ["<blank>", "<blank>"], ["<blank>", 1], "AAAA", "\x80"]
    state[draw.choice(sorted(state))] = draw.choice(odd)
    edit(folder, task="transcription", units=state)


@mutation(opens=True)
def an_odd_scale(folder, draw):
    scale = draw.choice((*ODD, {"low": 9, "high": 1}, {"low": "a", "high": 1}, {"low": 1}))
    edit(folder, scale=scale, target=draw.choice(("static", "dynamic", None)))


# -- the weights -------------------------------------------------------------------------------------


def weights_file(folder):
    return folder / "model.safetensors"


def signed(folder):
    """With the digest of the weights that are there now: only what is in them can be refused."""
    edit(folder, weights_sha256=file_digest(weights_file(folder)))


def header_of(folder):
    data = weights_file(folder).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def write_weights(folder, header, data, size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    weights_file(folder).write_bytes(struct.pack("<Q", size or len(text)) + text + data)
    signed(folder)


@mutation
def a_header_of_another_length(folder, draw):
    header, data = header_of(folder)
    sizes = (2**63, 2**64 - 1, 2**31, 10**8, 1, 2, 7, len(data) + 10**6)
    write_weights(folder, header, data, draw.choice(sizes))


@mutation
def a_header_that_is_none(folder, draw):
    header, data = header_of(folder)
    name = draw.choice(sorted(header))
    good = json.dumps(header)[:-1]
    texts = [
        *("[" * 10**5, "{" * 10**5, "null", "[]", "", " " * 5 * 10**6, "\x00", "NaN"),
        f'{good}, "{name}": {json.dumps(header[name])}}}',
        good + ', "a": ' + "[" * 300 + "]" * 300 + "}",
        good + ', "__metadata__": {"a": ' + "9" * 5000 + "}}",
        json.dumps({f"w{i}": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]} for i in range(10**5)}),
    ]  # fmt: skip
    write_weights(folder, draw.choice(texts).encode(), data)


@mutation
def an_entry_of_the_header(folder, draw):
    header, data = header_of(folder)
    name = draw.choice(sorted(set(header) - {"__metadata__"}))
    begin, end = header[name]["data_offsets"]
    shapes = ([-1], [10**12], [2**62, 4], [1.0], ["1"], None, [True], [1] * 10**4, {}, [0])
    offsets = ([end, begin], [begin, 2**40], [-4, end], [begin + 4, end + 4], [begin], None, "ab")
    dtypes = ("F8_E4M3", "I8", "U8", "C64", "BOOL", "X", "", None, 1, ["F32"], "F64\x00", ESCAPE)
    key, values = draw.choice([("shape", shapes), ("data_offsets", offsets), ("dtype", dtypes)])
    header[name][key] = draw.choice(values)
    write_weights(folder, header, data)


@mutation
def overlapping_weights(folder, draw):
    header, data = header_of(folder)
    names = sorted(name for name in header if name != "__metadata__")
    one = draw.choice(names)
    header[draw.choice(names) + "2"] = header[one]
    write_weights(folder, header, data)


@mutation
def other_names_of_weights(folder, draw):
    weights = load_file(weights_file(folder))
    name = draw.choice(sorted(weights))
    others = (name.upper(), name + "\x00", "../" + name, "__metadata__x", ESCAPE, "é" * 10**4, "")
    changed = dict(weights)
    changed[draw.choice(others)] = weights[name].clone()
    if draw.random() < 0.5:
        del changed[name]
    save_file(changed, weights_file(folder))
    signed(folder)


@mutation
def weights_of_another_kind(folder, draw):
    weights = load_file(weights_file(folder))
    name = draw.choice([n for n, value in weights.items() if value.is_floating_point()])
    kinds = (torch.int8, torch.uint8, torch.complex64, torch.bool, torch.int64, torch.float8_e5m2)
    weights[name] = weights[name].to(draw.choice(kinds))
    save_file(weights, weights_file(folder))
    signed(folder)


@mutation
def weights_that_are_no_numbers(folder, draw):
    weights = load_file(weights_file(folder))
    name = draw.choice([n for n, v in weights.items() if v.is_floating_point() and v.numel()])
    value = weights[name].flatten()
    value[draw.randrange(len(value))] = draw.choice((float("nan"), float("inf"), float("-inf")))
    save_file(weights | {name: value.view_as(weights[name])}, weights_file(folder))
    signed(folder)


@mutation(opens=True)
def huge_weights(folder, draw):
    weights = load_file(weights_file(folder))
    name = draw.choice([n for n, value in weights.items() if value.is_floating_point()])
    weights[name] = torch.full_like(weights[name], draw.choice((3e38, -3e38, 1e-45, 0.0)))
    save_file(weights, weights_file(folder))
    signed(folder)


@mutation
def weights_other_than_saved(folder, draw):
    data = bytearray(weights_file(folder).read_bytes())
    data[-draw.randint(1, 16)] ^= 1 << draw.randrange(8)
    weights_file(folder).write_bytes(data)


@mutation
def weights_that_are_no_safetensors(folder, draw):
    data = weights_file(folder).read_bytes()
    pickle = b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R."
    cut = data[: draw.randrange(len(data))]
    kinds = (b"", b"PK\x03\x04" + data, pickle, pickle + data, data + b"\x00" * 8, cut, data[8:])
    weights_file(folder).write_bytes(draw.choice(kinds))
    signed(folder)


@mutation
def weights_larger_than_the_memory(folder, draw):
    """A file with holes of 300 GB, which its header and the description agree on."""
    frames = 10**9
    side = frames * 40
    description = read(folder)
    description |= {"labels": ["a", "b"], "normalization": "none"}
    description |= {"frontend": {"name": "mel", "options": {}}}
    description |= {"encoder": {"name": "linear", "options": {}, "in_frames": frames}}
    description |= {"head": {"name": "classifier", "options": {}}}
    description.pop("weights_sha256")
    write(folder, description)
    header = {
        "classifier.linear.weight": {"dtype": "F32", "shape": [2, side], "data_offsets": [0, 8 * side]},
        "classifier.linear.bias": {"dtype": "F32", "shape": [2], "data_offsets": [8 * side, 8 * side + 8]},
    }  # fmt: skip
    text = json.dumps(header).encode()
    weights_file(folder).write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(weights_file(folder), 8 + len(text) + 8 * side + 8)


# -- the folder --------------------------------------------------------------------------------------


def replaced(folder, draw):
    path = folder / draw.choice(("bundle.json", "model.safetensors"))
    return path, path.rename(folder.parent / f"{folder.name}.moved")


@mutation
def a_link_that_leads_out(folder, draw):
    path, moved = replaced(folder, draw)
    target = draw.choice(
        (moved, Path("..", moved.name), "/etc/passwd", "/dev/zero", "/proc/self/mem")
    )
    path.symlink_to(target)


@mutation
def a_link_to_nothing(folder, draw):
    path, _ = replaced(folder, draw)
    path.symlink_to(draw.choice(("nothing", path.name, "/nothing")))


@mutation
def a_file_that_is_none(folder, draw):
    path, _ = replaced(folder, draw)
    kind = draw.choice(("folder", "pipe", "socket", "nothing"))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(folder)  # its name may be longer than a socket's can be
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)


@mutation
def a_name_in_another_case(folder, draw):
    path, moved = replaced(folder, draw)
    moved.rename(path.with_name(path.name.upper()))


@mutation(opens=True)
def code_beside_it(folder, draw):
    yaml = "labels: !apply:os.system [touch was_run]\nx: !new:os.abort\n"
    (folder / "hyperparams.yaml").write_text(yaml)
    for name in ("__init__.py", "custom.py", "sitecustomize.py", "mel.py", "auricle.py", "json.py"):
        (folder / name).write_text("raise SystemExit('run')\n")
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch was_run'\ntR.")
    (folder / "config.json").write_text(json.dumps(TRANSFORMERS))
    (folder / "README.md").write_text(ESCAPE)


@mutation(opens=True)
def an_odd_bigram(folder, draw):
    state = {"version": 1, "num_labels": 7, "counts": [[0, 2, 1], [2, 0, 1]]}
    odd = [*ODD, [[0, 2, 10**400]], [[0, -1, 1]], [[0, 2]], [[0, 2, 1]] * 10**5]
    state[draw.choice(sorted(state))] = draw.choice(odd)
    (folder / "bigram.json").write_text(json.dumps(state))


@mutation(opens=True)
def an_odd_calibration(folder, draw):
    path = folder / "calibration.json"
    held = {"format": 1, "scale": 1.0, "offset": 0.0, "prior": 0.5, "fitted_on": {}, "scoring": {}}
    kind = draw.choice(("value", "pipe", "link", "text"))
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        shutil.copy(folder / "bundle.json", folder.parent / "outside.json")
        path.symlink_to("../outside.json")
    elif kind == "text":
        path.write_text(draw.choice(("", "[" * 10**5, "NaN", "{", '{"a": 1, "a": 2}')))
    else:
        held[draw.choice(sorted(held))] = draw.choice([*ODD, float("nan")])
        path.write_text(json.dumps(held))
