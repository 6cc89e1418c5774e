"""Networks: sizes, first numbers, ranges, and what the discriminator sees."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax.architecture import make_networks
from aae_jax.config import Config
from aae_jax.config_checks import PRIORS
from aae_jax.networks import STATISTICS
from aae_jax.priors import make_prior

SUBSETS = ("encoder", "decoder", "discriminator")
KEY = jax.random.key(5)


def networks_of(config, image_shape=(8, 8, 1)):
    return make_networks(config, make_prior(config), image_shape)


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def test_guide_has_the_published_sizes():
    networks = networks_of(Config(recipe="guide"), (28, 28, 1))
    params = jax.eval_shape(lambda: networks.init(KEY, SUBSETS))
    widths = {
        subset: [layer["kernel"].shape for layer in layers.values()]
        for subset, layers in params.items()
    }
    assert widths == {
        "encoder": [(784, 1000), (1000, 1000), (1000, 2)],
        "decoder": [(2, 1000), (1000, 1000), (1000, 784)],
        "discriminator": [(2, 1000), (1000, 1000), (1000, 1)],
    }
    assert count(params["encoder"]) == 784 * 1000 + 1000 * 1000 + 1000 * 2 + 2002
    assert count(params["decoder"]) == 2 * 1000 + 1000 * 1000 + 1000 * 784 + 2784
    assert count(params["discriminator"]) == 2 * 1000 + 1000 * 1000 + 1000 + 2001
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.usefixtures("strict_dtypes")
@pytest.mark.parametrize("hidden", [(5,), (7, 3, 9)])
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (4, 6, 3)])
@pytest.mark.parametrize("z_dim", [1, 4])
def test_shapes_follow_the_config(hidden, image_shape, z_dim):
    networks = networks_of(Config(hidden=hidden, z_dim=z_dim), image_shape)

    def everything():
        params = networks.init(KEY, SUBSETS)
        z = networks.encode(params, jnp.zeros((6, *image_shape))).z
        return z, networks.decode(params, z), networks.discriminate(params, z)

    z, x_hat, logits = jax.eval_shape(everything)
    assert z.shape == (6, z_dim)
    assert x_hat.shape == (6, *image_shape)
    assert logits.shape == (6,)


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [("normal", lambda inputs: 0.01), ("lecun", lambda inputs: inputs**-0.5)],
)
def test_first_weights_have_the_initializer_s_deviation(
    initializer, deviation, tiny_config
):
    config = replace(tiny_config, initializer=initializer)
    params = networks_of(config).init(KEY, SUBSETS)
    for subset in SUBSETS:
        for layer in params[subset].values():
            assert not layer["bias"].any()
            kernel = np.asarray(layer["kernel"], np.float64)
            expected = deviation(len(kernel))
            share = 5 / math.sqrt(2 * kernel.size)
            assert kernel.std() == pytest.approx(expected, rel=share)
            assert abs(kernel.mean()) < 5 * expected / math.sqrt(kernel.size)


@pytest.mark.parametrize("name", ["normal", "gamma", "mixture"])
@pytest.mark.parametrize("standardize", [True, False])
def test_spread_puts_the_kinks_of_networks_that_read_codes_where_the_prior_is(
    name, standardize, tiny_config
):
    config = replace(tiny_config, prior=name, standardize_codes=standardize)
    config = replace(config, hidden=(2000, 8), initializer="spread")
    networks, prior = networks_of(config), make_prior(config)
    params = networks.init(KEY, SUBSETS)
    plain = networks_of(replace(config, initializer="lecun")).init(KEY, SUBSETS)
    kernels = [
        {
            subset: {name: layer["kernel"] for name, layer in layers.items()}
            for subset, layers in tree.items()
        }
        for tree in (params, plain)
    ]
    jax.tree.map(np.testing.assert_array_equal, *kernels)
    assert not any(layer["bias"].any() for layer in params["encoder"].values())
    for subset in ("decoder", "discriminator"):
        first, *others = params[subset].values()
        assert not any(layer["bias"].any() for layer in others)
        kernel, bias = first["kernel"], first["bias"]
        # A unit is zero on a line: how far the prior's mean is from it, in deviations
        # of the prior along the line's normal. For points of the prior that is
        # centred on 0 with deviation 1.
        standardized = subset == "discriminator" and standardize
        mean = 0 * prior.mean if standardized else prior.mean
        std = 0 * prior.std + 1 if standardized else prior.std
        distance = (mean @ kernel + bias) / np.sqrt(
            ((std[:, None] * kernel) ** 2).sum(0)
        )
        assert distance.mean() == pytest.approx(0, abs=0.1)
        assert distance.std() == pytest.approx(1, abs=0.1)
    assert not jnp.isclose(
        *(params[subset]["Dense_0"]["bias"] for subset in ("decoder", "discriminator"))
    ).all()


def test_a_subset_starts_the_same_whichever_others_there_are(tiny_config):
    networks = networks_of(tiny_config)
    together = networks.init(KEY, SUBSETS)
    for subset in SUBSETS:
        alone = networks.init(KEY, [subset])
        assert set(alone) == {subset}
        jax.tree.map(np.testing.assert_array_equal, alone[subset], together[subset])
    kernels = [together[subset]["Dense_1"]["kernel"] for subset in SUBSETS]
    assert not jnp.isclose(kernels[0], kernels[1]).all()
    assert not jnp.isclose(kernels[1], kernels[2]).all()


def test_layers_are_affine_with_relu_between_and_none_at_the_end(
    tiny_config, tiny_state, tiny_batch
):
    networks = networks_of(tiny_config)
    params = jax.tree.map(lambda leaf: leaf + 0.03, tiny_state("aae").params)
    layers = [
        {name: np.asarray(value, np.float64) for name, value in layer.items()}
        for layer in params["encoder"].values()
    ]
    x = np.asarray(tiny_batch.x, np.float64).reshape(20, -1)
    for layer in layers[:-1]:
        x = np.maximum(x @ layer["kernel"] + layer["bias"], 0)
    expected = x @ layers[-1]["kernel"] + layers[-1]["bias"]
    z = networks.encode(params, tiny_batch.x).z
    np.testing.assert_allclose(z, expected, rtol=1e-4, atol=1e-5)
    last = {name: -leaf for name, leaf in params["encoder"]["Dense_2"].items()}
    mirrored = {"encoder": params["encoder"] | {"Dense_2": last}}
    np.testing.assert_array_equal(networks.encode(mirrored, tiny_batch.x).z, -z)


def test_decoded_images_lie_between_0_and_1(tiny_config, tiny_state):
    networks = networks_of(tiny_config)
    z = jax.random.normal(KEY, (20, 2))
    x_hat = networks.decode(tiny_state("aae").params, z)
    assert x_hat.shape == (20, 8, 8, 1)
    assert x_hat.min() > 0
    assert x_hat.max() < 1
    assert x_hat.std() > 0.01


@pytest.mark.parametrize("name", PRIORS)
def test_the_discriminator_sees_standardized_codes(name, tiny_config, tiny_state):
    params = tiny_state("aae").params
    prior = make_prior(replace(tiny_config, prior=name))
    seen_by = {
        choice: make_networks(
            replace(tiny_config, prior=name, standardize_codes=choice),
            prior,
            (8, 8, 1),
        )
        for choice in (True, False)
    }
    z = prior.mean[None] + 2 * prior.std[None] * jax.random.normal(KEY, (20, 2))
    by_hand = (z - prior.mean[None]) / prior.std[None]
    logits = seen_by[True].discriminate(params, z)
    np.testing.assert_array_equal(logits, seen_by[False].discriminate(params, by_hand))
    assert not jnp.isclose(logits, seen_by[False].discriminate(params, z)).all()


def test_each_network_reads_its_own_subset_only(tiny_config, tiny_state, tiny_batch):
    networks, params = networks_of(tiny_config), tiny_state("aae").params
    z = networks.encode({"encoder": params["encoder"]}, tiny_batch.x).z
    assert networks.decode({"decoder": params["decoder"]}, z).shape == (20, 8, 8, 1)
    only = {"discriminator": params["discriminator"]}
    assert networks.discriminate(only, z).shape == (20,)


@pytest.fixture
def normalizing(tiny_config):
    """Networks with batch normalization, and first parameters with traces of use."""
    networks = networks_of(replace(tiny_config, batch_norm=True))
    params = networks.init(KEY, SUBSETS)
    return networks, jax.tree.map(lambda leaf: leaf + jnp.float32(0.01), params)


def test_batch_normalization_takes_out_the_batch_s_own_scale(normalizing, tiny_batch):
    networks, params = normalizing
    z = networks.encode(params, tiny_batch.x).z
    squeezed = networks.encode(params, 0.1 + 0.5 * tiny_batch.x).z
    np.testing.assert_allclose(squeezed, z, atol=0.02)
    plain = networks_of(Config(hidden=(16, 16), initializer="lecun"))
    assert STATISTICS not in plain.statistics(params, tiny_batch.x, KEY)


def many(x):
    """So many of the same images that unbiased variances are those of the images."""
    return jnp.tile(x, (50, 1, 1, 1))


def test_given_statistics_make_an_image_s_code_its_own(normalizing, tiny_batch):
    """Of the batch, they give the batch's codes; alone or among others, the same."""
    networks, params = normalizing
    seen = networks.statistics(params, many(tiny_batch.x), KEY)
    weights = params | seen
    together = networks.encode(weights, tiny_batch.x).z
    np.testing.assert_allclose(
        together, networks.encode(params, tiny_batch.x).z, rtol=1e-2, atol=1e-2
    )
    alone = networks.encode(weights, tiny_batch.x[3:4]).z
    np.testing.assert_allclose(alone, together[3:4], rtol=1e-4, atol=1e-5)
    layer = params["encoder"]["Dense_0"]
    flat = tiny_batch.x.reshape(20, -1)
    hidden = np.asarray(flat @ layer["kernel"], np.float64)
    first = seen[STATISTICS]["BatchNorm_0"]
    np.testing.assert_allclose(first["mean"], hidden.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(first["var"], hidden.var(axis=0), rtol=2e-3)


def test_variances_of_small_batches_average_to_that_of_all(normalizing, tiny_batch):
    """Or codes in evaluation spread farther than those that were matched to a prior."""
    networks, params = normalizing
    pairs = [
        networks.statistics(params, tiny_batch.x[jnp.array([i, j])], KEY)
        for i in range(20)
        for j in range(i)
    ]
    together = networks.statistics(params, tiny_batch.x, KEY)
    ours, theirs = (
        np.asarray([seen[STATISTICS]["BatchNorm_0"]["var"] for seen in group])
        for group in (pairs, [together])
    )
    np.testing.assert_allclose(ours.mean(axis=0), theirs[0], rtol=1e-3)


def test_statistics_are_those_of_images_with_the_noise_beside_them(
    tiny_config, tiny_batch
):
    """Codes of a universal encoder vary as much in evaluation as in training."""
    config = replace(tiny_config, batch_norm=True, encoder="universal")
    networks = networks_of(config)
    params = networks.init(KEY, SUBSETS)
    x = many(tiny_batch.x)
    seen = networks.statistics(params, x, jax.random.key(1))
    of_batch, given = (
        networks.encode(weights, x, jax.random.key(2)).z
        for weights in (params, params | seen)
    )
    np.testing.assert_allclose(given.std(axis=0), of_batch.std(axis=0), rtol=0.03)


def test_only_the_encoder_normalizes(normalizing):
    _, params = normalizing
    for subset, layers in params.items():
        assert ("BatchNorm_0" in layers) == (subset == "encoder")


def test_clusters_have_a_normalized_head(tiny_config, tiny_batch):
    """Each cluster's logit varies over the batch, as much as any other's."""
    settings = {"batch_norm": True, "aggregated_categories": False}
    networks = networks_for("clustering", tiny_config, clusters=5, **settings)
    params = networks.init(KEY, SUBSETS)
    code = networks.encode(params, tiny_batch.x)
    assert code.y_logits.shape == (20, 5)
    np.testing.assert_allclose(code.y_logits.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(code.y_logits.std(axis=0), 2, rtol=1e-2)
    seen = networks.statistics(params, many(tiny_batch.x), KEY)
    given = networks.encode(params | seen, tiny_batch.x)
    np.testing.assert_allclose(given.y_logits, code.y_logits, rtol=1e-2, atol=1e-2)
    taught = networks_for("semi-supervised", tiny_config, batch_norm=True)
    logits = taught.encode(taught.init(KEY, SUBSETS), tiny_batch.x).y_logits
    assert abs(logits.std(axis=0) - 2).max() > 0.1


def networks_for(model, config, **settings):
    config = replace(config, model=model, n_classes=4, **settings)
    return make_networks(config, make_prior(config), (8, 8, 1))


def test_categories_go_where_the_variant_wires_them(tiny_config):
    widths = {}
    for model in ("supervised", "semi-supervised", "clustering", "dim-reduction"):
        networks = networks_for(model, tiny_config, clusters=5)
        widths[model] = {
            subset: (networks.inputs[subset], networks.modules[subset].features)
            for subset in ("encoder", "decoder", "discriminator")
        }
    assert widths["supervised"] == {
        "encoder": (64, 2),
        "decoder": (6, 64),
        "discriminator": (2 + 4 + 1, 1),
    }
    assert widths["semi-supervised"]["encoder"] == (64, 6)
    assert widths["semi-supervised"]["decoder"] == (6, 64)
    assert widths["clustering"]["encoder"] == (64, 7)
    assert widths["clustering"]["decoder"] == (7, 64)
    assert widths["dim-reduction"]["encoder"] == (64, 6)
    assert widths["dim-reduction"]["decoder"] == (2, 64)
    aware = networks_for("label-prior", tiny_config, prior="mixture")
    assert aware.inputs["discriminator"] == 2 + 4 + 1


def test_the_decoder_gets_the_label_or_what_was_inferred(tiny_config, tiny_batch):
    x, y = tiny_batch.x, jnp.arange(20) % 4
    taught = networks_for("supervised", tiny_config)
    params = taught.init(KEY, SUBSETS)
    z = taught.encode(params, x).z
    expected = taught.decode(params, z, jax.nn.one_hot(y, 4))
    np.testing.assert_allclose(taught.reconstruct(params, x, y), expected, rtol=1e-6)
    other = taught.reconstruct(params, x, (y + 1) % 4)
    assert not jnp.isclose(other, expected).all()
    with pytest.raises(ValueError, match="the decoder of this model reads y"):
        taught.reconstruct(params, x)

    infers = networks_for("semi-supervised", tiny_config)
    params = infers.init(KEY, SUBSETS)
    code = infers.encode(params, x)
    np.testing.assert_allclose(code.y.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(code.y, jax.nn.softmax(code.y_logits), rtol=1e-6)
    expected = infers.decode(params, code.z, code.y)
    np.testing.assert_allclose(infers.reconstruct(params, x, y), expected, rtol=1e-6)


def test_a_code_stands_beside_the_head_of_its_category(tiny_config, tiny_batch):
    networks = networks_for("dim-reduction", tiny_config, prior_scale=3.0)
    params = networks.init(KEY, (*SUBSETS, "cluster_heads"))
    heads = networks.heads(params)
    assert heads.shape == (4, 2)
    # Learned in units of the prior's deviation.
    np.testing.assert_array_equal(heads, 3 * params["cluster_heads"]["kernel"])
    code = networks.encode(params, tiny_batch.x)
    points = networks.represent(params, code)
    np.testing.assert_allclose(points, code.z + code.y @ heads, rtol=1e-5, atol=1e-6)
    expected = networks.decode(params, points)
    np.testing.assert_allclose(
        networks.reconstruct(params, tiny_batch.x), expected, rtol=1e-6
    )
    y = jnp.arange(20) % 4
    sample = networks.decode_sample(params, code.z, y)
    expected = networks.decode(params, code.z + heads[y])
    np.testing.assert_allclose(sample, expected, rtol=1e-6)


def test_the_discriminator_has_a_class_for_images_without_a_label(tiny_config):
    networks = networks_for("label-prior", tiny_config, prior="mixture")
    params = networks.init(KEY, SUBSETS)
    z = jnp.ones((5, 2))
    logits = networks.discriminate(params, z, jnp.array([-1, 0, 1, 2, 3]))
    assert len(np.unique(logits)) == 5
    with pytest.raises(ValueError, match="the discriminator of this model reads y"):
        networks.discriminate(params, z)
