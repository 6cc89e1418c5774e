"""Files that mean harm: what each is, and a command that meets it.

Each case is made in an empty folder and gives the script and its arguments. Tests run
them; `make fuzz` measures them.
"""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MIB = 2**20
ESCAPES = "\x1b[2J\r\n<b>\u202e" + ("\udcff" if sys.platform == "linux" else "")
"""What clears a screen, goes back in a line, turns it round, and cannot be encoded."""

Command = tuple[str, ...]
Case = Callable[[Path], Command]


def npy_bytes(header: str, data: bytes = b"", *, claimed: int | None = None) -> bytes:
    """An array in npy format with any text as its header, and any length of it."""
    text = header.encode("latin1") + b"\n"
    length = len(text) if claimed is None else claimed
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", length) + text + data


def described(shape: object, dtype: str = "|u1") -> str:
    """The header of an array, as numpy writes it."""
    return f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}"


def zeros(n_bytes: int) -> Iterator[bytes]:
    """So many zeros, a mebibyte at a time."""
    yield from (bytes(MIB) for _ in range(n_bytes // MIB))


def packed_npz(path: Path, header: bytes, n_zeros: int) -> None:
    """An archive whose `x` is a header and zeros, packed a thousandfold."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header)
        for some in zeros(n_zeros):
            member.write(some)


def png_bytes(width: int, height: int, rows: int | None = None) -> bytes:
    """A grey PNG of 1 bit a pixel, all of it or the first rows."""
    line = bytes(1 + -(-width // 8))
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(line) for _ in range(rows or height))
    packed += packer.flush()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def picture(kind: str, size: tuple[int, int] = (8, 8)) -> bytes:
    """A small image in a format of pillow's."""
    stream = io.BytesIO()
    Image.new("L", size, 77).save(stream, kind)
    return stream.getvalue()


def with_claim(kind: str, width: int, height: int) -> bytes:
    """A small JPEG or BMP whose header claims another size."""
    content = bytearray(picture(kind))
    if kind == "BMP":
        content[18:26] = struct.pack("<ii", width, height)
    else:
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def _train(path: Path, *more: str) -> Command:
    return ("train.py", "--dataset", str(path), "--no-compile-cache", *more)


def _data(name: str, content: bytes, *more: str) -> Case:
    """A data file of that name; in a folder, if the name has one."""

    def make(place: Path) -> Command:
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return _train(path if path.parent == place else path.parent, *more)

    return make


def _npz(header: bytes, n_zeros: int, *more: str) -> Case:
    def make(place: Path) -> Command:
        packed_npz(place / "a.npz", header, n_zeros)
        return _train(place / "a.npz", *more)

    return make


def _idx_bomb(place: Path) -> Command:
    (place / "idx").mkdir()
    with gzip.open(place / "idx" / "train-images.gz", "wb", compresslevel=1) as file:
        file.write(_IDX + struct.pack(">III", 10, 10, 10) + bytes(1000))
        for some in zeros(1024 * MIB):
            file.write(some)
    return _train(place / "idx")


def _links_and_devices(place: Path) -> Command:
    folder = place / "images"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "again").symlink_to(folder)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "more").symlink_to(folder)
    (folder / "cat" / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "cat" / "pipe.png")
    os.mkfifo(folder / "train-images")
    return _train(folder)


def many_names(place: Path, *, n: int = 5_000) -> Command:
    """A folder of many empty files that are called images."""
    folder = place / "many"
    folder.mkdir()
    for index in range(n):
        os.close(os.open(folder / f"{index}.png", os.O_CREAT))
    return _train(folder)


_IDX = b"\0\0\x08\x03"
_CLAIM = _IDX + struct.pack(">III", 10**9, 100, 100)
_TERABYTES = npy_bytes(described((10**10, 40, 25)), bytes(1000))
DATA: dict[str, Case] = {
    ".npy of objects": _data("a.npy", npy_bytes(described((3,), "|O"), bytes(24))),
    ".npy that claims 10^13 bytes": _data("a.npy", _TERABYTES),
    ".npy whose header claims 4 GB": _data(
        "a.npy", npy_bytes(described((3, 8, 8)), claimed=2**32 - 1)
    ),
    ".npz that claims 10^13 bytes": _npz(_TERABYTES, MIB),
    ".npz with a header of 1 GiB of zeros": _npz(npy_bytes("", claimed=2**30), 2**30),
    ".npz of 1 GiB of zeros, over the limit": _npz(
        npy_bytes(described((2**20, 32, 32))), 2**30, "--memory-limit", "0.4"
    ),
    "IDX that claims 10^13 bytes": _data("idx/train-images", _CLAIM),
    "IDX in gzip that claims 10^13 bytes": _data(
        "idx/train-images.gz", gzip.compress(_CLAIM)
    ),
    "IDX in gzip that goes on for 1 GiB": _idx_bomb,
    "PNG of 10^9 pixels": _data(
        "f/a.png", png_bytes(40_000, 25_000), "--image-size", "8", "8"
    ),
    "JPEG of 10^9 pixels": _data(
        "f/a.jpg", with_claim("JPEG", 40_000, 25_000), "--image-size", "8", "8"
    ),
    "BMP of 10^9 pixels": _data(
        "f/a.bmp", with_claim("BMP", 40_000, 25_000), "--image-size", "8", "8"
    ),
    "PNG that was cut short": _data("f/a.png", png_bytes(1000, 1000, rows=3)),
    "PNG that is text": _data("f/a.png", b"plain text"),
    "GIF that is called PNG": _data("f/a.png", picture("GIF")),
    "TIFF that is called JPEG": _data("f/a.jpg", picture("TIFF")),
    "links in a circle, devices and pipes": _links_and_devices,
    "many names": many_names,
}
"""What `train.py --dataset` has to refuse."""


def _set(*keys: str | int) -> Callable[[dict, object], None]:
    def change(stored: dict, value: object) -> None:
        node: dict = stored
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return change


CONFIGS: dict[str, str | tuple[Callable[[dict, object], None], object]] = {
    "NaN": (_set("config", "generator_rate"), float("nan")),
    "a million levels": "[" * 1_000_000,
    "an object of a million levels": '{"a":' * 1_000_000,
    "an unknown key": (_set("config", "import"), "os"),
    "hidden layers of 10^9 units": (_set("config", "hidden"), [10**9]),
    "a million hidden layers": (_set("config", "hidden"), [16] * 1_000_000),
    "more clusters than there are": (_set("config", "clusters"), 10**9),
    "codes of 10^9 numbers": (_set("config", "z_dim"), 10**9),
    "images of 10^27 pixels": (_set("image_shape"), [2**30, 2**30, 2**30]),
    "a million sides": (_set("image_shape"), [8] * 1_000_000),
    "a class that is a number": (_set("dataset", "class_names"), [7]),
    "classes that are a text": (_set("dataset", "class_names"), "abc"),
    "a phase of a million letters": (_set("phases"), ["x" * 1_000_000]),
    "a prior of six million letters": (_set("config", "prior"), "x" * 6_000_000),
    "a data set with a zero in it": (_set("config", "dataset"), "~\0"),
    "a rate that is a text": (_set("config", "generator_rate"), "1"),
    "a version of 5,000 digits": '{"format_version": ' + "9" * 5000 + "}",
    "numbers that are infinite": '{"format_version": 1e999}',
    "lists of lists of lists": '{"a": [' + "[]," * 300_000 + "[]]}",
}
"""What a config.json may say: a text, or a change of a sound one."""


def config_text(sound: str, case: str) -> str:
    """The config.json of a case of `CONFIGS`."""
    changed = CONFIGS[case]
    if isinstance(changed, str):
        return changed
    change, value = changed
    stored = json.loads(sound)
    change(stored, value)
    return json.dumps(stored)


LOGS: dict[str, bytes] = {
    "NaN": b'{"step": 1, "losses": {"generator": NaN}}\n',
    "a text": b'{"step": 1, "losses": {"generator": "x"}}\n',
    "a number that no float can hold": b'{"step": 1, "losses": {"g": 1'
    + b"0" * 400
    + b"}}\n",
    "a validation that is a text": b'{"step": 1, "losses": {}, "validation": "x"}\n',
    "a million levels": b"[" * 1_000_000 + b"\n",
    "a line of lists": b'{"step": 1, "losses": {}, "x": ['
    + b"[]," * 20_000_000
    + b"[]]}\n",
    "no text": b"\xff\xfe\n",
    "escapes": f'{{"step": 1, "{ESCAPES[:5]}": 1}}\n'.encode(),
}
"""What a line of metrics.jsonl may be."""

METRICS: dict[str, str] = {
    "NaN": '{"reconstruction_mse": NaN}',
    "nothing": "{}",
    "a list": "[]",
    "a million levels": "[" * 1_000_000,
    "no latent": '{"reconstruction_mse": 1, "images": 2, "steps": 3, "seconds": 4}',
    "a text": '{"reconstruction_mse": 1, "images": 2, "steps": 3, "seconds": "4", '
    '"latent": {"ratio": 1, "gap_fraction": 1}}',
    "lists of lists of lists": '{"a": [' + "[]," * 300_000 + "[]]}",
}
"""What a metrics.json may be."""


def tiny_npz(path: Path, *, n: int = 120) -> Path:
    """Noise in four classes, enough to train on."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, 8, 8), np.uint8)
    np.savez(path, x=x, y=np.arange(n) % 4)
    return path


# A process inherits the peak of the one that starts it, so a small one starts it.
_WATCH = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
ended = subprocess.run(
    sys.argv[1:],
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
)
seconds = time.perf_counter() - began
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
of_processor = usage.ru_utime + usage.ru_stime
said = ended.stderr.decode()
print(json.dumps([ended.returncode, said, seconds, of_processor, peak]))
"""


class Taken(NamedTuple):
    """How a script ended, what it said on stderr, and what it took."""

    status: int
    said: str
    seconds: float
    seconds_of_processor: float
    peak_bytes: int


def measured(script: str, *arguments: object, cwd: Path) -> Taken:
    """A script in a process of its own."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    watched = subprocess.run(
        [sys.executable, "-S", "-c", _WATCH, *command],
        cwd=cwd,
        capture_output=True,
        check=True,
    )
    return Taken(*json.loads(watched.stdout))
