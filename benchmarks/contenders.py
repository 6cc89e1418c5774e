"""The guide's training step in several hands: ours, PyTorch's, another library's.

Each contender is a `run(n)` that does n steps on batches of 100 images, drawn from
54,000 in uint8: networks 784-1000-1000-2, 2-1000-1000-784 and 2-1000-1000-1 in float32;
reconstruction, discriminator, generator, an Adam each, of rate 0.001. What does less
than that says so.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import Adversarial_AE, Adversarial_AE_Config
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
from pythae.trainers import AdversarialTrainer, AdversarialTrainerConfig
from torch import nn
from torch.nn import functional

from aae_jax import Batch, Config, TrainState, init, make_step, make_update
from aae_jax.environment import usable_cores
from aae_jax.feeds import Feed, TrainingData
from aae_jax.loop import init_loop, make_loop, take
from aae_jax.phases import make_model
from aae_jax.variants import phases_of

N_IMAGES, BATCH, SHAPE, RATE = 54_000, 100, (28, 28, 1), 1e-3
CONFIG = Config(recipe="guide", steps=1_000_000)
JOINT = Config(recipe="guide", steps=1_000_000, model="aae-joint")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""PyTorch's; JAX takes the same where it has it."""

Run = Callable[[int], None]


def ours(images: np.ndarray, config: Config = CONFIG) -> Run:
    """The compiled loop, as train.py runs it."""
    step = make_step(config)
    loop = make_loop(config, step)
    # Each a key of its own: that of the state is donated to the loop.
    feed = Feed(config, TrainingData(jnp.asarray(images)), jax.random.key(0))
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
    window = Feed(CONFIG, TrainingData(jnp.asarray(images)), jax.random.key(0)).window(
        0
    )
    gather = jax.jit(take)
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


class TorchAAE:
    """The same phases as a PyTorch user would write them."""

    def __init__(self, *, fused: bool = False) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(usable_cores())
        self.encoder, self.decoder, self.discriminator = (
            _mlp(n_in, n_out).to(DEVICE) for n_in, n_out in ((784, 2), (2, 784), (2, 1))
        )
        both = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.reconstruct, self.discriminate, self.generate = (
            torch.optim.Adam(list(parameters), lr=RATE, fused=fused)
            for parameters in (
                both,
                self.discriminator.parameters(),
                self.encoder.parameters(),
            )
        )

    def step(self, x: torch.Tensor, z_prior: torch.Tensor) -> None:
        """One batch; the encoder's pass is shared by discriminator and generator."""
        entropy = functional.binary_cross_entropy_with_logits
        ones = torch.ones(len(x), 1, device=DEVICE)
        zeros = torch.zeros_like(ones)
        self.reconstruct.zero_grad()
        x_hat = torch.sigmoid(self.decoder(self.encoder(x)))
        functional.mse_loss(x_hat, x).backward()
        self.reconstruct.step()

        z = self.encoder(x)
        self.discriminate.zero_grad()
        real = entropy(self.discriminator(z_prior), ones)
        (real + entropy(self.discriminator(z.detach()), zeros)).backward()
        self.discriminate.step()

        self.generate.zero_grad()
        self.discriminator.requires_grad_(False)
        entropy(self.discriminator(z), ones).backward()
        self.discriminator.requires_grad_(True)
        self.generate.step()


def torch_loop(
    images: np.ndarray, *, fused: bool = False, compiled: bool = False
) -> Run:
    """PyTorch: eager, with the fused Adam, or its networks compiled besides."""
    model = TorchAAE(fused=fused)
    if compiled:
        for name in ("encoder", "decoder", "discriminator"):
            setattr(model, name, torch.compile(getattr(model, name)))
    data = torch.from_numpy(images.reshape(N_IMAGES, -1)).to(DEVICE)
    scale = CONFIG.scale

    def run(n: int) -> None:
        for _ in range(n):
            rows = torch.randint(0, N_IMAGES, (BATCH,), device=DEVICE)
            x = data[rows].to(torch.float32) / 255
            model.step(x, scale * torch.randn(BATCH, 2, device=DEVICE))
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return run


class _Encoder(BaseEncoder):
    """The guide's encoder, as pythae takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = _mlp(784, 2)

    def forward(self, x: torch.Tensor) -> Any:
        z = self.layers(x.flatten(1))
        return ModelOutput(embedding=z, log_covariance=torch.zeros_like(z))


class _Decoder(BaseDecoder):
    """The guide's decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = _mlp(2, 784)

    def forward(self, z: torch.Tensor) -> Any:
        x_hat = torch.sigmoid(self.layers(z))
        return ModelOutput(reconstruction=x_hat.reshape(-1, 1, 28, 28))


class _Discriminator(BaseDiscriminator):
    """The guide's discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = _mlp(2, 1)

    def forward(self, z: torch.Tensor) -> Any:
        return ModelOutput(embedding=torch.sigmoid(self.layers(z)))


def pythae_trainer(images: np.ndarray, steps: int) -> Run:
    """pythae's trainer as its users call it: less work, two losses and two Adams.

    It takes images in float32 and does whole passes, so each turn is a pass over
    `steps` batches.
    """
    folder = tempfile.TemporaryDirectory()
    shape = {"input_dim": (1, 28, 28), "latent_dim": 2}
    model = Adversarial_AE(
        Adversarial_AE_Config(**shape, deterministic_posterior=True),
        encoder=_Encoder(),
        decoder=_Decoder(),
        discriminator=_Discriminator(),
    )
    x = torch.from_numpy(images[: steps * BATCH].reshape(-1, 1, 28, 28)) / 255
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = AdversarialTrainer(
            model=model,
            train_dataset=BaseDataset(x, torch.zeros(len(x))),
            training_config=AdversarialTrainerConfig(
                output_dir=folder.name,
                per_device_train_batch_size=BATCH,
                autoencoder_optimizer_cls="Adam",
                discriminator_optimizer_cls="Adam",
                autoencoder_learning_rate=RATE,
                discriminator_learning_rate=RATE,
                no_cuda=DEVICE == "cpu",
            ),
        )
        trainer.prepare_training()

    def run(n: int) -> None:
        assert folder  # it is deleted with the last who knows it
        for _ in range(max(1, n // steps)):
            with contextlib.redirect_stderr(io.StringIO()):
                trainer.train_step(1)

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


def _mlp(n_in: int, n_out: int) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Linear(n_in, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU(),
        nn.Linear(1000, n_out),
    )  # fmt: skip
    for name, parameter in layers.named_parameters():
        if "weight" in name:
            nn.init.normal_(parameter, std=0.01)
        else:
            nn.init.zeros_(parameter)
    return layers
