"""Damage: bytes changed anywhere, and JSON, TOML and tensors changed so that they still parse.

Every function takes the generator that decides; the same generator gives the same damage.
"""

from __future__ import annotations

import copy
import json
import string
import struct
from random import Random
from typing import Any

TOKENS = [
    b"", b"\0", b"\n", b"\r\n", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J", b"{", b"}", b"[", b"]", b",",
    b":", b'"', b"'", b"\\u0000", b"\\ud800", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"0x10",
    b"9" * 30, b"9" * 5000, b"[" * 200, b"[" * 60000, b'{"a":' * 3000, b"a." * 40, b"a." * 30000, b"#", b"=",
    b"PK\x05\x06", b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff", b"../", b"%s%n", b"\xf0\x9f\x95\xb9",
]  # fmt: skip


class Raw(str):
    """JSON text that is put down as it is."""


class Pairs(list[Any]):
    """A JSON object as a list of [key, value], so that a key can be there twice."""


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 4, 35, 60, 61, 64, 255, 256, 4096, 4097, 2**31, 2**53, 2**63, -(2**63), 2**64,
    10**30, 0.0, -0.0, 0.5, 1.0, 2.0, 1e308, "", "0", "1", "a", "vqvae", "context", "action", "\n", "\x1b[31m",
    "\x00", "é", "🕹", "../../etc/passwd", "/etc/passwd", "episode-00000.safetensors", "episode-9", "A" * 3000,
    "0" * 64, [], Pairs(), [[]], [0] * 34, [0] * 35, [0] * 36, [0] * 2000, [None], Raw("NaN"), Raw("Infinity"),
    Raw("1e999"), Raw("-1e999"), Raw("1e-999"), Raw("-"), Raw("01"), Raw('"\\ud800"'), Raw("9" * 4299),
    Raw("9" * 5000), Raw("[" * 500 + "]" * 500), Raw("[" * 50000 + "]" * 50000), Raw('{"a":' * 400 + "1" + "}" * 400),
    Raw(""), "F64", "F8_E4M3", "I64", "BOOL", "C64", "F4", "U8", [0, 2**62], [2**62, 2**62], [-1, -1], [1, 1],
]  # fmt: skip


def _value(rng: Random) -> Any:
    return copy.deepcopy(rng.choice(VALUES))  # a later damage may change it


def damaged_bytes(data: bytes, rng: Random) -> bytes:
    """One to four bytes, stretches or tokens changed, put in, doubled or taken out."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice((0, 1, 1, 2, 4, 8, 40)))
        way = rng.randrange(7)
        if way == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif way == 1 and at < len(out):
            out[at] = rng.randrange(256)
        elif way == 2:
            out[at:end] = rng.randbytes(rng.randrange(9))
        elif way == 3:
            out[at:end] = rng.choice(TOKENS)
        elif way == 4:
            del out[at : rng.choice((end, end, len(out)))]
        elif way == 5:
            out[at:at] = out[at:end] * rng.choice((1, 1, 3, 50))
        else:
            source = rng.randrange(len(out) + 1)
            out[at:end] = out[source : source + end - at]
    return bytes(out)


def dump(value: Any) -> str:
    """As `json.dumps`, for `Raw` and `Pairs` too."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{json.dumps(key)}: {dump(inner)}" for key, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    return json.dumps(value)


def damaged_json(data: bytes, rng: Random) -> bytes:
    """One to three values or entries of a JSON document changed. What is no JSON gets its bytes changed."""
    try:
        tree = [json.loads(data, object_pairs_hook=lambda pairs: Pairs(map(list, pairs)))]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            places = _places(tree)
            _damage_place(*rng.choice(places), rng)
        text = dump(tree[0]) if len(tree) == 1 else dump(tree)
    except (ValueError, RecursionError, OverflowError):
        return damaged_bytes(data, rng)
    return text.encode("utf-8", "surrogatepass")


def _places(tree: list[Any]) -> list[tuple[list[Any], int]]:
    """Where a value stands: a list and a place in it. For an entry of an object the list is [key, value]."""
    places, todo = [(tree, 0)], list(tree)
    while todo and len(places) < 400:
        node = todo.pop()
        if isinstance(node, Pairs):
            for number, entry in enumerate(node):
                places += [(node, number), (entry, 1)]
                todo.append(entry[1])
        elif isinstance(node, list):
            places += [(node, number) for number in range(len(node))]
            todo += node
    return places


def _damage_place(holder: list[Any], at: int, rng: Random) -> None:
    if at >= len(holder):  # an earlier damage took it away
        return
    old = holder[at]
    if isinstance(holder, Pairs):
        way = rng.randrange(3)
        if way == 0:
            del holder[at]
        elif way == 1:
            holder.append([old[0], _value(rng)])
        else:
            old[0] = rng.choice((old[0] + "x", old[0][:-1], "", "schema", rng.choice(string.printable)))
    elif type(old) is int and rng.random() < 0.4:
        holder[at] = old + rng.choice((-1, 1, 2**31, -(2**31), 0.5))
    elif isinstance(old, str) and rng.random() < 0.4:
        holder[at] = damaged_bytes(old.encode("utf-8", "surrogatepass"), rng).decode("latin-1")
    elif isinstance(old, list) and not isinstance(old, Pairs) and old and rng.random() < 0.5:
        holder[at] = rng.choice((old * 2, old[:-1], old[1:], [*old, _value(rng)], [old], old * 100))
    else:
        holder[at] = _value(rng)


def damaged_safetensors(data: bytes, rng: Random) -> bytes:
    """The header changed as JSON, with a length that is right, or is not; or the numbers behind it changed."""
    size = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + size], data[8 + size :]
    way = rng.randrange(4)
    if way == 0:
        numbers = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\x7c", b"\xff" * 4, rng.randbytes(4)))
        at = rng.randrange(len(body) // 4 + 1) * 4
        body = body[:at] + numbers + body[at + len(numbers) :]
    else:
        header = damaged_json(header, rng)
    if way == 1:
        body = rng.choice((body[:-4], body + bytes(4), b"", body * 2))
    length = (
        len(header) if rng.random() < 0.9 else rng.choice((0, 1, len(header) - 1, len(header) + 8, 2**32, 2**64 - 1))
    )
    return struct.pack("<Q", max(0, length)) + header + body


def damaged_toml(data: bytes, rng: Random) -> bytes:
    """Lines doubled, mixed, taken out, or written by someone who knows TOML too well."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        way = rng.randrange(6)
        if way == 0:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif way == 1:
            lines.pop(at)
            lines = lines or [b""]
        elif way == 2:
            lines[at] = damaged_bytes(lines[at], rng)
        elif way == 3:
            name, _, _ = lines[at].partition(b"=")
            lines[at] = name + b" = " + rng.choice(TOML_VALUES)
        else:
            lines.insert(at, rng.choice(TOML_LINES))
    return b"\n".join(lines)


TOML_VALUES = [
    b"[]", b'["j"]', b'["j", "k", "j"]', b'[""]', b"[[]]", b"{}", b"{ a = 1 }", b"1", b"-0x1",
    b"0xffffffffffffffffffffffff", b"9" * 5000, b"1e999", b"nan", b"true", b'"left"', b"'''\n'''",
    b'"\\u001b[2J"', b'["\\u0000"]', b'["\\U0010ffff"]',
    b'["\\ud800"]', b"1979-05-27T07:32:00Z", b"1979-99-99", b"25:61:61", b"[" * 900 + b"]" * 900, b"[" * 20000,
    b"{a=" * 900 + b"1" + b"}" * 900, b"{ a.b.c = 1, a.b.d = 2 }", b'["' + b"k" * 9000 + b'"]',
]  # fmt: skip
TOML_LINES = [
    b"schema = 1", b"schema = 2", b"schema = 0", b"schema = '1'", b"[play]", b"[command]", b"[[play]]", b"[play.left]",
    b"[command.quit]", b"play.left = ['j']", b'"play" = 3', b"['\\']", b'["\\u001b"]', b"[" + b"a." * 99 + b"a]",
    b"[" + b"a." * 20000 + b"a]", b"a." * 30000 + b"a = 1", b"a . " * 15000 + b"a = 1", b"x" * 70000, b"left.right = 1",
    b"\xef\xbb\xbf", b"\xff", b"= 1", b"'' = 1", b'"" = []', b"[]", b"a = [1,\n\n2,]", b"dream = ['d'",
]  # fmt: skip
