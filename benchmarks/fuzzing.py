"""Inputs drawn at random for everything that reads what others made.

A `Reader` is a strategy of hypothesis and a function that reads what it draws. Whatever
is drawn is read, or refused in a sentence: `attempt` fails on anything else. The tests
try some thousand inputs, always the same; `make fuzz` goes on for as long as told.
"""

import contextlib
import copy
import gzip
import io
import json
import math
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hostile import ESCAPES, ROOT, png_bytes, tiny_npz
from hypothesis import strategies as st
from PIL import Image

from aae_jax.checkpoint import load_checkpoint, save_checkpoint
from aae_jax.checkpoint_folder import read_manifest, seal_folder
from aae_jax.cli import TrainFlags, training_request
from aae_jax.config import Config
from aae_jax.config_checks import ENCODERS, INITIALIZERS, PRIORS, SCHEDULES
from aae_jax.data import load_codes, load_dataset
from aae_jax.data.stored import StoredImages
from aae_jax.errors import RunError, UserError
from aae_jax.evaluation_request import evaluation_request
from aae_jax.failures import exit_status
from aae_jax.figures import losses_figure
from aae_jax.flags import kinds_of
from aae_jax.messages import printable
from aae_jax.options import EvaluationOptions
from aae_jax.recipes import MODELS, RECIPES
from aae_jax.reporting import summary
from aae_jax.run_folder import RunFolder
from aae_jax.run_record import RunRecord

GIB = 2**30
GROWTH = 2**27
"""Bytes by which an input may raise the most memory that this process ever had."""


@dataclass(frozen=True)
class Reader:
    """Something that reads what others made.

    Attributes:
      name: for people.
      inputs: what is drawn.
      read: `read(folder, drawn)` raises UserError or RunError, or has read it. The
        folder is empty.
      share: how many are tried beside the quickest reader's.
      hang: seconds in which an input must have been read or refused.
      examples: inputs that were a mistake of ours once.
    """

    name: str
    inputs: st.SearchStrategy[Any] = field(repr=False)
    read: Callable[[Path, Any], object]
    share: float = 1.0
    hang: float = 5.0
    examples: tuple[Any, ...] = ()


@dataclass
class Tally:
    """What came of the inputs of a reader."""

    refused: int = 0
    read: int = 0
    slowest: float = 0.0
    growth: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.refused + self.read + len(self.failures)


def attempt(reader: Reader, folder: Path, drawn: Any, tally: Tally) -> None:
    """Read one input, in an emptied folder, and count what came of it.

    Raises:
      AssertionError: it took too long, or too much memory, or its refusal is no
        sentence.
      Exception: what else it raised.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before, began = peak_bytes(), time.perf_counter()
    sentence = None
    try:
        with ends_in(4 * reader.hang):
            reader.read(folder, drawn)
    except (UserError, RunError) as error:
        sentence = str(error)
    assert sentence != "", "a refusal without words"
    tally.read += sentence is None
    tally.refused += sentence is not None
    seconds, growth = time.perf_counter() - began, peak_bytes() - before
    tally.slowest = max(tally.slowest, seconds)
    tally.growth = max(tally.growth, growth)
    assert seconds < reader.hang, f"it took {seconds:.1f} s"
    assert growth < GROWTH, f"it took {growth / 2**20:.0f} MiB"


@contextlib.contextmanager
def ends_in(seconds: float) -> Iterator[None]:
    """Raise where this takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError(f"it did not end in {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


# Bytes, changed.

_KINDS = ("flip", "set", "insert", "delete", "truncate", "duplicate", "zero")
_change = st.tuples(
    st.sampled_from(_KINDS), st.integers(0, 2**20), st.binary(min_size=1, max_size=8)
)
changes = st.lists(_change, max_size=4)
some_changes = st.lists(_change, min_size=1, max_size=4)


def changed(content: bytes, made: Sequence[tuple[str, int, bytes]]) -> bytes:
    """The content after changes, each at a place of its own."""
    result = bytearray(content)
    for kind, place, value in made:
        at, n = place % (len(result) + 1), len(value)
        if kind == "flip" and at < len(result):
            result[at] ^= 1 << value[0] % 8
        elif kind == "set":
            result[at : at + n] = value
        elif kind == "insert":
            result[at:at] = value
        elif kind == "delete":
            del result[at : at + value[0]]
        elif kind == "truncate":
            del result[at:]
        elif kind == "duplicate":
            result[at:at] = result[at : at + value[0]]
        elif kind == "zero":
            result[at : at + n] = bytes(n)
    return bytes(result)


def mutations(sound: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of some sound files, changed."""
    return st.builds(changed, st.sampled_from(sound), changes)


NUMBERS = (0, 1, 2, 4, 6, 7, 96, -1, 255, 1024, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
LARGE = (*NUMBERS, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63), 10**30)

# numpy's files.

_X = np.arange(96, dtype=np.uint8).reshape(6, 4, 4)
_DESCRIPTIONS = (
    *("|u1", "|i1", "|b1", "<i8", ">u2", "<f4", ">f8", "<f2", "<f16", "<c16", "|O"),
    *("<U4", "|S3", "<M8[s]", "|V8", "u1", "", "x", "|V0", "<U0", "|S2147483647"),
    *("|V99999999999", "float64", "<m8", "=f4", "|u1,|u1", ("<f4", (2, 3))),
    *(("|u1", (10**9,)), [("a", "<f4")], [("a", "|O")], [("a", "<f4", (2**31,))]),
    *([], None, 7, {"names": ["a"], "formats": ["<f4"]}, ["<f4"] * 3),
)
_shapes = st.one_of(
    st.sampled_from(
        [(6, 4, 4), (6, 4, 4, 1), (2, 4, 4, 3), (96,), (24, 2, 2), (), (6, 16), 6, None]
    ),
    st.lists(st.sampled_from([*LARGE, True, 1.5, "6", None]), max_size=5).map(tuple),
)


def _npy(
    version: tuple[int, int], header: str, length: int | None, data: bytes
) -> bytes:
    text = header.encode("latin1", "replace")
    length = len(text) if length is None else length
    packed = (
        struct.pack("<H", length % 2**16)
        if version == (1, 0)
        else struct.pack("<I", length % 2**32)
    )
    return b"\x93NUMPY" + bytes(version) + packed + text + data


_headers = st.one_of(
    st.builds(
        "{{'descr': {!r}, 'fortran_order': {!r}, 'shape': {!r}, }}\n".format,
        st.sampled_from(_DESCRIPTIONS),
        st.sampled_from([True, False, 1, None, "x"]),
        _shapes,
    ),
    st.sampled_from(
        [
            "",
            "(" * 5000,
            "{" * 9000,
            "[" * 300 + "]" * 300,
            "-" * 9000 + "1",
            "{'shape': (1L, 2L), 'descr': '|u1', 'fortran_order': False}\n",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (9" + "9" * 5000 + ",)}",
            "__import__('os').system('true')",
        ]
    ),
    st.text(max_size=40),
)
_data = st.one_of(st.sampled_from([_X.tobytes(), b""]), st.binary(max_size=400))
_versions = st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)])
_lengths = st.one_of(st.none(), st.none(), st.sampled_from([*NUMBERS, 9999, 10_001]))


@cache
def _sound_npys() -> tuple[bytes, ...]:
    arrays = (_X, _X / 255, _X > 40, np.asfortranarray(_X), np.arange(6), _X[:2, :2])
    found = []
    for array in arrays:
        stream = io.BytesIO()
        np.save(stream, array)
        found.append(stream.getvalue())
    return tuple(found)


_npys = st.one_of(
    st.builds(_npy, _versions, _headers, _lengths, _data),
    mutations(_sound_npys()),
)


def _npz(members: dict[str, bytes], packing: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _with_field(archive: bytes, record: bytes, at: int, value: int) -> bytes:
    """An archive with another number in one of the records of its format."""
    place = archive.rfind(record)
    if place < 0:
        return archive
    packed = struct.pack("<I", value % 2**32)
    return archive[: place + at] + packed + archive[place + at + 4 :]


_members = st.dictionaries(
    st.sampled_from(
        ["x.npy", "y.npy", "x_test.npy", "y_test.npy", "z.npy", "x", ESCAPES[:6]]
    ),
    st.one_of(st.sampled_from(_sound_npys()), _npys),
    max_size=4,
)
_npzs = st.builds(
    changed,
    st.builds(
        _with_field,
        st.builds(
            _npz,
            _members,
            st.sampled_from(
                [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
            ),
        ),
        st.sampled_from([b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"none"]),
        st.integers(4, 44),
        st.sampled_from(LARGE),
    ),
    changes,
)


def _sound_codes() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, z=np.ones((3, 2), np.float32), y=np.arange(3))
    return stream.getvalue()


_limits = st.sampled_from([2**20, 2**20, 64])  # of memory: some stays on disk


def _read_data(path: Path, limit: int, size: tuple[int, int] | None = None) -> None:
    dataset = load_dataset(path, memory_limit=limit / GIB, image_size=size, say=_hear)
    for images in (dataset.x_train, dataset.x_test):
        if isinstance(images, StoredImages):
            images = images[np.arange(len(images))]
        assert images.dtype == np.uint8
        assert math.prod(images.shape) < 2**20


def _hear(line: str) -> None:
    assert line.strip()


def _file(name: str) -> Callable[[Path, tuple[bytes, int]], None]:
    def read(folder: Path, drawn: tuple[bytes, int]) -> None:
        (folder / name).write_bytes(drawn[0])
        _read_data(folder / name, drawn[1])

    return read


def _read_codes(folder: Path, content: bytes) -> None:
    (folder / "codes.npz").write_bytes(content)
    codes = load_codes(folder / "codes.npz", memory_limit=2**20 / GIB)
    assert np.isfinite(codes["z"]).all()


# IDX.


def _idx(magic: bytes, sides: Sequence[int], data: bytes) -> bytes:
    return magic + b"".join(struct.pack(">I", side % 2**32) for side in sides) + data


_idxs = st.one_of(
    st.builds(
        _idx,
        st.sampled_from(
            [b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x0d\x03", b"\0\0\x08\xff"]
        ),
        st.lists(st.sampled_from(NUMBERS), max_size=5),
        _data,
    ),
    mutations([_idx(b"\0\0\x08\x03", (6, 4, 4), _X.tobytes())]),
)
_idx_files = st.dictionaries(
    st.sampled_from(["train-images", "train-labels", "t10k-images.gz", "t10k-labels"]),
    st.one_of(
        _idxs,
        st.builds(
            changed, _idxs.map(lambda content: gzip.compress(content, 1)), changes
        ),
    ),
    min_size=1,
)


def _read_idx(folder: Path, drawn: tuple[dict[str, bytes], int]) -> None:
    for name, content in drawn[0].items():
        (folder / name).write_bytes(content)
    _read_data(folder, drawn[1])


# Pictures.


@cache
def _sound_pictures() -> tuple[bytes, ...]:
    rng = np.random.default_rng(0)
    found = [png_bytes(8, 8)]
    kinds = {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "BMP": ("1", "L", "P", "RGB"),
        "GIF": ("L",),
        "TIFF": ("RGB",),
        "WEBP": ("RGB",),
        "ICO": ("RGBA",),
        "PPM": ("RGB",),
    }
    for kind, modes in kinds.items():
        for mode in modes:
            image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
            image = image.convert("I").convert("I;16") if mode == "I;16" else image
            stream = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6
            options = {"exif": exif} if kind == "JPEG" else {}
            image.convert(mode).save(stream, kind, **options)
            found.append(stream.getvalue())
    return tuple(found)


def _png_with(at: int, value: int, content: bytes) -> bytes:
    """A PNG with another number in its header, whose checksum fits."""
    result = bytearray(content)
    result[16 + at : 20 + at] = struct.pack(">I", value % 2**32)
    result[29:33] = struct.pack(">I", zlib.crc32(bytes(result[12:29])))
    return bytes(result)


def _jpeg_or_bmp_with(at: int, value: int, content: bytes) -> bytes:
    """A JPEG or BMP with another number in its header."""
    first = content.find(b"\xff\xc0") + 3 if content[:2] == b"\xff\xd8" else 2
    place = first + at
    return content[:place] + struct.pack("<I", value % 2**32) + content[place + 4 :]


_pictures = st.one_of(
    mutations(_sound_pictures()),
    st.builds(
        _png_with,
        st.integers(0, 9),
        st.sampled_from(LARGE),
        st.sampled_from([c for c in _sound_pictures() if c[:4] == b"\x89PNG"]),
    ),
    st.builds(
        _jpeg_or_bmp_with,
        st.integers(0, 48),
        st.sampled_from(LARGE),
        st.sampled_from(
            [c for c in _sound_pictures() if c[:2] in (b"\xff\xd8", b"BM")]
        ),
    ),
)
_picture_folders = st.tuples(
    st.dictionaries(
        st.sampled_from(
            ["a.png", "b.png", "c.jpg", "d.bmp", "k/a.png", "k/b.JPG", "l/a.jpeg"]
        ),
        st.one_of(st.sampled_from(_sound_pictures()), _pictures),
        min_size=1,
    ),
    st.sampled_from([2**20, 2**20, 300]),
    st.sampled_from([None, (8, 8), (3, 5)]),
)


def _read_pictures(
    folder: Path, drawn: tuple[dict[str, bytes], int, tuple[int, int] | None]
) -> None:
    files, limit, size = drawn
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    _read_data(folder, limit, size)


# A run's small files.

RECORD = RunRecord(
    config=Config(dataset="sample", steps=60, hidden=(16, 16)),
    image_shape=(8, 8, 1),
    n_train=360,
    dataset={"name": "tiny", "fingerprint": "ab" * 32, "class_names": ["a", "b"]},
    environment={"python": "3.11", "cores": 2},
    command="train.py --steps 60",
)
_LATENT = {"ratio": 1.2, "gap_fraction": 0.1, "mean": [0.1, 0.2], "rescaled": True}
_LINE = {
    "epoch": 1,
    "step": 18,
    "losses": {"reconstruction": 0.1, "discriminator": 1.3, "generator": 0.7},
    "seconds": 0.5,
    "validation": {"reconstruction_mse": 0.1, "latent": _LATENT, "error": 0.2},
}
_METRICS = {
    "split": "test",
    "images": 100,
    "reconstruction_mse": 0.1,
    "latent": _LATENT,
    "knn_accuracy": 0.9,
    "steps": 60,
    "seconds": 1.5,
}
_values = st.one_of(
    st.sampled_from(
        [None, True, False, *LARGE, 0.5, 1e308, math.nan, math.inf, -0.0, 5e-324]
    ),
    st.sampled_from(["", "x", ESCAPES[:6], "\0", "~\0", "all", "custom", "9" * 5000]),
    st.sampled_from([[], {}, [[]], [16] * 3, [65_536] * 3, {"a": {"b": []}}, [{}, 1]]),
    st.sampled_from([*MODELS, *PRIORS, *ENCODERS, *SCHEDULES]),
    st.text(max_size=5),
    st.floats(),
)
_json_changes = st.lists(
    st.tuples(
        st.sampled_from(["replace", "delete", "add"]), st.integers(0, 2**16), _values
    ),
    max_size=3,
)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with every key."""
    keys = node if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


def changed_json(value: Any, made: Sequence[tuple[str, int, Any]]) -> str:
    """A JSON value with other values in some places, as text."""
    result = json.loads(json.dumps(value))
    for kind, at, new in made:
        places = list(_places(result))
        if not places:
            break
        node, key = places[at % len(places)]
        new = copy.deepcopy(new)  # a list that is changed here is drawn again
        if kind == "replace":
            node[key] = new
        elif kind == "delete":
            del node[key]
        elif isinstance(node, dict):
            node[f"{key}_" if at % 2 else "x"] = new
    return json.dumps(result)


def _json_files(value: Any) -> st.SearchStrategy[bytes]:
    texts = st.builds(changed_json, st.just(value), _json_changes).map(str.encode)
    whole = st.sampled_from(
        [
            b"",
            b"[]",
            b"null",
            b"[" * 10_000,
            b'{"a":' * 10_000,
            b"\xff",
            b"1e999",
            b"{}",
        ]
    )
    plain = st.one_of(texts, texts, texts, whole)
    return st.builds(changed, plain, st.one_of(st.just([]), changes))


_configs = _json_files({"format_version": 3, **asdict(RECORD)})
_logs = st.lists(_json_files(_LINE), min_size=1, max_size=3).map(b"\n".join)
_logs = st.builds(bytes.__add__, _logs, st.sampled_from([b"\n", b"\r\n", b""]))


def _read_config(folder: Path, content: bytes) -> None:
    """By all who read it; one that is sound must say what a training needs."""
    run = RunFolder(folder / "run")
    run.make()
    run.config_file.write_bytes(content)
    record = run.read_record()
    assert 0 < record.config.total_steps() < 2**31
    assert record.config.hyperparameters.batch_size > 1
    for request, flags in ((evaluation_request, []), (training_request, ["--resume"])):
        with contextlib.suppress(UserError):
            request([*flags, "--run-dir", str(run)])


def _read_log(folder: Path, content: bytes) -> None:
    run = RunFolder(folder)
    run.log_file.write_bytes(content)
    lines = run.read_log()
    run.cut_log(18)
    assert run.read_log() == [line for line in lines if line["step"] <= 18]


def _draw_log(folder: Path, content: bytes) -> None:
    run = RunFolder(folder)
    run.log_file.write_bytes(content)
    losses_figure(run.log_lines(), title=run.title)


def _read_metrics(folder: Path, content: bytes) -> None:
    run = RunFolder(folder)
    run.metrics_file.write_bytes(content)
    text = summary({run: run.read_metrics()})
    assert all(line.isprintable() for line in text.splitlines())


# Checkpoints.


@cache
def _state() -> dict[str, Any]:
    key = jax.random.key(3)
    return {
        "params": {"kernel": jax.random.normal(key, (9, 7)), "bias": jnp.ones(2)},
        "key": key,
        "step": jnp.int32(40),
    }


def _bits(state: dict[str, Any]) -> list[bytes]:
    plain = state | {"key": jax.random.key_data(state["key"])}
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(plain)]


def _load_checkpoint(
    folder: Path, drawn: tuple[int, Sequence[tuple[str, int, bytes]], bool]
) -> None:
    """A checkpoint with a changed file; resealed, as somebody would who means harm."""
    which, made, resealed = drawn
    path = save_checkpoint(folder / "checkpoints", _state(), step=40)
    manifest = read_manifest(path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    if resealed:
        files = [each for each in files if each.name != "manifest.json"]
    file = files[which % len(files)]
    before = file.read_bytes()
    file.write_bytes(changed(before, made))
    if resealed:
        (path / "manifest.json").unlink()
        seal_folder(path, manifest)
    loaded = load_checkpoint(path.parent, _state(), say=_hear)
    assert loaded is not None
    assert loaded.step == 40
    assert _bits(loaded.state) == _bits(_state())


def _read_manifest(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with _damage_is_a_refusal():
        read_manifest(folder)


@contextlib.contextmanager
def _damage_is_a_refusal() -> Iterator[None]:
    from aae_jax.checkpoint_folder import DamagedError

    try:
        yield
    except DamagedError as error:
        raise RunError(str(error)) from error


_CONTENT = {
    "format_version": 1,
    "step": 40,
    "record": {"seconds": 1.0},
    "leaf_types": {"a": "float32[2, 3]"},
    "leaf_hashes": {"a": "ab"},
    "file_hashes": {"state/d": "cd"},
}


def _sealed(content: bytes) -> bytes:
    """A manifest whose seal fits whatever it says."""
    import hashlib

    try:
        text = json.dumps(json.loads(content), sort_keys=True)
    except (ValueError, RecursionError):
        text = "{}"
    seal = hashlib.sha256(text.encode()).hexdigest()
    return b'{"sha256": "%s", "content": %s}' % (seal.encode(), content)


# Command lines.

_PATHS = (
    *("absent", "file.txt", "folder", "tiny.npz", "run", "/dev/null", "/dev/zero", "."),
    *("..", "/", "~", "~nobody", "x" * 300, "folder/", "tiny.npz/x", ESCAPES, "pipe"),
    *("loop", "absent/absent", "codes.npz", "new.npz", "new", "/proc/self/mem", ""),
)
_NAMES = (
    *(*MODELS, *RECIPES, *PRIORS, "custom", *ENCODERS, *INITIALIZERS, *SCHEDULES),
    *("adam", "sgd", "test", "validation", "train", "auto", "sample", "mnist", "all"),
    *("True", "False", "None", "nan", "inf", "-inf", "1e400", "-1", "0", "0x10", "1_0"),
    *("9" * 5000, "1e-300", "0.5", "\u0663", "\U0001f600", "\u202e", "--", "-", "-x"),
)
_words = st.one_of(
    st.sampled_from([str(number) for number in LARGE]),
    st.sampled_from(["2", "3", "0.1", "16", "100"]),
    st.sampled_from(_NAMES),
    st.sampled_from(_PATHS),
    st.text(st.characters(exclude_characters="\0"), max_size=8),
)


def _flag_words(names: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """A flag with words, or joined to one; sometimes misspelt, or words alone."""
    flags = st.sampled_from([f"--{name.replace('_', '-')}" for name in names])
    return st.one_of(
        st.builds(
            lambda flag, words: [flag, *words], flags, st.lists(_words, max_size=2)
        ),
        st.builds(lambda flag, word: [flag, word], flags, _words),
        st.builds(lambda flag, word: [f"{flag}={word}"], flags, _words),
        st.builds(lambda flag, word: [flag[:-1], word], flags, _words),
        st.lists(_words, max_size=1),
    )


_SOUND = {
    TrainFlags: (
        *("--model clustering", "--model supervised", "--model semi-supervised"),
        *("--prior uniform", "--prior gamma", "--prior swiss-roll", "--z-dim 3"),
        *("--labels 20", "--run-dir new", "--resume", "--init-from run", "--quiet"),
        *("--image-size 5 6", "--shift 1", "--memory-limit 0.00001", "--seeds 2"),
        *("--schedule cosine", "--optimizer sgd", "--recipe guide", "--seed=3"),
    ),
    EvaluationOptions: (
        *("--metrics", "--latent", "--losses", "--grid", "--split validation"),
        *("--encode test --out new.npz", "--sample 3 --out new.npz", "--seed 3"),
        *("--decode codes.npz --out new.npz", "--out new", "--dataset tiny.npz"),
        *("--encode tiny.npz --out new.npz", "--memory-limit 1", "--run-dir run"),
    ),
}


def command_lines(flags: type) -> st.SearchStrategy[list[str]]:
    """Arguments of a script, by the flags that it has; some of them sound."""
    names = [name for name in kinds_of(flags) if name != "help"]
    sound = st.sampled_from(_SOUND[flags]).map(str.split)
    lists = st.one_of(
        st.lists(_flag_words(names), max_size=5),
        st.lists(st.one_of(sound, sound, sound, _flag_words(names)), max_size=4),
    )
    return lists.map(lambda each: [word for words in each for word in words])


def furnish(folder: Path, trained: Path | None = None) -> None:
    """Things for a command line to name; the newest run is a copy of a trained one."""
    (folder / "file.txt").write_text("text")
    (folder / "folder").mkdir()
    (folder / "folder" / "a.txt").touch()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    tiny_npz(folder / "tiny.npz")
    np.savez(folder / "codes.npz", z=np.zeros((3, 2), np.float32))
    for run in (RunFolder(folder / "run"), RunFolder(folder / "runs" / "newest")):
        if trained:
            shutil.copytree(trained, run.path)
            continue
        run.make()
        run.write_record(RECORD)


def listed(folder: Path) -> dict[str, tuple[int, int]]:
    """What lies in a folder, with sizes and times."""
    stats = ((path, path.lstat()) for path in folder.rglob("*"))
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in stats}


_ROOMS: dict[Path, dict[str, tuple[int, int]]] = {}


def _room(folder: Path) -> dict[str, tuple[int, int]]:
    """A furnished folder, made once beside the one that is emptied each time."""
    if folder not in _ROOMS:
        folder.mkdir()
        furnish(folder)
        _ROOMS[folder] = listed(folder)
    return _ROOMS[folder]


def _ask(request: Callable[[Sequence[str]], object], script: str):
    """A script's request, as the script makes it, in a folder with things to name."""

    def read(folder: Path, argv: list[str]) -> None:
        room = folder.with_name(f"{folder.name}-room")
        before = _room(room)
        said, printed = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(room),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(printed),
        ):
            try:
                status = exit_status(lambda: request(argv), script=script)
            except SystemExit as stopped:  # of --help
                status = int(stopped.code or 0)
        assert listed(room) == before, "it wrote something"
        assert_told(status, said.getvalue(), script)
        if status:
            raise UserError(said.getvalue())

    return read


_TINY = (
    *("--dataset", "tiny.npz", "--hidden", "4", "--batch-size", "20", "--steps", "4"),
    *("--no-figures", "--no-compile-cache"),
)


def _started(script: str, argv: Sequence[str], folder: Path) -> tuple[int, str]:
    """The status of a script in a process of its own, and what it told on stderr."""
    ended = subprocess.run(
        [sys.executable, str(ROOT / script), *argv],
        cwd=folder,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return ended.returncode, ended.stderr.decode()


@cache
def _trained(folder: Path) -> Path:
    """A run that was trained there, to be copied."""
    folder.mkdir()
    tiny_npz(folder / "tiny.npz")
    status, said = _started("train.py", [*_TINY, "--run-dir", "run"], folder)
    assert status == 0, said
    return folder / "run"


def _start(script: str):
    """A script in a process of its own; what it trains is as little as can be."""

    def read(folder: Path, argv: list[str]) -> None:
        if script == "train.py":
            furnish(folder)
            more = _TINY
        else:
            furnish(folder, _trained(folder.with_name(f"{folder.name}-trained")))
            more = ("--no-compile-cache",)
        before = listed(folder)
        status, said = _started(script, [*argv, *more], folder)
        *_, sentence = said.split("\n")[:-1] or [""]
        assert_told(status, f"{sentence}\n", script)
        assert all(line == printable(line) for line in said.split("\n"))
        assert "Traceback" not in said, said
        if status:
            assert listed(folder) == before or status == 1, "it wrote something"
            raise UserError(sentence)

    return read


def assert_told(status: int, said: str, script: str) -> None:
    """A refusal is one line, which cannot drive a terminal, and has its status."""
    assert status in (0, 1, 2), status
    if not status:
        return
    assert said.endswith("\n")
    assert said[:-1] == printable(said[:-1]), said
    assert said.startswith(f"{script}: "), said
    assert "mistake of ours" not in said, said


READERS = (
    Reader(".npy", st.tuples(_npys, _limits), _file("a.npy")),
    Reader(".npz", st.tuples(_npzs, _limits), _file("a.npz")),
    Reader("codes", st.one_of(_npzs, mutations([_sound_codes()])), _read_codes),
    Reader("IDX", st.tuples(_idx_files, _limits), _read_idx),
    Reader("pictures", _picture_folders, _read_pictures),
    Reader("config.json", _configs, _read_config),
    Reader("metrics.jsonl", _logs, _read_log),
    Reader("losses.png", _logs, _draw_log, share=0.05),
    Reader("metrics.json", _json_files(_METRICS), _read_metrics),
    Reader(
        "manifest.json",
        st.one_of(
            _json_files(_CONTENT).map(_sealed), _json_files({"content": _CONTENT})
        ),
        _read_manifest,
    ),
    Reader(
        "checkpoint",
        st.tuples(st.integers(0, 11), some_changes, st.just(False)),
        _load_checkpoint,
        share=0.05,
    ),
    Reader(
        "resealed checkpoint",
        st.tuples(st.integers(0, 11), some_changes, st.just(True)),
        _load_checkpoint,
        share=0.05,
    ),
    Reader(
        "train.py",
        command_lines(TrainFlags),
        _ask(training_request, "train.py"),
        share=0.5,
    ),
    Reader(
        "evaluate.py",
        command_lines(EvaluationOptions),
        _ask(evaluation_request, "evaluate.py"),
        share=0.5,
    ),
)
PROCESSES = (
    Reader(
        "process of train.py",
        command_lines(TrainFlags),
        _start("train.py"),
        share=0.08,
        hang=300,
    ),
    Reader(
        "process of evaluate.py",
        command_lines(EvaluationOptions),
        _start("evaluate.py"),
        share=0.08,
        hang=300,
    ),
)
"""The same in processes of their own, which really train."""
