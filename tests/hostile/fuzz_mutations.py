"""Seeded damage to bytes, text, JSON values and command lines, for the fuzzer."""

import json
import struct

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 44101, 10**6, 0x7FFFF000)
EXTREMES += (2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
#: What is a number to one program and none, or another one, to the next.
ODD_NUMBERS = (
    "nan NaN inf -inf 1e999 -0 0x10 1_0 1,5 ٣.٥ １ 1e-400 .5 5. +1 1d3 -1 99999999999999999999"
)
ODD_NUMBERS = (*ODD_NUMBERS.split(), "1" * 400, "", "True", "null")
ODD_TEXT = ("\0", "\x1b[2J", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u202e", "\ufeff", "\xa0")
ODD_TEXT += (
    '"',
    "'",
    "\\",
    "(",
    ")",
    "{",
    "}",
    ",",
    ";",
    "\t",
    "#",
    "../",
    "./",
    "😀",
    "é",
    "e\u0301",
)


def flip_bits(random, data, within=None):
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        place = random.randrange(min(len(data), within or len(data)))
        data[place] ^= 1 << random.randrange(8)
    return bytes(data)


def flip_header_bits(random, data):
    return flip_bits(random, data, 128)


def set_field(random, data):
    size = random.choice((1, 2, 4, 8))
    value = random.choice(EXTREMES) % 2 ** (8 * size)
    packed = value.to_bytes(size, random.choice(("little", "big")))
    if random.random() < 0.1:
        packed = struct.pack("<f", random.choice((float("nan"), float("inf"), 1e30, -0.0)))
    place = random.randrange(min(len(data), 256))
    return data[:place] + packed + data[place + len(packed) :]


def cut(random, data):
    return data[: random.randrange(len(data))]


def _block(random, data):
    size = min(random.choice((1, 2, 4, 27, 512, 4096, random.randint(1, len(data)))), len(data))
    start = random.randint(0, len(data) - size)
    return start, start + size


def drop_block(random, data):
    start, end = _block(random, data)
    return data[:start] + data[end:]


def double_block(random, data):
    start, end = _block(random, data)
    return data[:end] + data[start:]


def swap_blocks(random, data):
    start, end = _block(random, data)
    place = random.randint(0, len(data) - end + start)
    rest = data[:start] + data[end:]
    return rest[:place] + data[start:end] + rest[place:]


def overwrite_block(random, data):
    start, end = _block(random, data)
    fill = random.choice(
        (bytes(end - start), b"\xff" * (end - start), random.randbytes(end - start))
    )
    return data[:start] + fill + data[end:]


def insert_block(random, data):
    start, _ = _block(random, data)
    size = random.choice((1, 2, 10, 1000))
    return data[:start] + random.choice((bytes(size), random.randbytes(size))) + data[start:]


def append_block(random, data):
    tags = (b"TAG".ljust(128, b"x"), b"LIST\x04\0\0\0INFO", bytes(100), random.randbytes(5000))
    return data + random.choice(tags)


def prepend_tag(random, data):
    return b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + data


BYTES = (flip_bits, flip_header_bits, set_field, set_field, cut, drop_block, double_block)
BYTES += (swap_blocks, overwrite_block, insert_block, append_block, prepend_tag)


def mutate_bytes(random, data):
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = random.choice(BYTES)(random, data) if data else data
    return data


def _lines(change):
    def changed(random, text):
        lines = text.splitlines(keepends=True)
        change(random, lines)
        return "".join(lines).encode()

    changed.__name__ = change.__name__
    return changed


@_lines
def drop_line(random, lines):
    del lines[random.randrange(len(lines))]


@_lines
def double_line(random, lines):
    lines.insert(random.randint(0, len(lines)), random.choice(lines))


@_lines
def swap_lines(random, lines):
    random.shuffle(lines)


@_lines
def join_lines(random, lines):
    place = random.randrange(len(lines))
    lines[place] = lines[place].rstrip("\n") + random.choice(("", " ", ",", "\r\r"))


def _in_cell(random, text, new):
    """Text in which one word or a place in it is replaced."""
    cells = [place for place, letter in enumerate(text) if letter in " ,\t\n:"] or [0]
    start = random.choice(cells) + 1
    end = next((place for place in cells if place > start), len(text))
    if random.random() < 0.5:
        start = end = random.randint(min(start, end), end)
    return (text[:start] + new + text[end:]).encode()


def odd_number(random, text):
    return _in_cell(random, text, random.choice(ODD_NUMBERS))


def odd_text(random, text):
    return _in_cell(random, text, random.choice(ODD_TEXT))


def huge_cell(random, text):
    return _in_cell(random, text, random.choice("x9( {[\"'") * random.choice((5000, 100_000)))


def other_encoding(random, text):
    encoding = random.choice(("latin-1", "utf-16", "utf-32", "utf-7"))
    return (text + "Käse\n").encode(encoding, "replace")


def raw_bytes(random, text):
    return mutate_bytes(random, text.encode())


def cut_text(random, text):
    return text[: random.randrange(len(text))].encode()


TEXT = (drop_line, double_line, swap_lines, join_lines, odd_number, odd_number, odd_text, odd_text)
TEXT += (huge_cell, other_encoding, raw_bytes, cut_text)


def mutate_text(random, text):
    data = random.choice(TEXT)(random, text)
    if random.random() < 0.25:
        try:
            data = random.choice(TEXT)(random, data.decode() or "\n")
        except UnicodeDecodeError:
            pass
    return data


def retouch(random, text):
    """The same text as another program would write it: nobody may notice a difference."""
    changes = (
        lambda t: "\ufeff" + t,
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\r"),
        lambda t: t.rstrip("\n"),
        lambda t: t + "\n\n",
        lambda t: "\n" + t,
    )
    for change in random.sample(changes, random.choice((1, 2))):
        text = change(text)
    return text.removeprefix("\n").encode() if "\n\ufeff" in text else text.encode()


_VALUES = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\x1b[2J\n",
    "x" * 10**5,
)
_VALUES += ([], {}, [[]], {"a": {}}, "nan", "1", ["x"] * 1000, 0.5, -0.0)


def mutate_json(random, text):
    """JSON text in which values were exchanged, left out, doubled, or put far below others."""
    if random.random() < 0.4:
        return mutate_text(random, text)
    value = json.loads(text)
    parent, key, inner = None, None, value
    while isinstance(inner, (dict, list)) and inner and random.random() < 0.8:
        parent, key = (
            inner,
            random.choice(list(inner) if isinstance(inner, dict) else range(len(inner))),
        )
        inner = parent[key]
    if parent is None:
        return json.dumps(random.choice(_VALUES)).encode()
    way = random.randrange(5)
    if way == 0:
        del parent[key]
    elif way == 1 and isinstance(parent, dict):
        parent[random.choice(("", key + " ", key.upper() + "_", "__class__"))] = parent.pop(key)
    elif way == 2 and isinstance(parent, list):
        parent.insert(random.randint(0, len(parent)), inner)
    elif way == 3:
        depth = random.choice((50, 100_000))
        parent[key] = "\0deep"
        return json.dumps(value).replace('"\\u0000deep"', "[" * depth + "]" * depth).encode()
    else:
        parent[key] = random.choice(_VALUES)
    return json.dumps(value, indent=random.choice((None, 1))).encode()


def mutate_words(random, words):
    """A command line with a value exchanged, a word left out, doubled or moved."""
    words = list(words)
    for _ in range(random.choice((1, 1, 2))):
        values = [place for place in range(1, len(words)) if not words[place].startswith("--")]
        way = random.randrange(12)
        place = random.choice(values) if values and way > 2 else random.randrange(len(words))
        if way == 0:
            del words[place]
        elif way == 1:
            words.insert(random.randint(0, len(words)), words[place])
        elif way == 2:
            word = words.pop(place)
            words.insert(random.randint(0, len(words)), word)
        else:
            odd = random.choice(
                (*ODD_NUMBERS, *ODD_TEXT, "-1", "1e20", "10000000000", "0,0", "{}", "[1")
            )
            words[place] = odd.replace("/", "").replace("..", "")
        words = words or ["--json"]
    return words
