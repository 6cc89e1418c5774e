"""Config: what it refuses and how it says so, recipes, lengths, round trips."""

import dataclasses
import json
import math

import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.config_checks import PRIORS
from aae_jax.errors import UserError
from aae_jax.recipes import MODELS, RECIPES

NAN, INFINITY = math.nan, math.inf
RATES = ("reconstruction_rate", "discriminator_rate", "generator_rate")
BETAS = ("reconstruction_beta1", "discriminator_beta1", "generator_beta1")


@pytest.mark.parametrize(
    ("field", "value", "allowed", "nearest"),
    [
        ("prior", "swis-roll", PRIORS, "swiss-roll"),
        ("prior", "gausian", PRIORS, None),
        ("prior", "Normal", PRIORS, "normal"),
        ("model", "aae_joint", MODELS, "aae-joint"),
        ("model", "autoencodr", MODELS, "autoencoder"),
        ("recipe", "giude", RECIPES, "guide"),
        ("recipe", "", RECIPES, None),
        ("initializer", "lecunn", ("normal", "lecun", "spread"), "lecun"),
        ("schedule", "cosin", ("constant", "cosine"), "cosine"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_right_one(
    field, value, allowed, nearest
):
    with pytest.raises(UserError) as caught:
        Config(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{field}={value!r} is unknown; choose one of ")
    assert all(name in message for name in allowed)
    assert message.endswith(f"did you mean {nearest}?") == (nearest is not None)
    assert "custom" not in message


OUT_OF_RANGE = [
    ("z_dim", 0, "1 to 1024"),
    ("z_dim", -2, "1 to 1024"),
    ("z_dim", 1025, "1 to 1024"),
    ("epochs", 0, "1 to 1000000"),
    ("epochs", 10_000_000, "1 to 1000000"),
    ("steps", 0, "1 to 1000000000"),
    ("batch_size", 1, "2 to 65536"),
    ("batch_size", 65_537, "2 to 65536"),
    ("seed", -1, "0 to 4294967295"),
    ("seed", 2**32, "0 to 4294967295"),
    ("seed", 10**400, "0 to 4294967295"),
    ("prior_scale", 0, "0.001 to 1000"),
    ("prior_shape", 0.0, "0.1 to 1000"),
    *((rate, value, "0 to 10") for rate in RATES for value in (-1e-3, 10.5)),
    *((beta, value, "0 to 0.9999") for beta in BETAS for value in (-0.1, 1.0)),
    ("generator_epsilon", 0.0, "1e-12 to 1"),
    ("reconstruction_weight", -1.0, "0 to 1000000"),
    ("gradient_penalty", -0.1, "0 to 1000"),
    ("input_noise", -0.3, "0 to 10"),
    ("instance_noise", 11, "0 to 10"),
    ("reconstruction_weight_final", 1.5, "0 to 1"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), OUT_OF_RANGE)
def test_numbers_out_of_range_are_refused(field, value, allowed):
    with pytest.raises(UserError) as caught:
        Config(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{field}={value} is out of range; ")
    assert f"--{field.replace('_', '-')} " in message
    assert message.endswith(f"from {allowed}")


@pytest.mark.parametrize("value", [0, 70_000])
def test_layers_and_image_sides_out_of_range_are_refused(value):
    with pytest.raises(UserError, match=rf"hidden={value} .* from 1 to 65536"):
        Config(hidden=(16, value))
    with pytest.raises(UserError, match=rf"image_size={value} .* from 1 to 1024"):
        Config(image_size=(28, value))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((rate, value) for rate in RATES for value in (NAN, INFINITY, -INFINITY)),
        ("z_dim", 2.0),
        ("z_dim", True),
        ("z_dim", None),
        ("z_dim", "2"),
        ("seed", None),
        ("seed", 0.5),
        ("epochs", 1.5),
        ("steps", NAN),
        ("steps", "100"),
        ("prior_shape", None),
        ("prior_scale", [5]),
        ("generator_rate", True),
        ("gradient_penalty", {}),
        ("network", None),
        ("network", ["conv"]),
        ("hidden", (16, 16.0)),
        ("hidden", (16, [16])),
        ("hidden", (True,)),
        ("hidden", "16"),
        ("hidden", ()),
        ("hidden", 16),
        ("hidden", None),
        ("image_size", 28),
        ("image_size", (28,)),
        ("image_size", (28, 28, 1)),
        ("image_size", ()),
        ("image_size", (28, "28")),
        ("standardize_codes", "yes"),
        ("standardize_codes", 2),
        ("dataset", 5),
        ("dataset", None),
        ("dataset", ""),
        ("model", None),
        ("prior", 3),
        ("prior", ["normal"]),
        ("recipe", {}),
        ("initializer", 1),
        ("schedule", ["cosine"]),
        ("optimizer", 0),
    ],
)
def test_values_of_a_wrong_kind_are_refused_from_python_and_from_a_file(field, value):
    with pytest.raises(UserError, match=field):
        Config(**{field: value})
    stored = dataclasses.asdict(Config()) | {field: value}
    with pytest.raises(UserError, match=field):
        Config.from_json(json.loads(json.dumps(stored)))


@pytest.mark.parametrize("prior", ["mixture", "swiss-roll"])
def test_priors_of_the_plane_need_two_dimensions(prior):
    with pytest.raises(UserError, match=f"prior='{prior}' .* z_dim=3; use --z-dim 2"):
        Config(prior=prior, z_dim=3)
    assert Config(prior=prior, z_dim=2).prior == prior


def test_length_is_given_once():
    with pytest.raises(UserError, match="epochs=3 and steps=9; give one of them"):
        Config(epochs=3, steps=9)


@pytest.mark.parametrize(("field", "value", "allowed"), OUT_OF_RANGE)
def test_the_ends_of_each_range_are_allowed(field, value, allowed):
    for end in allowed.split(" to "):
        number = int(end) if end.isdigit() else float(end)
        assert getattr(Config(**{field: number}), field) == number


@pytest.mark.parametrize("model", MODELS)
def test_what_is_given_beats_the_recipe(model):
    recipe = Config(model=model, prior="mixture").hyperparameters
    given = {"generator_rate": 0.125, "standardize_codes": False, "input_noise": 0.0}
    hyper = Config(model=model, prior="mixture", **given).hyperparameters
    assert hyper == dataclasses.replace(recipe, **given)
    assert hyper != recipe


def test_recipe_guide_is_the_published_one():
    for model in MODELS:
        config = Config(model=model, prior="mixture", recipe="guide")
        hyper = config.hyperparameters
        assert (hyper.epochs, hyper.steps) == (300, None)
        assert (hyper.initializer, hyper.schedule) == ("normal", "constant")
        rates = {getattr(hyper, rate) for rate in RATES}
        betas = {getattr(hyper, beta) for beta in BETAS}
        assert (rates, betas) == ({1e-3}, {0.9})
        assert hyper.generator_epsilon == 1e-8
        noises = (hyper.input_noise, hyper.instance_noise)
        assert (hyper.gradient_penalty, *noises) == (0, 0, 0)
        assert not hyper.standardize_codes
        assert hyper.batch_size == 100
    config = Config()
    assert (config.hidden, config.z_dim) == ((1000, 1000), 2)
    assert (config.prior, config.scale) == ("normal", 5)


@pytest.mark.parametrize("model", ["semi-supervised", "clustering", "dim-reduction"])
def test_codes_beside_an_inferred_class_are_as_small_as_it_is(model):
    for prior, scale in (("normal", 1), ("uniform", 2), ("gamma", 0.5)):
        assert Config(model=model, prior=prior).scale == pytest.approx(scale)
        assert Config(model="supervised", prior=prior).scale == pytest.approx(5 * scale)
    assert Config(model=model, prior_scale=3.0).scale == 3


def test_recipe_paper_is_the_published_one():
    without_labels = [{"model": "dim-reduction", "labels": 0}]
    for settings in [{"model": model} for model in MODELS] + without_labels:
        config = Config(prior="mixture", recipe="paper", **settings)
        hyper = config.hyperparameters
        assert (hyper.epochs, hyper.optimizer, hyper.schedule) == (5000, "sgd", "steps")
        adversarial = (hyper.discriminator_rate, hyper.generator_rate)
        momenta = (hyper.discriminator_beta1, hyper.generator_beta1)
        assert (*adversarial, *momenta) == (0.1, 0.1, 0.1, 0.1)
        assert (hyper.classification_rate, hyper.classification_beta1) == (0.1, 0.9)
        # On half the sum over the pixels of MNIST; the loss is their mean.
        per_pixel = hyper.reconstruction_rate * hyper.reconstruction_weight
        assert per_pixel == pytest.approx(0.01 * 784 / 2)
        assert hyper.reconstruction_beta1 == 0.9
        if config.wiring.adds_heads:  # nothing multiplies the rate of their cost
            assert hyper.reconstruction_rate == 0.01
        assert hyper.batch_norm == config.finds_clusters
        assert (hyper.input_noise, hyper.consistency_weight) == (0.3, 0)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("prior", ["normal", "uniform", "mixture", "custom"])
def test_every_recipe_is_one_that_config_would_accept(recipe, model, prior):
    if model == "label-prior" and prior in ("normal", "uniform"):
        return  # these have no parts for labels to choose
    config = Config(model=model, prior=prior, recipe=recipe)
    values = dataclasses.asdict(config.hyperparameters)
    assert values["steps"] or values["epochs"]
    if values["steps"]:
        values["epochs"] = None  # given by hand, only one of them may be
    config = Config(model=model, prior=prior, **values)
    assert config.hyperparameters.steps == values["steps"]


def test_tuned_asks_for_the_prior_in_aae_alone():
    def noise_that_stays(model, prior):
        return Config(model=model, prior=prior).hyperparameters.instance_noise_final

    assert noise_that_stays("aae", "normal") == 0
    for prior in ("uniform", "gamma", "mixture", "swiss-roll", "custom"):
        assert noise_that_stays("aae", prior) == 1
        assert noise_that_stays("aae-joint", prior) == 0
    rates = {
        prior: Config(prior=prior).hyperparameters.generator_rate
        for prior in ("normal", "gamma", "uniform")
    }
    assert rates == {"normal": 3e-4, "gamma": 3e-4, "uniform": 1e-3}


def test_length_of_a_run():
    assert Config(steps=70).total_steps() == 70
    assert Config(steps=70).total_steps(100) == 70
    # Three full batches an epoch; 50 images are left out of each.
    assert Config(epochs=4).total_steps(350) == 12
    with pytest.raises(UserError, match=r"epochs=4 .* give the length as steps"):
        Config(epochs=4).total_steps()


def test_the_shorter_length_of_a_recipe_holds():
    hyper, config = Config().hyperparameters, Config()
    assert config.total_steps() == hyper.steps
    few, many = 200, 10_000_000
    assert config.total_steps(few) == min(hyper.steps, 2 * (hyper.epochs or 10**9))
    assert config.total_steps(many) == hyper.steps
    # A length that is given replaces both of the recipe's.
    assert Config(epochs=1_000_000).total_steps(200) == 2_000_000
    assert Config(steps=hyper.steps + 1).total_steps(200) == hyper.steps + 1


def test_a_batch_larger_than_the_data_is_refused():
    config = Config(batch_size=64, epochs=1)
    assert config.steps_per_epoch(64) == 1
    with pytest.raises(UserError) as caught:
        config.total_steps(63)
    assert str(caught.value) == (
        "batch_size=64 is larger than the 63 training images; "
        "use --batch-size 63 or less"
    )


def test_round_trip_through_json():
    config = Config(
        model="aae-joint",
        prior="gamma",
        prior_scale=0.1,
        z_dim=3,
        hidden=(7, 8, 9),
        image_size=(20, 30),
        seed=2**32 - 1,
        generator_rate=1 / 3,
        standardize_codes=True,
        dataset="path/to/ümlaut",
    )
    assert (
        Config.from_json(json.loads(json.dumps(dataclasses.asdict(config)))) == config
    )
    assert Config.from_json(dataclasses.asdict(Config())) == Config()


@pytest.mark.parametrize("values", [[], [["model", "aae"]], "aae", 5, None, True])
def test_a_stored_config_that_is_no_object_is_refused(values):
    with pytest.raises(UserError, match="stored config"):
        Config.from_json(values)


def test_a_stored_config_with_unknown_fields_is_refused():
    values = dataclasses.asdict(Config())
    with pytest.raises(UserError, match=r"fields unknown to us: \['hook'\]"):
        Config.from_json(values | {"hook": "os:system"})


def test_a_stored_config_that_lacks_fields_is_refused():
    values = dataclasses.asdict(Config(seed=9))
    del values["seed"], values["generator_rate"]
    with pytest.raises(UserError, match=r"the fields \['generator_rate', 'seed'\]"):
        Config.from_json(values)


def test_numbers_of_numpy_and_lists_are_taken_as_plain_ones():
    config = Config(
        seed=np.int64(3), hidden=[np.int32(64), 8], standardize_codes=np.bool_(True)
    )
    assert config == Config(seed=3, hidden=(64, 8), standardize_codes=True)
    assert json.loads(json.dumps(dataclasses.asdict(config)))["seed"] == 3
    assert [type(each) for each in (config.seed, *config.hidden)] == [int] * 3


@pytest.mark.parametrize("prior", ["normal", "uniform", "gamma"])
def test_labels_choose_parts_of_a_prior_that_has_some(prior):
    with pytest.raises(UserError, match="--prior mixture or swiss-roll"):
        Config(model="label-prior", prior=prior)


def test_labels_are_a_number_or_all():
    assert Config(model="semi-supervised", labels=100).labels == 100
    assert Config(model="semi-supervised").labels == "all"
    for wrong in ("some", -1, 2.5, True, None):
        with pytest.raises(UserError, match="labels="):
            Config(model="semi-supervised", labels=wrong)


def test_without_labels_there_are_clusters_or_nothing():
    for model in ("semi-supervised", "supervised", "label-prior"):
        with pytest.raises(UserError, match="use --model clustering"):
            Config(model=model, prior="mixture", labels=0)
    alone = Config(model="dim-reduction", labels=0)
    assert (alone.finds_clusters, alone.reads_labels) == (True, False)
    taught = Config(model="dim-reduction", labels=10)
    assert (taught.finds_clusters, taught.reads_labels) == (False, True)
    assert Config(model="clustering").finds_clusters
    assert not Config().reads_labels


def test_categories_are_the_clusters_or_the_classes():
    assert Config(model="clustering").n_categories == 16
    assert Config(model="clustering", clusters=30).n_categories == 30
    assert Config(model="dim-reduction", labels=0).n_categories == 20
    assert Config(model="semi-supervised", n_classes=7).n_categories == 7
    with pytest.raises(UserError, match=r"Config\(n_classes=10\)"):
        _ = Config(model="semi-supervised").n_categories
