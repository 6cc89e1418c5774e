"""The rows of the paper's table: what they train, and what the table says of them."""

import json
from dataclasses import replace

import numpy as np
import paper
import pytest
import tables
from rows import ROW_OF, fingerprint
from tasks import ROWS, TASKS

from aae_jax import Dataset
from aae_jax.cli import training_request
from aae_jax.recipes import OPTIMIZERS


def config_of(row):
    return training_request(row.argv(0)).config


@pytest.mark.parametrize(
    "row", [*ROWS.values(), *ROW_OF.values()], ids=lambda row: row.name
)
def test_every_row_is_one_that_train_py_takes(row):
    assert config_of(row).total_steps(54_000) > 0


def test_the_plain_network_learns_from_labels_alone():
    hyper = config_of(ROWS["plain-1000"]).hyperparameters
    moving = {each for each in OPTIMIZERS if getattr(hyper, f"{each}_rate")}
    assert moving == {"classification"}


def test_rows_with_shifts_differ_in_nothing_else():
    plain_of = {
        name: name.removesuffix("-shift")
        for name in ROWS
        if name.endswith("-shift") and not name.startswith("gain-")
    }
    assert len(plain_of) == 3
    for shifted, plain in plain_of.items():
        config = config_of(ROWS[plain])
        assert config.hyperparameters.shift == 0
        pixels = config_of(ROWS[shifted]).hyperparameters.shift
        assert pixels > 0
        assert config_of(ROWS[shifted]) == replace(config, shift=pixels)


def measured(**values):
    entry = {"command": "python train.py", "epochs": 20.0, "seconds": 600.0}
    entry["environment"] = {"device": "cpu", "together": 1}
    return entry | values


def test_a_target_is_reached_when_the_worst_seed_reaches_it():
    task = next(task for task in TASKS if task.row.name == "semi-supervised-1000")
    for worst, reached in ((0.0251, "yes"), (0.0261, "no")):
        seeds = {"0": measured(test_error=0.02), "1": measured(test_error=worst)}
        line = tables._line(task, seeds)
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        mean = f"{50 * (0.02 + worst):.2f} %"
        assert cells[4].startswith(f"{mean} +- ")
        assert cells[5:10] == [f"{100 * worst:.2f} %", "2.60 %", reached, "2", "20"]


def test_a_row_without_its_number_is_not_in_the_table():
    results = {"supervised": {"0": measured(knn_accuracy=0.2, mse_share=0.3)}}
    table = tables.table(results)
    assert "class told from style" in table
    assert "read as their class" not in table  # no judge yet
    assert tables.table({}) == "Not trained yet.\n"


def test_the_readme_shows_the_means_that_there_are():
    results = {
        "semi-supervised-100": {
            "0": measured(test_error=0.02, read_as_class=0.9),
            "1": measured(test_error=0.03, read_as_class=0.9),
        },
        "semi-supervised-100-shift": {"0": measured(test_error=0.01)},
    }
    lines = tables.summary(results).splitlines()
    (line,) = (line for line in lines if "error with 100 labels" in line)
    assert line.endswith("| 1.90 +- 0.10 (q) | 2.50 % +- 0.71 % (2) | 1.00 % (1) |")
    (line,) = (line for line in lines if "1,000" in line and "plane" not in line)
    assert line.endswith("| - | - |")


def test_a_decoder_of_labels_alone_decodes_the_mean_of_a_class():
    black, grey, white = (np.full((2, 2), value, np.uint8) for value in (0, 102, 255))
    x, y = np.stack([black, white, grey, grey]), np.array([0, 0, 1, 1])
    images = Dataset.from_arrays(x, y, x_test=np.stack([white, grey]), y_test=[0, 1])
    # The mean of black and white is half-way to white, and a grey is met exactly.
    assert paper.error_of_label_alone(images) == pytest.approx(0.5**2 / 2)


def test_numbers_go_when_their_row_is_trained_otherwise_today(tmp_path, monkeypatch):
    row = ROWS["supervised"]
    entries = {
        str(seed): measured(
            command=paper._command(row, seed), recipe=fingerprint(row, seed)
        )
        for seed in range(3)
    }
    entries["1"]["command"] += " --z-dim 5"
    entries["2"]["recipe"] = fingerprint(ROWS["semi-supervised-100"], 2)
    monkeypatch.setattr(paper, "RESULTS", tmp_path / "results.json")
    paper.RESULTS.write_text(json.dumps({"supervised": {"cpu": entries}}))
    kept = {"supervised": {"cpu": {"0": entries["0"]}}}
    assert paper.collect(tmp_path / "no_runs", data="unused") == kept
    assert json.loads(paper.RESULTS.read_text()) == kept


def test_each_row_shows_the_device_of_most_seeds_and_the_others_beside():
    one = {"0": measured(test_error=0.02)}
    gpu = {"device": "H", "together": 2}
    two = {
        seed: measured(test_error=0.03, environment=gpu, seconds=60.0)
        for seed in ("0", "1")
    }
    results = {"semi-supervised-100": {"cpu": one, "H": two}}
    assert tables.of_most_seeds(results) == {"semi-supervised-100": two}
    lines = tables.elsewhere(results).splitlines()[2:]
    assert lines == [
        "| `semi-supervised-100` | cpu | test_error | 2.00 % | 1 | 10.0 |",
        "| `semi-supervised-100` | H | test_error | 3.00 % | 2 | 0.5 |",
    ]
    assert tables.elsewhere({"semi-supervised-100": {"H": two}}) == ""
