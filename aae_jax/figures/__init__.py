"""Pictures of a run: plain numpy arrays in, a matplotlib `Figure` out.

pyplot is never imported: a figure made here belongs to no window, needs no display, and
leaves the backend and the settings of the program around it alone.
"""

from aae_jax.figures.curves import losses_figure
from aae_jax.figures.histograms import histogram_figure
from aae_jax.figures.images import (
    grid_figure,
    reconstructions_figure,
    samples_figure,
    table_figure,
    take_turns,
)
from aae_jax.figures.latent import latent_figure
from aae_jax.figures.page import as_png, save
from aae_jax.figures.ranked import Ranked, ranked_figure

__all__ = [
    "Ranked",
    "as_png",
    "grid_figure",
    "histogram_figure",
    "latent_figure",
    "losses_figure",
    "ranked_figure",
    "reconstructions_figure",
    "samples_figure",
    "save",
    "table_figure",
    "take_turns",
]
