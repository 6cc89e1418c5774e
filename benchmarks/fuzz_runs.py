"""What lies in a run's folder, malformed."""

import contextlib
import copy
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from fuzzing import LARGE, Reader, changed, changes, hear, some_changes
from hostile import ESCAPES
from hypothesis import strategies as st

from aae_jax.checkpoint import load_checkpoint, save_checkpoint
from aae_jax.checkpoint_folder import DamagedError, read_manifest, seal_folder
from aae_jax.cli import training_request
from aae_jax.config import Config
from aae_jax.config_checks import ENCODERS, PRIORS, SCHEDULES
from aae_jax.errors import RunError, UserError
from aae_jax.evaluation_request import evaluation_request
from aae_jax.figures import losses_figure
from aae_jax.recipes import MODELS
from aae_jax.reporting import summary
from aae_jax.run_folder import RunFolder
from aae_jax.run_record import RunRecord

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
    loaded = load_checkpoint(path.parent, _state(), say=hear)
    assert loaded is not None
    assert loaded.step == 40
    assert _bits(loaded.state) == _bits(_state())


def _read_manifest(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with _damage_is_a_refusal():
        read_manifest(folder)


@contextlib.contextmanager
def _damage_is_a_refusal() -> Iterator[None]:
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
    try:
        text = json.dumps(json.loads(content), sort_keys=True)
    except (ValueError, RecursionError):
        text = "{}"
    seal = hashlib.sha256(text.encode()).hexdigest()
    return b'{"sha256": "%s", "content": %s}' % (seal.encode(), content)


RUNS = (
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
)
