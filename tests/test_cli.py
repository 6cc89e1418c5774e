"""What is asked for: every flag, and every refusal before jax is imported."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scripts import ROOT, listing

from aae_jax.cli import training_request
from aae_jax.config import Config
from aae_jax.errors import RunError, UserError
from aae_jax.evaluation_request import evaluation_request
from aae_jax.failures import exit_status
from aae_jax.options import (
    PICTURE_NAMES,
    EvaluationOptions,
    RunOptions,
    pictures_of,
)
from aae_jax.run_folder import RunFolder
from aae_jax.run_record import RunRecord
from aae_jax.signals import Interrupted

pytest_plugins = ["script_fixtures"]

CONFIG = Config(dataset="sample", hidden=(16, 16), steps=540, batch_size=50)
RECORD = RunRecord(
    config=CONFIG,
    image_shape=(28, 28, 1),
    n_train=9000,
    dataset={"name": "sample", "fingerprint": "ab" * 32, "class_names": None},
    environment={},
    command="",
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a few things to point at; what is refused leaves it so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    (tmp_path / "codes.npz").touch()
    return tmp_path


def make_run(path, **changes):
    folder = RunFolder(path)
    folder.make()
    folder.write_record(dataclasses.replace(RECORD, **changes))
    return folder


def refused(request, argv):
    """The sentence of a refusal that leaves the working folder as it was."""
    before = listing(Path.cwd())
    with pytest.raises(UserError) as refusal:
        request(argv)
    assert listing(Path.cwd()) == before
    sentence = str(refusal.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--prior gausian", "prior='gausian' is unknown; choose one of normal, "),
        ("--prior unifrom", "did you mean uniform?"),
        ("--prior custom", "is for Python"),
        ("--model aaee", "did you mean aae?"),
        ("--recipe tunned", "did you mean tuned?"),
        ("--dataset mnits", "did you mean mnist?"),
        ("--dataset ./absent.npz", "does not exist"),
        ("--schedule cosin", "did you mean cosine?"),
        ("--initializer lecum", "did you mean lecun?"),
        ("--z-dim 0", "--z-dim a value from 1 to"),
        ("--z-dim 3 --prior mixture", "lies in the plane"),
        ("--batch-size 1", "--batch-size a value from 2"),
        ("--epochs 0", "--epochs a value from 1"),
        ("--epochs -1", "--epochs a value from 1"),
        ("--epochs 2 --steps 9", "give one of them"),
        ("--steps 0", "--steps a value from 1"),
        ("--reconstruction-rate 11", "--reconstruction-rate a value from 0"),
        ("--discriminator-rate -1", "--discriminator-rate a value from 0"),
        ("--generator-rate nan", "generator_rate=nan"),
        ("--seed -1", "--seed a value from 0"),
        ("--seed 1" + "0" * 400, "seed"),
        ("--network con", "choose one of mlp, conv; did you mean conv?"),
        ("--network conv --image-size 28 7", "these are 28 x 7; use --network mlp, or"),
        (
            "--network conv --model autoencoder --hidden 9",
            "--hidden does nothing with --model autoencoder --network conv",
        ),
        ("--hidden", "hidden"),
        ("--hidden 0", "hidden"),
        ("--image-size 0 4", "image_size"),
        ("--memory-limit nan", "--memory-limit the GiB"),
        ("--memory-limit 0", "--memory-limit the GiB"),
        ("--memory-limit 1e300", "--memory-limit the GiB"),
        ("--stesp 5", "'--stesp' is not a flag; did you mean --steps?"),
        ("--no-quiet", "did you mean --quiet?"),
        ("--config.prior normal", "is not a flag"),
        ("--steps", "--steps takes a whole number, got nothing"),
        ("--steps five", "--steps takes a whole number, got 'five'"),
        ("--steps=five", "--steps takes a whole number, got 'five'"),
        ("--steps 5 6", "--steps takes a whole number, got '5' '6'"),
        ("--steps 5.5", "--steps takes a whole number, got '5.5'"),
        ("--steps None", "--steps takes a whole number, got 'None'"),
        ("--generator-rate fast", "--generator-rate takes a number, got 'fast'"),
        ("--hidden 10 x", "--hidden takes whole numbers, got '10' 'x'"),
        ("--image-size 3", "--image-size takes two whole numbers, got '3'"),
        ("--image-size 3 4 5", "takes two whole numbers, got '3' '4' '5'"),
        ("--standardize-codes maybe", "takes True or False, got 'maybe'"),
        ("--run-dir", "--run-dir takes a path, got nothing"),
        ("--prior normal uniform", "--prior takes a value, got 'normal' 'uniform'"),
        ("--quiet=1", "got '1', which belongs to no flag"),
        ("--resume yes", "got 'yes', which belongs to no flag"),
        ("normal", "got 'normal', which belongs to no flag"),
        ("-x", "got '-x', which belongs to no flag"),
        ("--seed " + "9" * 5000, "--seed takes a whole number, got '999"),
        ("--run-dir thesis", "holds no run, and is never overwritten; choose another"),
        ("--run-dir codes.npz", "holds no run, and is never overwritten"),
        ("--resume", "there is no run under runs/ yet"),
        ("--resume --run-dir thesis", "holds no run, and is never overwritten"),
        ("--init-from thesis", "is not a run"),
        (
            "--model aae-joint --generator-rate 0.1",
            "--generator-rate does nothing with --model aae-joint; leave it out, or "
            "choose a model that reads it out of aae",
        ),
        ("--model autoencoder --instance-noise=1", "out of aae, aae-joint"),
        ("--prior-shape 7", "--prior-shape does nothing with --prior normal"),
        ("--accept-changed-data", "for going on with a run; add --resume"),
        (
            "--schedule constant --generator-final 0.5",
            "--generator-final is for the cosine schedule and yours is constant",
        ),
        ("--recipe guide --input-noise 1 --reconstruction-final 1", "is constant"),
        ("--recipe paper --reconstruction-final 1", "yours is steps"),
        ("--optimizer sgd --generator-epsilon 1e-4", "is Adam's and your optimizer is"),
        ("--init-from absent", "does not exist"),
    ],
)
def test_train_refuses_in_a_sentence(place, line, words):
    assert words in refused(training_request, line.split())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "there is no run under runs/ yet; train one with 'python train.py"),
        ("--grd", "did you mean --grid?"),
        ("--run-dir thesis", "is not a run"),
        ("--run-dir absent", "does not exist"),
        ("--split tset", "choose one of test, validation; did you mean test?"),
        ("--split train", "choose one of test, validation"),
        ("--sample x", "--sample takes a whole number, got 'x'"),
        ("--sample 0 --out x.npz", "--sample a value from 1 to 1000000"),
        ("--sample 2000000 --out x.npz", "--sample a value from 1 to 1000000"),
        ("--sample 5 --seed -1 --out x.npz", "--seed a value from 0 to 4294967295"),
        ("--sample 5", "writes an .npz file, got none; add --out FILE.npz"),
        ("--sample 5 --out x.txt", "writes an .npz file, got x.txt"),
        ("--sample 5 --out codes.npz", "exists and is not overwritten"),
        ("--sample 5 --out absent/x.npz", "does not exist; make it first"),
        ("--sample 5 --grid --out x.npz", "got --sample and --grid; give"),
        ("--encode test --metrics --out x.npz", "got --encode and --metrics; give"),
        ("--encode test --decode codes.npz --out x.npz", "--encode and --decode"),
        ("--encode tset --out x.npz", "is no split and no path; choose test"),
        ("--encode tset --out x.npz", "did you mean test?"),
        ("--decode absent.npz --out x.npz", "does not exist; give --decode"),
        ("--grid --out codes.npz", "is a file; give --out a folder"),
        ("--grid --seed 3", "--seed is that of --sample N and --parzen N; leave"),
        ("--sample 5 --split test --out x.npz", "does nothing with --sample; leave"),
        ("--parzen 5 --split validation", "--parzen measures the test images, at the"),
        ("--metrics --out figures", "--metrics prints to stdout"),
        ("--memory-limit -3", "--memory-limit the GiB"),
        ("--dataset mnits", "did you mean mnist?"),
    ],
)
def test_evaluate_refuses_in_a_sentence(place, line, words):
    assert words in refused(evaluation_request, line.split())


LINES = (
    "--model aae-joint --prior gamma --prior-scale 2 --prior-shape 3 --z-dim 4 "
    "--recipe guide --dataset sample --image-size 8 9 --steps 7 --batch-size 8 "
    "--hidden 3 4 5 --seed 6 --initializer lecun --schedule cosine "
    "--reconstruction-rate 0.1 --discriminator-rate 0.2 "
    "--reconstruction-beta1 0.4 --discriminator-beta1 0.5 "
    "--reconstruction-epsilon 0.01 --discriminator-epsilon 0.02 "
    "--reconstruction-final 0.04 --discriminator-final 0.05 "
    "--reconstruction-weight 7 --reconstruction-weight-final 0.07 "
    "--instance-noise 0.08 --instance-noise-final 0.9 --gradient-penalty 0.8 "
    "--input-noise 0.9 --shift 2 --encoder gaussian --batch-norm True "
    "--standardize-codes False --run-dir new --data-dir data --memory-limit 0.5 "
    "--devices 4 --no-figures --quiet",
    "--model dim-reduction --labels 50 --n-classes 4 --head-distance 3 "
    "--generator-rate 0.1 --generator-beta1 0.2 --generator-epsilon 0.3 "
    "--generator-final 0.4 --consistency-weight 2 --consistency-radius 1.5 "
    "--consistency-probe 9 "
    "--aggregated-categories True --entropy-weight 0.5 "
    "--label-generator-rate 0.5 --label-generator-beta1 0.6 "
    "--label-generator-epsilon 0.7 --label-generator-final 0.8 "
    "--classification-rate 0.1 --classification-beta1 0.2 "
    "--classification-epsilon 0.3 --classification-final 0.4",
    "--model clustering --clusters 7 --epochs 3",
    "--optimizer sgd",
    "--z_dim=3 --network conv",
)


def test_every_flag_of_train_reaches_its_field(place):
    # Of runs that there are already.
    seen = {"resume", "accept_changed_data", "init_from"}
    for line in LINES:
        request = training_request(line.split())
        values = dataclasses.asdict(request.config)
        values |= dataclasses.asdict(request.options)
        for flag in line.removeprefix("--").split(" --"):
            name, *words = flag.replace("=", " ").split()
            name = name.replace("-", "_")
            value = values[name]
            shown = value if isinstance(value, tuple) else (value,)
            assert [str(each).removesuffix(".0") for each in shown] == (
                words or ["True"]
            )
            seen.add(name)
    assert seen == values.keys()


def test_every_flag_of_evaluate_reaches_its_field(place):
    folder = make_run(place / "runs" / "one").path
    line = "--run-dir runs/one --split validation --dataset sample --data-dir data"
    pictures = pictures_of(Config())
    options = evaluation_request(
        [*line.split(), *(f"--{name}" for name in pictures), "--metrics"]
    )
    assert options.pictures == pictures
    assert (options.metrics, options.split) == (True, "validation")
    assert (options.dataset, options.data_dir) == ("sample", Path("data"))
    options = evaluation_request(["--sample", "5", "--seed", "6", "--out", "x.npz"])
    assert (options.sample, options.seed, options.out) == (5, 6, Path("x.npz"))
    assert options.run_dir == folder.relative_to(place)  # the newest
    options = evaluation_request(["--encode=train", "--out=x.npz", "--memory-limit=3"])
    assert (options.encode, options.memory_limit) == ("train", 3)
    options = evaluation_request(["--parzen=50", "--seed=3"])
    assert (options.parzen, options.seed) == (50, 3)
    options = evaluation_request(["--decode", "codes.npz", "--out", "x.npz"])
    assert options.decode == Path("codes.npz")
    options = evaluation_request([])
    assert (options.pictures, options.metrics) == ((), False)
    evaluation_request(["--grid", "--out", "pictures"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--labels 5", "out of supervised, label-prior, semi-supervised"),
        ("--labels 5 --model clustering", "--labels does nothing"),
        ("--n-classes 5 --model aae-joint", "--n-classes does nothing"),
        ("--clusters 5", "add --model clustering, or dim-reduction with --labels 0"),
        ("--clusters 5 --model dim-reduction", "--clusters does nothing"),
        ("--model clustering --clusters 1", "from 2 to"),
        ("--model semi-supervised --labels few", "a whole number or all, got 'few'"),
        ("--model semi-supervised --labels 0", "use --model clustering"),
        ("--model label-prior", "use --prior mixture or swiss-roll"),
        ("--encoder gausian", "did you mean gaussian?"),
        ("--classification-rate 0.1", "out of semi-supervised, dim-reduction"),
        (
            "--model dim-reduction --labels 0 --classification-rate 0.1",
            "--classification-rate does nothing with --model dim-reduction --labels 0",
        ),
        ("--labels 0", "--labels does nothing with --model aae;"),
        ("--labels 0 --model clustering", "--labels does nothing with --model clust"),
        (
            "--model clustering --consistency-weight 0 --consistency-radius 3",
            "--consistency-radius does nothing while consistency_weight is 0",
        ),
        ("--instance-noise-final 1 --instance-noise 0", "give --instance-noise a num"),
    ],
)
def test_flags_about_classes_that_do_not_fit_are_refused(line, words):
    with pytest.raises(UserError, match=re.escape(words)):
        training_request(line.split())


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, {"styles", "heads", "manifold"}),
        ({"model": "supervised"}, {"grid", "heads", "manifold"}),
        ({"model": "clustering"}, {"grid", "manifold"}),
        ({"model": "dim-reduction"}, {"styles", "manifold"}),
        ({"model": "dim-reduction", "labels": 0}, {"styles", "manifold"}),
        ({"model": "label-prior", "prior": "mixture"}, {"styles", "heads"}),
    ],
)
def test_a_picture_that_a_model_does_not_have_is_refused(place, settings, missing):
    make_run(place / "run", config=Config(**settings))
    has = pictures_of(Config(**settings))
    for name in PICTURE_NAMES:
        line = ["--run-dir", "run", f"--{name}"]
        if name not in missing:
            assert evaluation_request(line).pictures == (name,)
            continue
        with pytest.raises(UserError, match=f"has no --{name}; it has --{has[0]}, "):
            evaluation_request(line)


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_help_names_every_flag(run_script, tmp_path, script):
    ended = run_script(script, "--help", cwd=tmp_path)
    assert (ended.status, ended.stderr) == (0, "")
    kinds = (Config, RunOptions) if script == "train.py" else (EvaluationOptions,)
    for field in (each for kind in kinds for each in dataclasses.fields(kind)):
        assert f"--{field.name.replace('_', '-')} " in ended.stdout
    assert "{None}" not in ended.stdout


REFUSALS = {
    "train.py": ["--prior gausian", "--stesp 5", "--run-dir .", "--dataset mnits"],
    "evaluate.py": ["--grd", "", "--run-dir .", "--sample 3"],
}


@pytest.mark.parametrize("script", REFUSALS)
def test_a_refusal_is_a_line_without_jax_and_leaves_nothing(
    run_script, tmp_path, script
):
    (tmp_path / "kept.txt").touch()
    before = listing(tmp_path)
    for line in REFUSALS[script]:
        ended = run_script(
            script, *line.split(), cwd=tmp_path, python=("-X", "importtime")
        )
        *imports, sentence = ended.stderr.splitlines()
        assert (ended.status, ended.stdout) == (2, "")
        assert sentence.startswith(f"{script}: ")
        assert all(each.startswith("import time:") for each in imports)
        names = {each.rpartition("|")[2].strip() for each in imports}
        assert "aae_jax.failures" in names
        assert not names & {"jax", "matplotlib", "tensorflow_datasets", "orbax"}
        assert listing(tmp_path) == before


@pytest.mark.parametrize("script", REFUSALS)
def test_without_the_packages_it_says_how_to_get_them(run_script, tmp_path, script):
    ended = run_script(script, cwd=tmp_path, python=("-S",))
    assert (ended.status, ended.stdout) == (2, "")
    (sentence,) = ended.stderr.splitlines()
    told = rf"{script}: the package \w+ is not installed; type 'make setup', then 's"
    assert re.match(told, sentence)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (None, 0, ""),
        (UserError("this,\n   not that"), 2, "x.py: this, not that\n"),
        (UserError("\x1b[2J"), 2, "x.py: ?[2J\n"),
        (RunError("the disk is full"), 1, "x.py: the disk is full\n"),
        (Interrupted(2, "saved"), 130, "x.py: saved\n"),
        (Interrupted(15, "saved"), 143, "x.py: saved\n"),
        (KeyboardInterrupt(), 130, "x.py: stopped; what was saved before is intact\n"),
        (OSError(28, "No space left"), 1, "x.py: [Errno 28] No space left\n"),
        (MemoryError(), 1, "x.py: the memory is full; try a smaller network\n"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), 1, "x.py: the memory is full;"),
        (ModuleNotFoundError(name="rich"), 2, "the package rich is not installed"),
        (ZeroDivisionError("of 3"), 1, "ZeroDivisionError: of 3\nx.py: this is a mis"),
    ],
)
def test_how_an_error_is_told(capsys, error, status, words):
    def main():
        if error is not None:
            raise error

    assert exit_status(main, script="x.py") == status
    stdout, stderr = capsys.readouterr()
    assert words in stderr
    assert (stdout, stderr == "") == ("", error is None)


def resume(line):
    return training_request(f"--resume {line}".split())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--prior uniform", "prior is 'normal' in the run and 'uniform' now"),
        ("--batch-size 100", "batch_size is 50 in the run and 100 now"),  # a default
        ("--hidden 16", "hidden is (16, 16) in the run and (16,) now"),
        ("--epochs 2", "steps is 540 in the run and 360 now"),
        ("--steps 500 --seed 3", "seed is 0 in the run and 3 now"),
        ("--dataset mnits", "did you mean mnist?"),
    ],
)
def test_resume_refuses_another_config_and_tells_the_difference(place, line, words):
    make_run(place / "run")
    sentence = refused(
        training_request, ["--resume", "--run-dir", "run", *line.split()]
    )
    assert words in sentence


def test_resume_takes_the_config_from_the_run(place):
    folder = make_run(place / "run")
    same = "--hidden 16 16 --epochs 3 --batch-size 50 --prior normal --dataset sample"
    for line in ("", same):
        request = resume(f"--run-dir run {line}")
        assert request.config == CONFIG
        assert request.finished is None
        assert request.options.run_dir == Path("run")
    folder.metrics_file.write_text("{}")
    assert resume("--run-dir run").finished is None  # its checkpoints are lost
    with pytest.raises(UserError, match="steps is 540"):
        resume("--run-dir run --steps 9")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"model": "aae-joint"}, "--reconstruction-weight 100"),
        ({"prior": "gamma", "prior_shape": 3.0}, "--prior-shape 3"),
        ({"schedule": "cosine", "generator_final": 1.0}, "--generator-final 1"),
    ],
)
def test_resume_takes_flags_that_only_the_run_s_config_reads(place, changes, line):
    if "model" in changes:
        changes = changes | {"reconstruction_weight": 100.0}
    config = dataclasses.replace(CONFIG, **changes)
    make_run(place / "run", config=config)
    assert resume(f"--run-dir run {line}").config == config


def test_resume_without_a_folder_takes_the_newest_run(place):
    make_run(place / "runs" / "b", config=dataclasses.replace(CONFIG, seed=1))
    make_run(place / "runs" / "a", config=dataclasses.replace(CONFIG, seed=2))
    request = resume("")
    assert (request.options.run_dir, request.config.seed) == (Path("runs/a"), 2)


def test_resume_begins_where_nothing_was_begun(place):
    for name in ("absent", "empty", "killed"):
        if name != "absent":
            (place / name).mkdir()
        if name == "killed":
            (place / name / ".lock").touch()
        request = resume(f"--run-dir {name} --prior gamma --dataset sample")
        assert request.config == Config(prior="gamma", dataset="sample")
        assert request.options == RunOptions(run_dir=Path(name), resume=True)
    assert not (place / "absent").exists()


def test_data_that_moved_are_named_with_dataset(place):
    gone = dataclasses.replace(CONFIG, dataset=str(place / "gone.npz"))
    make_run(place / "run", config=gone)
    with pytest.raises(UserError, match=r"gone\.npz' does not exist"):
        resume("--run-dir run")
    np.savez(place / "here.npz", x=np.zeros((60, 8, 8)))
    assert resume("--run-dir run --dataset here.npz").config.dataset == "here.npz"


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"config": dataclasses.replace(CONFIG, prior="custom")}, "prior=..."),
        ({"phases": ("own",)}, "phases=..."),
    ],
)
def test_a_run_made_in_python_is_gone_on_with_in_python(place, changes, argument):
    make_run(place / "run", **changes)
    for request in (training_request, evaluation_request):
        line = ["--run-dir", "run", *(["--resume"] * (request is training_request))]
        assert f"{argument})" in refused(request, line)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a":' * 9999, '{"a": NaN}'])
def test_a_hostile_config_is_refused_by_both_scripts(place, text):
    folder = make_run(place / "run")
    folder.config_file.write_text(text)
    assert "config.json" in refused(training_request, ["--resume", "--run-dir", "run"])
    assert "config.json" in refused(evaluation_request, ["--run-dir", "run"])


def test_text_from_a_config_cannot_drive_the_terminal(place, capsys):
    folder = make_run(place / "run")
    stored = json.loads(folder.config_file.read_text())
    stored["config"]["prior"] = "\x1b[2J\nnormal"
    folder.config_file.write_text(json.dumps(stored))
    status = exit_status(lambda: evaluation_request(["--run-dir", "run"]), script="x")
    assert status == 2
    assert capsys.readouterr().err.rstrip("\n").isprintable()


def test_the_scripts_can_be_read_in_a_minute():
    for script in REFUSALS:
        source = (ROOT / script).read_text()
        assert len(source.splitlines()) < 45
        head = source.partition("def main")[0]
        assert "import sys\n" in head
        assert "jax" not in head
