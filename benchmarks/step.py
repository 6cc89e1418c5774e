"""Time a training step against the same phases in PyTorch eager, in one process.

    make bench

Both train the guide's networks (784-1000-1000-2, 2-1000-1000-784, 2-1000-1000-1) in
float32 on batches of 100 gathered from 54,000 images in uint8: reconstruction,
discriminator, generator, an Adam each; the encoder's forward pass is shared between
discriminator and generator. They take turns, and the ratio of each pair of turns is
what is reported: machines are noisy, and a time alone says little.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from aae_jax import Config
from aae_jax.environment import usable_cores
from aae_jax.loop import TrainingData, init_loop, make_loop
from aae_jax.training import make_step

N_IMAGES, BATCH, PRIOR_SCALE = 54_000, 100, 5.0

Run = Callable[[int], None]


def ours(images: np.ndarray) -> Run:
    """The compiled loop: `run(n)` does n steps."""
    config = Config(recipe="guide", steps=1_000_000)
    step = make_step(config)
    loop = make_loop(config, step)
    data = TrainingData(jnp.asarray(images))
    carry = init_loop(
        config, jax.random.key(0), step=step, image_shape=images.shape[1:]
    )
    done = 0

    def run(n: int) -> None:
        nonlocal carry, done
        if done + n > config.steps_per_epoch(N_IMAGES):
            raise ValueError("the turns together must fit in one epoch")
        done += n
        carry = jax.block_until_ready(loop(carry, data, np.int32(done)))

    return run


def torch_eager(images: np.ndarray) -> Run:
    """The same phases, written as a PyTorch user would: `run(n)` does n steps."""
    torch.manual_seed(0)
    torch.set_num_threads(usable_cores())
    data = torch.from_numpy(images.reshape(N_IMAGES, -1))
    encoder, decoder, discriminator = (
        nn.Sequential(
            nn.Linear(n_in, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU(),
            nn.Linear(1000, n_out),
        )
        for n_in, n_out in ((784, 2), (2, 784), (2, 1))
    )  # fmt: skip
    for module in (encoder, decoder, discriminator):
        for name, parameter in module.named_parameters():
            if "weight" in name:
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)
    both = [*encoder.parameters(), *decoder.parameters()]
    reconstruct = torch.optim.Adam(both, lr=1e-3)
    discriminate = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    generate = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    entropy = functional.binary_cross_entropy_with_logits
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def step() -> None:
        rows = torch.randint(0, N_IMAGES, (BATCH,))
        x = data[rows].to(torch.float32) / 255
        reconstruct.zero_grad()
        functional.mse_loss(torch.sigmoid(decoder(encoder(x))), x).backward()
        reconstruct.step()

        z = encoder(x)
        z_prior = PRIOR_SCALE * torch.randn(BATCH, 2)
        discriminate.zero_grad()
        real = entropy(discriminator(z_prior), ones)
        (real + entropy(discriminator(z.detach()), zeros)).backward()
        discriminate.step()

        generate.zero_grad()
        discriminator.requires_grad_(False)
        entropy(discriminator(z), ones).backward()
        discriminator.requires_grad_(True)
        generate.step()

    def run(n: int) -> None:
        for _ in range(n):
            step()

    return run


def main() -> None:
    """Take turns, print the table, write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="turns of each")
    parser.add_argument("--steps", type=int, default=30, help="steps a turn")
    parser.add_argument("--json", help="file to write the numbers to")
    flags = parser.parse_args()

    images = np.random.default_rng(0).integers(
        0, 256, (N_IMAGES, 28, 28, 1), dtype=np.uint8
    )
    contenders = {"aae_jax loop": ours(images), "PyTorch eager": torch_eager(images)}
    for run in contenders.values():
        run(5)  # compile, warm up
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(flags.rounds):
        for name, run in contenders.items():
            began = time.perf_counter()
            run(flags.steps)
            times[name].append((time.perf_counter() - began) / flags.steps * 1e3)

    first = times["aae_jax loop"]
    print(f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f}, batch {BATCH}")
    print(f"{'':<16}{'ms a step':>10}{'ratio':>8}{'min':>7}{'max':>7}")
    table = {}
    for name, taken in times.items():
        ratios = [b / a for a, b in zip(first, taken, strict=True)]
        table[name] = {
            "ms": statistics.median(taken),
            "ratio": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
        }
        print(
            "{:<16}{ms:>10.1f}{ratio:>8.2f}{min:>7.2f}{max:>7.2f}".format(
                name, **table[name]
            )
        )
    if flags.json:
        with open(flags.json, "w", encoding="utf-8") as file:
            json.dump({"cores": usable_cores(), "table": table}, file, indent=2)


if __name__ == "__main__":
    main()
