"""What the log and the metrics of a run may hold; anybody may have written them."""

from collections.abc import Mapping
from typing import Any

_ALWAYS_MEASURED = ("reconstruction_mse", "images", "steps", "seconds")
_NO_NUMBERS = ("split", "latent")


def check_line(line: Mapping[str, Any]) -> None:
    """Refuse a line of metrics.jsonl without what every line has.

    Raises:
      KeyError, ValueError, RecursionError: it is not one of ours.
    """
    if not is_count(line["step"]) or not isinstance(line["losses"], dict):
        raise ValueError("no step or no losses")
    if not is_measured(line):
        raise ValueError("not all values are numbers")


def check_metrics(metrics: Mapping[str, Any]) -> None:
    """Refuse a metrics.json without what every one has.

    Raises:
      KeyError, TypeError, ValueError, RecursionError: it is not one of ours.
    """
    latent = dict(metrics["latent"])
    numbers = [value for name, value in metrics.items() if name not in _NO_NUMBERS]
    numbers += [metrics[name] for name in _ALWAYS_MEASURED]
    numbers += [latent["ratio"], latent["gap_fraction"]]
    if not all(map(is_number, numbers)):
        raise ValueError("not all values are numbers")
    if not is_measured(latent):
        raise ValueError("not all values of latent are numbers")


def is_count(value: Any) -> bool:
    """Whether a value is a whole number from 1 that fits an array's size."""
    return type(value) is int and 0 < value < 2**31


def is_number(value: Any) -> bool:
    """Whether a value from JSON is a number that can be computed with."""
    return isinstance(value, int | float) and abs(value) < 1e300


def is_measured(value: Any) -> bool:
    """Whether a value from JSON is a number, or a list or object of nothing else."""
    if isinstance(value, dict):
        return all(map(is_measured, value.values()))
    if isinstance(value, list):
        return all(map(is_measured, value))
    return is_number(value)
