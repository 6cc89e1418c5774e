"""The guide's training step as a PyTorch user would write it."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from workload import BATCH, CONFIG, N_IMAGES, RATE, Run

from aae_jax.environment import usable_cores

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""PyTorch's; JAX takes the same where it has it."""


class TorchAAE:
    """The same phases as a PyTorch user would write them."""

    def __init__(self, *, fused: bool = False) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(usable_cores())
        self.encoder, self.decoder, self.discriminator = (
            mlp(n_in, n_out).to(DEVICE) for n_in, n_out in ((784, 2), (2, 784), (2, 1))
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


def mlp(n_in: int, n_out: int) -> nn.Sequential:
    """The guide's network between so many numbers, with its first weights."""
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
