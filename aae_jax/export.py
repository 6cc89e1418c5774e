"""A run's encoder and decoder for others: ONNX, StableHLO, and how to use them."""

import math
from pathlib import Path
from typing import Any

import jax

from aae_jax.environment import this_environment
from aae_jax.errors import RunError, UserError
from aae_jax.export_about import About
from aae_jax.export_check import Differences, differences
from aae_jax.export_folder import check_export, new_folder
from aae_jax.export_readme import readme
from aae_jax.layers import plain_networks
from aae_jax.messages import Say
from aae_jax.onnx_graph import onnx_decoder, onnx_encoder
from aae_jax.run import Run
from aae_jax.stablehlo import stablehlo_decoder, stablehlo_encoder

_MOST_BYTES = 2**31 - 2**20  # both kinds of file hold 2 GiB
_ROWS, _VALUES = 1000, 2**24
_MOST_DIFFERENCE = 1e-3
"""Rounding differs by 1e-6 or so, a graph that is wrong by 0.1 and more."""


def export_run(run: Run, path: Path, *, say: Say) -> None:
    """Write the encoder and the decoder into a new folder, and try them out.

    Raises:
      UserError: packages are missing, the place is taken, or the networks are too
        large for such files.
      RunError: the disk is full or may not be written; or the files do not compute what
        the run does.
    """
    check_export(path)
    _refuse_size(run)
    files = _files(run)
    with new_folder(path) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        found = _tried(run, folder)
    say(f"wrote {path}: {', '.join(files)}")
    for form, by_output in found.items():
        say(f"{form} differs from jax by at most {in_words(by_output)}")


def _files(run: Run) -> dict[str, bytes]:
    """The content of each file by its name."""
    about, networks, params = about_run(run), run.model.networks, run.params
    plain = plain_networks(networks, params)
    text = readme(about, jax_version=jax.__version__)
    return {
        "encoder.onnx": onnx_encoder(plain, about),
        "decoder.onnx": onnx_decoder(plain, about),
        "encoder.stablehlo": stablehlo_encoder(networks, params),
        "decoder.stablehlo": stablehlo_decoder(
            networks, params, inputs=about.decoder_inputs
        ),
        "README.md": text.encode(),
    }


def about_run(run: Run) -> About:
    """What a stranger has to know of a run's networks."""
    config, networks = run.record.config, run.model.networks
    return About(
        title=run.folder.title,
        image_shape=networks.image_shape,
        z_dim=config.z_dim,
        n_categories=networks.n_categories,
        category="cluster" if config.finds_clusters else "class",
        infers_y=networks.wiring.infers_y,
        decodes_y=networks.wiring.decodes_y,
        facts=_facts(run),
    )


def _facts(run: Run) -> dict[str, Any]:
    config, networks, prior = run.record.config, run.model.networks, run.code_prior
    facts: dict[str, Any] = {
        "run": run.folder.title,
        "model": config.model,
        "steps": run.step,
        "image_shape": networks.image_shape,
        "z_dim": config.z_dim,
    }
    if config.model != "autoencoder":  # whose codes follow none
        facts["prior"] = prior.name
        facts["prior_mean"] = [round(float(each), 4) for each in prior.mean]
        facts["prior_deviation"] = [round(float(each), 4) for each in prior.std]
    if config.finds_clusters:
        facts["clusters"] = networks.n_categories
    elif networks.wiring.has_categories:
        facts["class_names"] = run.record.dataset["class_names"]
    return facts | {"aae_jax": this_environment()["aae-jax"]}


def _refuse_size(run: Run) -> None:
    for subset in ("encoder", "decoder"):
        n_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(run.params[subset]))
        if n_bytes > _MOST_BYTES:
            raise UserError(
                f"the {subset} has {n_bytes / 2**30:.1f} GiB of weights, and a file of "
                "ONNX or StableHLO holds 2 GiB; train with a smaller --hidden to export"
            )


def _tried(run: Run, folder: Path) -> Differences:
    """Compare the files with the run on draws from its prior and their images.

    Raises:
      RunError: they differ by more than rounding explains.
    """
    shape = run.model.networks.image_shape
    rows = max(1, min(_ROWS, _VALUES // math.prod(shape)))
    with jax.default_matmul_precision("highest"):  # as there, and compiled once
        x, z = run.sample(rows), run.sample_codes(rows)
    found = differences(run, folder, x=x, z=z)
    for form, by_output in found.items():
        if not max(by_output.values()) <= _MOST_DIFFERENCE:  # nor NaN
            raise RunError(
                f"{form} differs from jax by {in_words(by_output)}, so nothing was "
                "written; this is a mistake of ours, please report it"
            )
    return found


def in_words(by_output: dict[str, float]) -> str:
    """`2e-07 in z, 5e-07 in x_hat (of the largest number)`."""
    each = ", ".join(f"{value:.1g} in {name}" for name, value in by_output.items())
    return f"{each} (of the largest number)"
