"""What each metric means: a few words for a terminal, a sentence for a page."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aae_jax.measured_values import is_number


class Meaning(NamedTuple):
    """What a number tells, in short and in full."""

    sentence: str
    short: str = ""


MEANINGS: Mapping[str, Meaning] = {
    "reconstruction_mse": Meaning(
        "the squared error of a pixel, pixels from 0 to 1.", "squared error a pixel"
    ),
    "latent.ratio": Meaning(
        "how far the codes are from the prior (sliced Wasserstein distance), divided "
        "by how far two samples of the prior are from each other. 1 is a perfect "
        "match. The more images are measured, the smaller the mismatch that it shows: "
        "the ratio of the test images is mostly larger than that of the fewer held-out "
        "images in the log.",
        "codes to prior; 1 is perfect, more images see more",
    ),
    "latent.gap_fraction": Meaning(
        "the share of prior samples with no code near. 0.01 is perfect.",
        "prior without codes; 0.01 is perfect",
    ),
    "knn_accuracy": Meaning(
        "how often the five nearest codes tell a digit's class; only where there are "
        "labels. A code that is to hold style alone should not tell it.",
        "class told by 5 neighbours",
    ),
    "discriminator_accuracy": Meaning(
        "how often the discriminator tells codes from prior samples. 0.5 is chance.",
        "0.5 cannot tell codes from prior",
    ),
    "test_error": Meaning(
        "the share of test images that are put in a wrong class.",
        "share of images in a wrong class",
    ),
    "error": Meaning("the share of held-out images that are put in a wrong class."),
    "cluster_error": Meaning(
        "the share of images in a cluster of another class; a cluster has the class of "
        "the held-out image that is surest to belong to it.",
        "share of images in a cluster of another class",
    ),
    "cluster_error_majority": Meaning(
        "the same where a cluster has the class of most of its images: never worse, "
        "because it reads their labels."
    ),
    "clusters_used": Meaning("how many clusters have any of the images."),
    "part_share": Meaning(
        "the share of codes on the part of the prior that their class chooses.",
        "codes on the part of their class",
    ),
    "latent.sliced_wasserstein": Meaning(
        "how far the codes are from the prior, in units of the code."
    ),
    "latent.floor": Meaning(
        "the same of two samples of the prior: the least that can be expected."
    ),
    "latent.mean": Meaning("of the codes, in each dimension."),
    "latent.std": Meaning("standard deviation of the codes, in each dimension."),
    "latent.rescaled": Meaning(
        "the codes, which follow no prior, were first scaled to its mean and deviation."
    ),
    "images": Meaning("how many there are."),
    "measured": Meaning("how many of them were measured, evenly spaced."),
    "labelled": Meaning("how many of those have a label."),
    "steps": Meaning("batches that were trained on."),
    "epochs": Meaning("passes over the images that were trained on."),
    "seconds": Meaning("of training alone."),
    "images_per_second": Meaning("trained on, on average."),
}
"""By name, that of an object and of a number in it with a dot between."""

_LISTED = 4  # numbers of a list

SUMMARIZED = tuple(name for name, meaning in MEANINGS.items() if meaning.short)
"""Those that a terminal shows."""


def by_name(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"latent.ratio": 1.2, ...}` from nested objects; lists stay as they are."""
    values: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            values |= by_name(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values


def number_text(value: Any) -> str:
    """A value of a metric as a table shows it; of many numbers a range."""
    if isinstance(value, list):
        if len(value) > _LISTED and all(map(is_number, value)):
            return f"{number_text(min(value))} to {number_text(max(value))}"
        return ", ".join(map(number_text, value))
    if isinstance(value, bool) or not is_number(value):
        return "yes" if value is True else str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3g}"
