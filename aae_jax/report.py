"""A run on one page of HTML: what was trained, how well, and how to do it again."""

import contextlib
from collections import deque
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from aae_jax.meanings import MEANINGS, by_name, number_text
from aae_jax.options import PICTURE_NAMES
from aae_jax.page_template import data_uri, fill
from aae_jax.reporting import EQUILIBRIA, notes
from aae_jax.run import Run
from aae_jax.run_facts import Row, command_values, facts_of, network_values
from aae_jax.small_files import write_text
from aae_jax.stalemate import WINDOW, stalemate

_IMAGES = {"test": "test images", "validation": "images held out of training"}


def write_report(
    run: Run,
    pictures: Mapping[str, bytes],
    *,
    out: Path,
    split: str = "test",
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write the page of a run, with its pictures inside.

    Args:
      pictures: PNG by name, see `draw_pictures`.
      out: the file.
      split: of whose images the pictures are, and the metrics if they are known: those
        of the test set once the run has ended; held-out images are in the log.
      metrics: of the test set, where metrics.json does not tell them yet.

    Raises:
      UserError: metrics.json or the log is damaged.
      RunError: `out` cannot be written.
    """
    template = resources.files("aae_jax").joinpath("web/report.html")
    values = _values(run, pictures, split, metrics)
    write_text(out, fill(template.read_text(encoding="utf-8"), values))


def _values(
    run: Run,
    pictures: Mapping[str, bytes],
    split: str,
    metrics: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the names in the template stand for."""
    folder, config = run.folder, run.record.config
    if metrics is None and folder.metrics_file.exists():
        metrics = folder.read_metrics()
    lines = deque(folder.log_lines(), maxlen=WINDOW)
    last = lines[-1] if lines else {}
    measured, measured_on = _measured(split, metrics, last)
    took = metrics or last
    in_seconds = f" in {took['seconds']:,.0f} s" if "seconds" in took else ""
    return {
        "title": folder.title,
        "lead": f"Model {config.model} with the prior {run.model.prior.name}, "
        f"trained on {run.record.dataset['name']} for "
        f"{took.get('steps', took.get('step', run.step)):,} steps{in_seconds}.",
        "warnings": [{"warning": each} for each in _warnings(run, metrics, lines)],
        "facts": facts_of(run),
        "measured_on": measured_on,
        "metrics": _metric_rows(measured),
        **_loss_values(last),
        **_picture_values(pictures),
        "pictures_of": f"Drawn by the weights of step {run.step:,}; where a picture "
        f"shows images or their codes, they are the {_IMAGES[split]}.",
        **network_values(run),
        **command_values(run, ended=metrics is not None),
    }


def _warnings(
    run: Run, metrics: Mapping[str, Any] | None, lines: Iterable[Mapping[str, Any]]
) -> list[str]:
    """What a reader should know before anything else."""
    found: list[str | None] = []
    if metrics is None:
        found.append(
            f"This training has not ended: of {run.record.config.total_steps():,} "
            f"steps {run.step:,} are saved. The test set is measured at the end."
        )
    else:
        found += notes(metrics)
    # Somebody else may have written the log.
    with contextlib.suppress(KeyError, TypeError, AttributeError):
        found.append(stalemate(list(lines)))
    return [each for each in found if each]


def _measured(
    split: str, metrics: Mapping[str, Any] | None, last: Mapping[str, Any]
) -> tuple[Mapping[str, Any], str]:
    """The metrics to show, and what they were measured on."""
    if metrics is not None and split == "test":
        where = f"{metrics['images']:,} test images"
        if "measured" in metrics:
            where = f"{metrics['measured']:,} of {where}"
        return metrics, f"Measured on {where}, once, at the end."
    if not last:
        return {}, "No epoch has ended yet, so nothing is measured."
    validation = last.get("validation")
    where = (
        f"Measured on images held out of training at step {last['step']:,}, the last "
        "line of metrics.jsonl."
    )
    return validation if isinstance(validation, Mapping) else {}, where


def _metric_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Each metric with its meaning: the known ones in our order, then any others."""
    values = by_name(metrics)
    values.pop("split", None)
    names = dict.fromkeys((*MEANINGS, *values))
    return [
        {
            "name": name,
            "value": number_text(values[name]),
            "meaning": MEANINGS[name].sentence if name in MEANINGS else "",
        }
        for name in names
        if name in values
    ]


def _loss_values(last: Mapping[str, Any]) -> dict[str, Any]:
    losses = last.get("losses", {})
    rows = [
        {
            "name": name,
            "value": number_text(value),
            "equilibrium": number_text(EQUILIBRIA[name]) if name in EQUILIBRIA else "",
        }
        for name, value in by_name(losses).items()
    ]
    return {
        "losses": rows,
        "losses_of": "Means over the last epoch's steps, "
        f"up to step {last.get('step', 0):,}.",
        "has_equilibria": any(name in EQUILIBRIA for name in losses),
    }


def _picture_values(pictures: Mapping[str, bytes]) -> dict[str, Any]:
    values: dict[str, Any] = {
        f"picture_{name}": [{"png": data_uri(pictures[name])}]
        if name in pictures
        else []
        for name in PICTURE_NAMES
    }
    return values | {"has_pictures": bool(set(pictures) - {"losses"})}
