"""What compares states bit by bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def assert_same_bits(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for path, leaf in jax.tree_util.tree_leaves_with_path(first):
        other = functools.reduce(lambda tree, step: step_into(tree, step), path, second)
        assert leaf.dtype == other.dtype
        assert np.asarray(bare(leaf)).tobytes() == np.asarray(bare(other)).tobytes(), (
            f"{jax.tree_util.keystr(path)} differs"
        )


def step_into(tree, step):
    match step:
        case jax.tree_util.GetAttrKey(name=name):
            return getattr(tree, name)
        case jax.tree_util.DictKey(key=key):
            return tree[key]
        case jax.tree_util.SequenceKey(idx=index):
            return tree[index]


def bare(leaf):
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
