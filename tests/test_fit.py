"""fit from Python: own data, own prior, own phases, other weights, NaN."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint_states import leaf_bytes

from aae_jax.checkpoint import checkpoint_steps
from aae_jax.config import Config
from aae_jax.data import Dataset
from aae_jax.errors import RunError, UserError
from aae_jax.fitting import fit
from aae_jax.options import RunOptions
from aae_jax.phases import Phase
from aae_jax.priors import Prior
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder
from aae_jax.run_start import load_data, settle
from aae_jax.training import init
from aae_jax.variants import VARIANTS

pytest_plugins = ["script_fixtures"]

RING = Prior(
    "ring",
    lambda key, n, labels=None: (
        4 * (z := jax.random.normal(key, (n, 2))) / jnp.linalg.norm(z, axis=1)[:, None]
    ),
    mean=np.zeros(2, np.float32),
    std=np.full(2, 8**0.5, np.float32),
)


def quiet(path, **options):
    return RunOptions(run_dir=path, quiet=True, no_figures=True, **options)


def say_nothing(line):
    raise AssertionError(f"unexpected: {line}")


def poisoned(at):
    """The phases of `aae`, the reconstruction's loss NaN at one step."""
    first, *others = VARIANTS["aae"]

    def loss(params, batch, key, model):
        # Only the step's key tells the step: compare with that of the step `at`.
        bad = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), at), 0)
        same = (jax.random.key_data(bad) == jax.random.key_data(key)).all()
        value, terms = first.loss(params, batch, key, model)
        return value * jnp.where(same, jnp.nan, 1.0), terms

    return (dataclasses.replace(first, loss=loss), *others)


def phases_with(term):
    """The phases of `aae`, one of which logs what cannot be logged."""
    first, *others = VARIANTS["aae"]

    def loss(params, batch, key, model):
        value, _ = first.loss(params, batch, key, model)
        if isinstance(term, str):
            return value, {term: value}
        return value, term if term is None else {"term": term}

    return (dataclasses.replace(first, loss=loss), *others)


def labels_loss(params, batch, key, model):
    """Moves nothing, and logs the mean label of the batch."""
    nothing = 0 * params["encoder"]["Dense_2"]["bias"].sum()
    return nothing, {"label": batch.y.astype(jnp.float32).mean()}


@pytest.fixture(scope="module")
def own(tiny_dataset):
    """Arguments of `fit`: data, a prior and phases of one's own."""
    phases = tuple(dataclasses.replace(p, name=f"my_{p.name}") for p in VARIANTS["aae"])
    phases += (Phase("my_labels", labels_loss, ("encoder",), "generator"),)
    return {"dataset": tiny_dataset, "prior": RING, "phases": phases}


@pytest.fixture(scope="module")
def own_run(own, tiny_config, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "new folder" / "run"
    return fit(tiny_config, **own, options=quiet(path), say=say_nothing)


def test_own_data_prior_and_phases_make_a_run_that_python_reopens(own, own_run):
    path, phases = own_run.folder.path, own["phases"]
    record = own_run.folder.read_record()
    assert (record.config.prior, record.config.dataset) == ("custom", "tiny")
    assert record.phases == tuple(phase.name for phase in phases)
    log = own_run.folder.read_log()
    assert set(log[-1]["gradient_norms"]) == set(record.phases)
    # The four classes are as frequent as each other.
    assert log[0]["losses"]["label"] == pytest.approx(1.5, abs=0.1)
    radii = np.linalg.norm(own_run.sample_codes(50), axis=1)
    np.testing.assert_allclose(radii, 4, rtol=1e-5)

    again = Run.load(path, prior=RING, phases=phases)
    assert leaf_bytes(again.params) == leaf_bytes(own_run.params)
    assert again.metrics() == own_run.metrics()
    with pytest.raises(UserError, match=r"phases of its own \(my_reconstruction, my_"):
        Run.load(path, prior=RING)
    with pytest.raises(UserError, match=r"Run\.load\(path, prior=\.\.\.\)"):
        Run.load(path, phases=phases)


def test_weights_of_a_run_with_its_own_prior_and_phases_begin_another(
    own, own_run, tiny_config, tmp_path, capfd
):
    options = quiet(tmp_path / "next", init_from=own_run.folder.path)
    fit(tiny_config, **own, options=options, say=say_nothing)
    assert capfd.readouterr() == ("", "")  # it was to be quiet
    with pytest.raises(UserError, match="phases of its own"):
        fit(tiny_config, **(own | {"phases": None}), options=options)


def test_going_on_takes_the_same_prior_phases_data_and_config(
    own, own_run, tiny_config, tiny_dataset
):
    path = own_run.folder.path
    options = quiet(path, resume=True)
    before = own_run.folder.metrics_file.read_bytes()
    same = fit(tiny_config, **own, options=options, say=say_nothing)
    assert leaf_bytes(same.params) == leaf_bytes(own_run.params)
    assert own_run.folder.metrics_file.read_bytes() == before
    other = dataclasses.replace(
        tiny_dataset, x_train=tiny_dataset.x_train[::-1].copy(), class_names=None
    )
    for change, words in (
        ({"phases": None}, "give the same phases"),
        ({"prior": None}, "prior is 'custom' in the run and 'normal' now"),
        ({"dataset": other}, "not those that"),
        ({"dataset": tiny_dataset.x_train}, "is a ndarray; give Dataset.from_arrays"),
    ):
        with pytest.raises(UserError, match=words):
            fit(tiny_config, **(own | change), options=options)
    with pytest.raises(UserError, match="steps is 60 in the run and 61 now"):
        fit(dataclasses.replace(tiny_config, steps=61), **own, options=options)
    with pytest.raises(UserError, match="never overwritten"):
        fit(tiny_config, **own, options=quiet(path))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_phase(
    tiny_config, tiny_dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("aae_jax.host_loop.SECONDS_BETWEEN_SAVES", 0)
    folder = RunFolder(tmp_path / "run")
    arguments = {"dataset": tiny_dataset, "phases": poisoned(at=40)}
    words = (
        r"gradient of the reconstruction phase became NaN or infinite at step 40, "
        r"between steps 36 and 54; .* newest checkpoint is that of step 36 in "
    )
    with pytest.raises(RunError, match=words):
        fit(tiny_config, **arguments, options=quiet(folder.path))
    assert checkpoint_steps(folder.checkpoints) == [36, 18, 5]
    text = folder.log_file.read_text()
    assert "NaN" not in text
    assert [json.loads(line)["step"] for line in text.splitlines()] == [18, 36]
    assert not folder.metrics_file.exists()
    assert Run.load(folder.path, phases=poisoned(at=40)).step == 36
    with pytest.raises(RunError, match="at step 40"):  # going on meets it again
        fit(tiny_config, **arguments, options=quiet(folder.path, resume=True))
    assert checkpoint_steps(folder.checkpoints)[0] < 40


def test_codes_that_are_not_finite_stop_the_run_too(
    tiny_config, tiny_dataset, tmp_path
):
    """Parameters may be finite that make numbers which are not."""
    config = dataclasses.replace(
        tiny_config,
        model="autoencoder",
        hidden=(64,) * 14,
        batch_size=360,
        reconstruction_rate=10.0,
    )
    with pytest.raises(RunError, match="became NaN or infinite between steps"):
        fit(config, dataset=tiny_dataset, options=quiet(tmp_path / "run"))


def test_places_are_strings_too_and_home_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = RunOptions(run_dir="~/run", data_dir="data", init_from=tmp_path)
    assert options.run_dir == tmp_path / "run"
    assert options.data_dir == Path("data")
    assert options.init_from == tmp_path


def test_a_command_that_goes_on_has_the_flags_that_no_run_keeps():
    assert RunOptions(run_dir="run", quiet=True).flags_to_go_on == ()
    options = RunOptions(data_dir="d", memory_limit=0.05, devices=4, no_figures=True)
    flags = "--data-dir d --memory-limit 0.05 --devices 4 --no-figures"
    assert options.flags_to_go_on == tuple(flags.split())


def test_a_run_starts_from_the_weights_of_another(tiny_config, tiny_dataset, tmp_path):
    config = dataclasses.replace(tiny_config, model="autoencoder")
    first = fit(config, dataset=tiny_dataset, options=quiet(tmp_path / "first"))
    fresh = init(
        settle(config, tiny_dataset, RunOptions()),
        jax.random.key(0),
        image_shape=(8, 8, 1),
    )
    assert leaf_bytes(fresh.params) != leaf_bytes(first.params)

    options = quiet(tmp_path / "second", init_from=tmp_path / "first")
    second = fit(config, dataset=tiny_dataset, options=options)
    assert leaf_bytes(second.params) != leaf_bytes(first.params)
    assert checkpoint_steps(second.folder.checkpoints) == [60, 0]
    shutil.rmtree(second.folder.checkpoints / "00000060")
    assert leaf_bytes(Run.load(second.folder.path).params) == leaf_bytes(first.params)

    # It goes on from what it has saved, wherever the other run is now.
    second.folder.metrics_file.unlink()
    resumed = quiet(tmp_path / "second", resume=True)
    (tmp_path / "first").rename(tmp_path / "moved")
    again = fit(config, dataset=tiny_dataset, options=resumed)
    assert leaf_bytes(again.params) == leaf_bytes(second.params)
    (tmp_path / "moved").rename(tmp_path / "first")

    # Killed before it had saved anything: it never begins with random weights.
    shutil.rmtree(second.folder.checkpoints)
    second.folder.metrics_file.unlink()
    with pytest.raises(UserError, match=r"add --init-from .*first"):
        fit(config, dataset=tiny_dataset, options=resumed)
    third_from = tmp_path / "third"
    wrong = dataclasses.replace(options, resume=True, init_from=third_from)
    shutil.copytree(tmp_path / "first", third_from)
    with pytest.raises(UserError, match=r"began with .*first, got --init-from .*third"):
        fit(config, dataset=tiny_dataset, options=wrong)
    shutil.rmtree(third_from)
    given = dataclasses.replace(wrong, init_from=tmp_path / "first")
    again = fit(config, dataset=tiny_dataset, options=given)
    assert leaf_bytes(again.params) == leaf_bytes(second.params)

    other = dataclasses.replace(config, hidden=(16, 8))
    options = quiet(tmp_path / "third", init_from=tmp_path / "first")
    with pytest.raises(UserError, match=r"of .* is missing or has another shape"):
        fit(other, dataset=tiny_dataset, options=options)
    with pytest.raises(UserError, match=r"the discriminator of .* is missing"):
        fit(tiny_config, dataset=tiny_dataset, options=options)
    assert not (tmp_path / "third").exists()


def test_what_does_not_fit_the_data_is_refused_and_nothing_is_written(
    tiny_config, tiny_dataset, tmp_path
):
    few = Dataset("few", tiny_dataset.x_train[:12], None, tiny_dataset.x_test, None)
    untested = dataclasses.replace(
        tiny_dataset, x_test=tiny_dataset.x_test[:1], y_test=None
    )
    three = np.ones(3, np.float32)
    wide = dataclasses.replace(RING, mean=three, std=three)
    short = dataclasses.replace(RING, sample=lambda key, n: jnp.zeros((n - 1, 2)))
    point = dataclasses.replace(RING, sample=lambda key, n: jnp.zeros((n, 2)))
    two = dataclasses.replace(RING, log_density=lambda z: -z * z)
    whole = dataclasses.replace(RING, sample=lambda key, n: jnp.zeros((n, 2), int))
    for arguments, words in (
        ({"dataset": few}, "give 20 or more"),
        ({"dataset": untested}, "1 test images; give 2 or more"),
        ({"dataset": tiny_dataset, "prior": wide}, r"a mean of shape \(3,\)"),
        ({"dataset": tiny_dataset, "prior": short}, r"float32 of shape \(2, 2\)"),
        ({"dataset": tiny_dataset, "prior": whole}, r"is int32 of shape \(3, 2\)"),
        ({"dataset": tiny_dataset, "prior": point}, "finite numbers that vary"),
        ({"dataset": tiny_dataset, "prior": two}, r"gives shape \(3, 2\) for codes"),
        ({"dataset": tiny_dataset, "phases": phases_with(None)}, "returned "),
        ({"dataset": tiny_dataset, "phases": phases_with(jnp.ones(2))}, "returned "),
        ({"dataset": tiny_dataset, "phases": phases_with("a\tb")}, "is no name"),
    ):
        with pytest.raises(UserError, match=words):
            fit(tiny_config, **arguments, options=quiet(tmp_path / "run"))
    large = dataclasses.replace(tiny_config, batch_size=361)
    with pytest.raises(UserError, match="larger than the 360 training images"):
        fit(large, dataset=tiny_dataset, options=quiet(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_auto_says_which_data_it_takes_unless_it_is_to_be_quiet(tmp_path):
    said = []
    empty = RunOptions(data_dir=tmp_path)
    dataset = load_data(Config(), empty, say=said.append)
    assert dataset.name == "sample"
    (line,) = said
    assert "sample" in line
    assert "python -m aae_jax.data mnist" in line
    options = dataclasses.replace(empty, quiet=True)
    again = load_data(Config(), options, say=say_nothing)
    assert again.fingerprint() == dataset.fingerprint()
    assert settle(Config(), dataset, empty).dataset == "sample"


def test_settling_spells_out_what_decides_the_bits(tiny_dataset, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.npz").touch()
    config = Config(epochs=3, batch_size=50, dataset="images.npz", recipe="guide")
    settled = settle(config, tiny_dataset, RunOptions())
    assert (settled.steps, settled.epochs) == (3 * 360 // 50, None)
    assert settled.dataset == str(tmp_path / "images.npz")
    assert settled.scale == settled.prior_scale == config.scale
    assert settled.hyperparameters == dataclasses.replace(
        config.hyperparameters, steps=settled.steps, epochs=None
    )
    assert settle(settled, tiny_dataset, RunOptions()) == settled


def test_a_prior_of_one_s_own_gets_the_recipe_for_priors_with_edges(tiny_dataset):
    settled = settle(Config(), tiny_dataset, RunOptions(), prior=RING)
    assert settled.prior == "custom"
    assert settled.hyperparameters.instance_noise_final == 1
    assert settle(settled, tiny_dataset, RunOptions(), prior=RING) == settled
