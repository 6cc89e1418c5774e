"""Networks that leave: ONNX and StableHLO compute what the run does, without us."""

import functools
import json
import re
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from jax import export
from scripts import DEADLINE, ROOT, listing
from test_layers import SHAPE, trained_like

import aae_jax.export
from aae_jax.errors import RunError
from aae_jax.export import about_run
from aae_jax.export_folder import new_folder
from aae_jax.layers import plain_networks
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder
from aae_jax.run_record import RunRecord

pytest_plugins = ["script_fixtures"]

KINDS = {
    "aae": {},
    "aae universal": {"encoder": "universal", "z_dim": 3},
    "supervised": {},
    "semi-supervised": {"encoder": "gaussian"},
    "clustering": {"batch_norm": True},
    "supervised conv": {"network": "conv"},
    "dim-reduction": {},
}
FILES = [
    "README.md",
    *("decoder.onnx", "decoder.stablehlo", "encoder.onnx", "encoder.stablehlo"),
]


@pytest.fixture(scope="module")
def run_of(tiny_config_of, tmp_path_factory):
    """`run_of(kind)`: a run with weights as training might leave them."""

    @functools.cache
    def make(kind):
        config = replace(tiny_config_of(kind.split()[0]), **KINDS.get(kind, {}))
        model, params = trained_like(config)
        dataset = {"class_names": ["round", "größe", "c`\n```", "d"]}
        record = RunRecord(config, SHAPE, 400, dataset, {}, "train.py")
        folder = RunFolder(tmp_path_factory.getbasetemp() / f"{kind} run")
        return Run(record, model, params, folder, 5)

    return make


@pytest.fixture(scope="module")
def exported(run_of, tmp_path_factory):
    """Runs of every kind and the folders of their exports, by the kind."""
    place = tmp_path_factory.mktemp("exported")
    found = {}
    for index, kind in enumerate(KINDS):
        found[kind] = run_of(kind), place / str(index)
        run_of(kind).export(place / str(index))
    return found


def wanted_of(run, x):
    """What the encoder is to give, the decoder reads then, and is to give."""
    wiring, n_categories = run.model.networks.wiring, run.model.networks.n_categories
    code, y = {"z": run.encode(x)}, None
    if wiring.infers_y:
        code["y"] = run.probabilities(x)
    read = {"z": code["z"]}
    if wiring.decodes_y:
        y = np.arange(len(x), dtype=np.int32) % n_categories
        read["y"] = np.eye(n_categories, dtype=np.float32)[y]
    return code, read, {"x_hat": run.decode(code["z"], y)}


def assert_close(outputs, wanted):
    assert outputs.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(outputs[name], array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_files_compute_what_the_run_does(exported, kind):
    run, folder = exported[kind]
    assert sorted(path.name for path in folder.iterdir()) == FILES
    sessions, programs = {}, {}
    for name in ("encoder", "decoder"):
        onnx.checker.check_model(folder / f"{name}.onnx", full_check=True)
        sessions[name] = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        stored = (folder / f"{name}.stablehlo").read_bytes()
        programs[name] = export.deserialize(bytearray(stored))
        assert programs[name].platforms == ("cpu", "cuda", "tpu")

    def by_onnx(name, inputs):
        names = [each.name for each in sessions[name].get_outputs()]
        return dict(zip(names, sessions[name].run(names, inputs), strict=True))

    for rows in (1, 9):
        x = np.random.default_rng(rows).random((rows, *SHAPE), np.float32)
        code, read, x_hat = wanted_of(run, x)
        assert_close(by_onnx("encoder", {"x": x}), code)
        assert_close(by_onnx("decoder", read), x_hat)
        assert_close(programs["encoder"].call(x=x), code)
        assert_close(programs["decoder"].call(**read), x_hat)


@pytest.mark.parametrize(
    ("heading", "absent"), [("ONNX", ["aae_jax", "jax"]), ("StableHLO", ["aae_jax"])]
)
def test_the_lines_of_its_readme_run_without_us(exported, tmp_path, heading, absent):
    program = [
        "import os, sys",
        f"sys.modules.update(dict.fromkeys({absent}))  # to import one is an error now",
    ]
    for kind, (_, folder) in exported.items():
        text = (folder / "README.md").read_text()
        (block,) = re.findall(rf"## {heading}\n.*?```python\n(.*?)```", text, re.S)
        lines = [line for line in block.splitlines() if "import" not in line and line]
        assert len(lines) == 5, kind
        program += [f"os.chdir({str(folder)!r})", block]
        program += [f"np.save({str(tmp_path / kind)!r}, x_hat)"]
    ended = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", "\n".join(program)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert ended.returncode == 0, ended.stderr
    x = jax.numpy.asarray(np.random.default_rng(0).random((3, *SHAPE), np.float32))
    for kind, (run, _) in exported.items():
        networks, params = run.model.networks, run.params
        y = jax.numpy.zeros(3, int) if networks.wiring.decodes_y else None
        x_hat = networks.reconstruct(params, x, y)
        np.testing.assert_allclose(np.load(tmp_path / f"{kind}.npy"), x_hat, atol=1e-5)


def facts_of(folder):
    text = (folder / "README.md").read_text()
    (block,) = re.findall(r"^```json\n(.*?)^```$", text, re.M | re.S)
    return json.loads(block)


def test_files_say_what_they_are(exported):
    run, folder = exported["semi-supervised"]
    facts = facts_of(folder)
    assert facts["run"] == "semi-supervised run"
    assert facts["model"] == "semi-supervised"
    assert (facts["image_shape"], facts["z_dim"]) == ([8, 8, 1], 2)
    assert (facts["prior"], facts["prior_deviation"]) == ("normal", [1, 1])
    assert facts["class_names"] == run.record.dataset["class_names"]
    text = (folder / "README.md").read_text()
    assert len(re.findall("^```", text, re.M)) == 6  # whatever names hold
    for name in ("encoder", "decoder"):
        model = onnx.load(folder / f"{name}.onnx")
        stored = {each.key: each.value for each in model.metadata_props}
        assert stored["model"] == "semi-supervised"
        assert json.loads(stored["class_names"]) == facts["class_names"]
    clusters = facts_of(exported["clustering"][1])
    assert clusters["clusters"] == 5
    assert "class_names" not in clusters


def test_codes_that_follow_no_prior_name_none(run_of):
    assert not {"prior", "prior_mean"} & about_run(run_of("autoencoder")).facts.keys()


def test_a_prior_that_was_made_in_python_is_named(run_of):
    run = run_of("aae")
    ring = replace(run.model.prior, name="ring")
    of_ring = replace(run, model=replace(run.model, prior=ring))
    assert about_run(of_ring).facts["prior"] == "ring"


def test_the_same_run_gives_the_same_bytes_without_paths(run_of, exported, tmp_path):
    _, folder = exported["dim-reduction"]
    run_of("dim-reduction").export(tmp_path / "again")
    assert listing(tmp_path / "again") == listing(folder)
    for content in listing(folder).values():
        assert str(ROOT).encode() not in content
        assert b".py" not in content


def test_a_file_that_computes_something_else_is_not_kept(run_of, tmp_path, monkeypatch):
    run = run_of("aae")

    def wrong(networks, params):
        other = jax.tree.map(lambda leaf: 1.01 * leaf, params)
        return plain_networks(networks, other)

    monkeypatch.setattr(aae_jax.export, "plain_networks", wrong)
    with pytest.raises(RunError, match="ONNX differs from jax by"):
        run.export(tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_taken_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "exported"

    def write():
        with new_folder(path) as folder:
            (folder / "encoder.onnx").touch()
            path.mkdir()
            (path / "of another").touch()

    with pytest.raises(RunError, match="could not be written"):
        write()
    assert listing(tmp_path) == {"exported": None, "exported/of another": b""}


def test_the_command_fills_an_empty_folder(call_script, finished, tmp_path):
    before = listing(finished.folder.path) | {".lock": None}
    out = tmp_path / "mine"
    out.mkdir()
    flags = ("--run-dir", finished.folder.path, "--export", out)
    ended = call_script("evaluate.py", *flags)
    assert (ended.status, ended.stdout) == (0, "")
    wrote, of_onnx, of_stablehlo = ended.stderr.splitlines()
    assert wrote.startswith(f"wrote {out}: encoder.onnx, ")
    assert of_onnx.startswith("ONNX differs from jax by at most ")
    assert of_stablehlo.startswith("StableHLO differs from jax by at most ")
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert list(tmp_path.iterdir()) == [out]
    assert listing(finished.folder.path) | {".lock": None} == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--export full", "full exists and is not overwritten; give --export a new"),
        ("--export file", "file exists and is not overwritten"),
        ("--export gone/new", "the folder of gone/new does not exist; make it first"),
        ("--export new --out x.npz", "leave --out out"),
        ("--export new --grid", "or --export alone"),
        ("--export new --sample 3", "or --export alone"),
        ("--export new --split test", "--export writes networks"),
        ("--export new --seed 3", "--seed is that of"),
    ],
)
def test_what_cannot_be_is_refused(
    call_script, finished, tmp_path, monkeypatch, line, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "file").touch()
    before = listing(tmp_path)
    ended = call_script("evaluate.py", "--run-dir", finished.folder.path, *line.split())
    assert (ended.status, ended.stdout) == (2, "")
    (sentence,) = ended.stderr.splitlines()
    assert words in sentence
    assert listing(tmp_path) == before


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "flatbuffers"])
def test_a_missing_package_is_told_before_jax_is_imported(package):
    program = f"""
import sys
sys.modules[{package!r}] = None  # as if it were not installed
from aae_jax import UserError
from aae_jax.evaluation_request import evaluation_request
try:
    evaluation_request(["--export", "new"])
except UserError as error:
    print(error)
assert "jax" not in sys.modules
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"({package}); type: pip install -e '.[export]'" in ended.stdout
