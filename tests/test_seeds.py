"""Several seeds in one program: each trains as it would alone."""

import dataclasses
import json
import shutil
import signal
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripts import TINY, listing, wait, wait_until

from aae_jax.checkpoint import checkpoint_steps
from aae_jax.cli import training_request
from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.feeds import MemoryFeed, TrainingData
from aae_jax.fitting import fit_seeds
from aae_jax.loop import init_loop, make_loop
from aae_jax.options import RunOptions
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder, newest_run
from aae_jax.together import together
from aae_jax.training import make_step

pytest_plugins = ["script_fixtures"]

SHAPE, SEEDS = (8, 8, 1), (3, 4, 8)


def test_ten_steps_together_are_ten_steps_alone(tiny_config, tiny_dataset):
    config = dataclasses.replace(
        tiny_config, n_classes=4, model="semi-supervised", labels=20
    )
    step = make_step(config)
    loop = make_loop(config, step)
    x = jnp.asarray(tiny_dataset.x_train)
    rng = np.random.default_rng(0)
    data = [  # each seed has labelled images of its own
        TrainingData(
            x,
            jnp.asarray(tiny_dataset.y_train),
            jnp.asarray(rng.permutation(len(x))[:20], jnp.int32),
        )
        for _ in SEEDS
    ]

    def begin(seed):
        return init_loop(config, jax.random.key(seed), step=step, image_shape=SHAPE)

    windows = tuple(
        MemoryFeed(config, each, jax.random.key(seed)).window(0)
        for seed, each in zip(SEEDS, data, strict=True)
    )
    ended = together(loop)(tuple(map(begin, SEEDS)), windows, np.int32(10))
    for seed, window, carry in zip(SEEDS, windows, ended, strict=True):
        alone = loop(begin(seed), window, np.int32(10))
        assert int(carry.state.step) == int(alone.state.step) == 10
        for a, b in zip(
            jax.tree.leaves((carry.state.weights, carry.sums)),
            jax.tree.leaves((alone.state.weights, alone.sums)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def trained(run_script, data_file, tmp_path_factory):
    """Seeds 4 and 5 in one command, never stopped; and how it ended."""
    place = tmp_path_factory.mktemp("seeds")
    flags = ("--dataset", data_file, *TINY, "--run-dir", "both", "--no-figures")
    ended = run_script("train.py", *flags, "--seed", 4, "--seeds", 2, cwd=place)
    assert ended.status == 0, ended.stderr
    return place / "both", ended


def test_each_seed_has_a_run_of_its_own(trained):
    place, ended = trained
    assert {path.name for path in place.iterdir()} == {"seed4", "seed5", "summary.json"}
    runs = [Run.load(place / name) for name in ("seed4", "seed5")]
    assert [run.record.config.seed for run in runs] == [4, 5]
    first, second = (RunFolder(run.folder.path).read_log() for run in runs)
    assert [line["step"] for line in first] == [line["step"] for line in second]
    assert first[-1]["losses"] != second[-1]["losses"]
    assert newest_run(place.parent) in [run.folder for run in runs]
    assert ended.stdout.startswith("2 seeds trained for 906 steps in ")


def test_the_summary_has_means_and_deviations(trained):
    place, _ = trained
    summary = json.loads((place / "summary.json").read_text())
    assert summary["seeds"] == [4, 5]
    ratios = [
        json.loads((place / name / "metrics.json").read_text())["latent"]["ratio"]
        for name in ("seed4", "seed5")
    ]
    assert summary["mean"]["latent/ratio"] == statistics.mean(ratios)
    assert summary["sd"]["latent/ratio"] == statistics.stdev(ratios)


def test_stopped_and_resumed_they_end_with_the_same_bits(
    trained, start_script, run_script, data_file, tmp_path
):
    straight, _ = trained
    flags = ("--dataset", data_file, *TINY, "--run-dir", "both", "--no-figures")
    several = ("--seed", 4, "--seeds", 2)
    process = start_script("train.py", *flags, *several, cwd=tmp_path)
    place = tmp_path / "both"
    wait_until((place / "seed5" / "metrics.jsonl").exists, process)
    process.send_signal(signal.SIGTERM)
    ended = wait(process)
    assert ended.status == 128 + signal.SIGTERM
    assert "--resume --run-dir both --seeds 2 --seed 4 --no-figures'" in ended.stderr
    (stopped,) = checkpoint_steps(place / "seed4" / "checkpoints")
    resume = ("--resume", "--run-dir", "both", "--no-figures", *several)
    process = start_script("train.py", *resume, cwd=tmp_path)
    log = RunFolder(place / "seed5").log_file
    lines = len(log.read_text().splitlines())
    wait_until(lambda: len(log.read_text().splitlines()) > lines, process)
    process.send_signal(signal.SIGTERM)
    assert wait(process).status == 128 + signal.SIGTERM
    # As if it had been killed between the two saves.
    newest, *_ = checkpoint_steps(place / "seed4" / "checkpoints")
    assert newest > stopped
    shutil.rmtree(place / "seed5" / "checkpoints" / f"{newest:08d}")
    ended = run_script("train.py", *resume, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert f"going on from step {stopped} of 906" in ended.stderr
    for name in ("seed4", "seed5"):
        log, expected = (
            [
                {key: line[key] for key in ("step", "losses", "validation")}
                for line in RunFolder(folder / name).read_log()
            ]
            for folder in (place, straight)
        )
        assert log == expected
    again = run_script("train.py", *resume, cwd=tmp_path)
    assert again.stdout == "both is finished; nothing is left to do\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--seeds 0", "seeds=0 is out of range; give --seeds a value from 1 to 1000"),
        ("--seeds 3 --seed 4294967294", "--seeds a value from 1 to 2"),
        ("--seeds 2 --resume", "name it with --run-dir"),
        ("--seeds 2 --run-dir taken", "taken/seed1 holds no run"),
    ],
)
def test_seeds_are_refused_before_anything_is_made(tmp_path, monkeypatch, line, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken" / "seed1").mkdir(parents=True)
    (tmp_path / "taken" / "seed1" / "thesis.txt").touch()
    before = listing(tmp_path)
    with pytest.raises(UserError) as refusal:
        training_request(line.split())
    assert words in str(refusal.value)
    assert listing(tmp_path) == before


def test_a_later_seed_s_folder_that_is_taken_leaves_the_first_unmade(
    tiny_config, tiny_dataset, tmp_path
):
    (tmp_path / "seed1").mkdir()
    (tmp_path / "seed1" / "thesis.txt").touch()
    with pytest.raises(UserError, match="seed1 holds no run"):
        fit_seeds(
            tiny_config,
            2,
            dataset=tiny_dataset,
            options=RunOptions(run_dir=tmp_path, quiet=True),
        )
    assert not (tmp_path / "seed0").exists()


def test_seeds_are_a_flag_and_no_part_of_the_config():
    request = training_request(["--seeds", "3", "--seed", "7", "--run-dir", "all"])
    assert (request.n_seeds, request.config.seed) == (3, 7)
    assert [str(folder) for folder in request.folders.values()] == [
        "all/seed7",
        "all/seed8",
        "all/seed9",
    ]
    assert "seeds" not in {field.name for field in dataclasses.fields(Config)}


def test_seeds_without_a_common_step_lose_nothing(
    trained, call_script, data_file, tmp_path
):
    """A third seed beside two that have ended: they are not trained anew."""
    place = shutil.copytree(trained[0], tmp_path / "both")
    (place / "seed4" / ".lock").unlink()  # it names who holds it
    before = listing(place / "seed4")
    flags = ("--dataset", data_file, *TINY, "--run-dir", place, "--no-figures")
    several = ("--resume", "--seed", 4, "--seeds", 3)
    ended = call_script("train.py", *flags, *several)
    assert (ended.status, ended.stdout) == (2, "")
    assert "seed4 at step 906, seed5 at step 906, seed6 nowhere" in ended.stderr
    assert not (place / "seed6" / "config.json").exists()
    for script, *flags in (("train.py", "--dataset", data_file), ("evaluate.py",)):
        ended = call_script(script, *flags, "--run-dir", place)
        assert (ended.status, ended.stdout) == (2, "")
        assert f"{place} holds the runs of seeds 4, 5; " in ended.stderr
    (place / "seed4" / ".lock").unlink()
    assert listing(place / "seed4") == before


def test_seeds_begin_with_the_weights_of_one_run(
    trained, call_script, data_file, tmp_path
):
    place, _ = trained
    flags = ("--dataset", data_file, *TINY[:-1], 9, "--run-dir", tmp_path / "again")
    begin = ("--no-figures", "--seeds", 2, "--init-from", place / "seed5")
    ended = call_script("train.py", *flags, *begin)
    assert ended.status == 0, ended.stderr
    weights = [
        jax.tree.leaves(Run.load(tmp_path / "again" / name).params)
        for name in ("seed0", "seed1")
    ]
    first = jax.tree.leaves(Run.load(place / "seed5").params)
    for mine, other, began in zip(*weights, first, strict=True):
        np.testing.assert_allclose(mine, began, rtol=0, atol=0.05)
        assert not np.array_equal(mine, other)


def test_a_run_cannot_hold_the_runs_of_seeds(trained, call_script, data_file):
    place = trained[0] / "seed4"
    flags = ("--dataset", data_file, *TINY, "--run-dir", place, "--resume")
    ended = call_script("train.py", *flags, "--seed", 4, "--seeds", 2)
    assert (ended.status, ended.stdout) == (2, "")
    assert f"{place} is a run itself; give --seeds a --run-dir" in ended.stderr
    assert not (place / "seed4").exists()


def test_a_summary_that_was_not_written_any_more_is_written_later(
    trained, call_script, tmp_path
):
    place = shutil.copytree(trained[0], tmp_path / "both")
    summary = (place / "summary.json").read_bytes()
    (place / "summary.json").unlink()
    resume = ("--resume", "--run-dir", place, "--no-figures", "--seed", 4)
    ended = call_script("train.py", *resume, "--seeds", 2)
    assert ended.status == 0, ended.stderr
    assert (place / "summary.json").read_bytes() == summary
