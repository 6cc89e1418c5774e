"""The guide's networks in pythae, another library's trainer."""

import contextlib
import io
import tempfile
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import Adversarial_AE, Adversarial_AE_Config
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
from pythae.trainers import AdversarialTrainer, AdversarialTrainerConfig
from torch_aae import DEVICE, mlp
from workload import BATCH, RATE, Run


class _Encoder(BaseEncoder):
    """The guide's encoder, as pythae takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp(784, 2)

    def forward(self, x: torch.Tensor) -> Any:
        z = self.layers(x.flatten(1))
        return ModelOutput(embedding=z, log_covariance=torch.zeros_like(z))


class _Decoder(BaseDecoder):
    """The guide's decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp(2, 784)

    def forward(self, z: torch.Tensor) -> Any:
        x_hat = torch.sigmoid(self.layers(z))
        return ModelOutput(reconstruction=x_hat.reshape(-1, 1, 28, 28))


class _Discriminator(BaseDiscriminator):
    """The guide's discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp(2, 1)

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
