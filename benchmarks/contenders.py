"""The guide's training step in several hands: ours, PyTorch's, another library's.

Each contender is a `run(n)` that does n steps on batches of 100 images, drawn from
54,000 in uint8: networks 784-1000-1000-2, 2-1000-1000-784 and 2-1000-1000-1 in float32;
reconstruction, discriminator, generator, an Adam each, of rate 0.001. What does less
than that says so.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from pythae_aae import pythae_trainer
from torch import nn
from torch_aae import DEVICE, TorchAAE, torch_loop
from workload import BATCH, CONFIG, JOINT, N_IMAGES, SHAPE, Run

from aae_jax import Batch, Config, TrainState, init, make_step, make_update
from aae_jax.feeds import MemoryFeed, TrainingData
from aae_jax.loop import init_loop, make_loop
from aae_jax.phases import make_model
from aae_jax.variants import phases_of
from aae_jax.windows import Shuffled


def ours(images: np.ndarray, config: Config = CONFIG) -> Run:
    """The compiled loop, as train.py runs it."""
    step = make_step(config)
    loop = make_loop(config, step)
    # Each a key of its own: that of the state is donated to the loop.
    feed = MemoryFeed(config, TrainingData(jnp.asarray(images)), jax.random.key(0))
    epoch = config.steps_per_epoch(N_IMAGES)
    carry = init_loop(config, jax.random.key(0), step=step, image_shape=SHAPE)
    done = 0

    def run(n: int) -> None:
        nonlocal carry, done
        end = done + n
        while done < end:
            window = feed.window(done)
            done = min(end, (done // epoch + 1) * epoch)
            carry = jax.block_until_ready(loop(carry, window, np.int32(done)))

    return run


def separate_programs(images: np.ndarray) -> Run:
    """Our three phases, each compiled by itself, in a loop of Python."""
    updates = [jax.jit(make_update(CONFIG, phase)) for phase in phases_of(CONFIG)]
    data, key = TrainingData(jnp.asarray(images)), jax.random.key(0)
    window = MemoryFeed(CONFIG, data, key).window(0)
    gather = jax.jit(Shuffled.take)
    state = init(CONFIG, jax.random.key(0), image_shape=SHAPE)
    rng = np.random.default_rng(0)

    def run(n: int) -> None:
        nonlocal state
        for _ in range(n):
            batch = gather(window, rng.integers(0, N_IMAGES, BATCH))
            for update in updates:
                state, _ = update(state, batch)
        jax.block_until_ready(state)

    return run


def contenders(images: np.ndarray, steps: int) -> Iterator[tuple[str, Run]]:
    """Names, and what they do n steps with; ours first."""
    yield "aae_jax", ours(images)
    yield "our phases as three programs", separate_programs(images)
    yield "PyTorch eager", torch_loop(images)
    yield "PyTorch, fused Adam", torch_loop(images, fused=True)
    yield "PyTorch, fused Adam, compiled", torch_loop(images, fused=True, compiled=True)
    yield "aae_jax, aae-joint (two phases)", ours(images, JOINT)
    yield "pythae (less work: two phases)", pythae_trainer(images, steps)


def step_difference() -> float:
    """Largest difference of a parameter after one step of ours and of PyTorch's.

    From the same weights, on the same images and prior samples.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (BATCH, *SHAPE)).astype(np.float32)
    before = init(CONFIG, jax.random.key(0), image_shape=SHAPE)
    after, _ = make_step(CONFIG)(before, Batch(jnp.asarray(x)))
    model = TorchAAE()
    names = ("encoder", "decoder", "discriminator")
    for name in names:
        _set_weights(getattr(model, name), before.params[name])
    z_prior = torch.from_numpy(np.array(_prior_samples(before))).to(DEVICE)
    model.step(torch.from_numpy(x.reshape(BATCH, -1)).to(DEVICE), z_prior)
    return max(
        float(np.abs(theirs.detach().cpu().numpy() - np.asarray(mine)).max())
        for name in names
        for theirs, mine in zip(
            getattr(model, name).parameters(), _weights(after.params[name]), strict=True
        )
    )


def _prior_samples(state: TrainState) -> jax.Array:
    """Those that the discriminator phase, the second, draws in this step."""
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 1)
    sample_key, *_ = jax.random.split(key, 3)
    prior = make_model(CONFIG, image_shape=SHAPE).prior
    return prior.sample(sample_key, BATCH)


def _weights(params: Any) -> list[np.ndarray]:
    """Kernels as PyTorch has them, and biases, in the order of its parameters."""
    layers = [params[f"Dense_{index}"] for index in range(3)]
    return [
        np.asarray(array)
        for layer in layers
        for array in (layer["kernel"].T, layer["bias"])
    ]


def _set_weights(module: nn.Module, params: Any) -> None:
    for theirs, mine in zip(module.parameters(), _weights(params), strict=True):
        theirs.data = torch.from_numpy(mine.copy()).to(DEVICE)
