"""What a person sees of a training while it runs, and at its end."""

import datetime
import shlex
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from aae_jax.losses import DISCRIMINATOR_EQUILIBRIUM, GENERATOR_EQUILIBRIUM
from aae_jax.meanings import MEANINGS, SUMMARIZED, by_name
from aae_jax.messages import printable, say_on_stderr
from aae_jax.run_folder import RunFolder

EQUILIBRIA = {
    "discriminator": DISCRIMINATOR_EQUILIBRIUM,
    "generator": GENERATOR_EQUILIBRIUM,
    "label_discriminator": DISCRIMINATOR_EQUILIBRIUM,
    "label_generator": GENERATOR_EQUILIBRIUM,
}
"""Where the adversarial losses settle once codes follow the prior, in nats."""
_SECONDS_BETWEEN_LINES = 5
_FEW_IMAGES = 100
_FAR = 5


class _Bar(Progress):
    """A bar, and below it the status in as many lines as it needs."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.fields["status"]) for task in self.tasks)


class Reporter:
    """Shows a training on stderr: a live bar in a terminal, plain lines elsewhere."""

    def __init__(self, *, total_steps: int, first_step: int, quiet: bool) -> None:
        console = Console(stderr=True)
        self._lines = not quiet and not console.is_terminal
        self._last_line = -float("inf")
        self._ratio: float | None = None
        self._total = total_steps
        self._compiled: tuple[int, float] | None = None  # step and time
        self._bar = _Bar(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task(
            "", total=total_steps, completed=first_step, status=""
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def chunk(
        self, step: int, losses: Mapping[str, float], images_per_second: float
    ) -> None:
        """Show how far the training is: in the bar, or now and then in a line."""
        status = progress_text(losses, self._ratio, images_per_second)
        self._bar.update(self._task, completed=step, status=status)
        now = time.monotonic()
        due = now - self._last_line >= _SECONDS_BETWEEN_LINES
        if self._compiled is None:
            self._compiled = step, now
        if self._lines and (due or step == self._total):
            self._last_line = now
            first, began = self._compiled
            if step > first:
                left = (self._total - step) / (step - first) * (now - began)
                status += f"  {_clock(left)} left"
            say_on_stderr(f"step {step}/{self._total}  {status}")

    def epoch(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in what each run's line of the log says of its codes and the prior."""
        self._ratio = statistics.fmean(
            line["validation"]["latent"]["ratio"] for line in lines
        )


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def progress_text(
    losses: Mapping[str, float], ratio: float | None, images_per_second: float
) -> str:
    """Losses beside their equilibria, the latent ratio (1 is perfect), the speed."""
    parts = [
        f"{name} {value:.4f}"
        if name not in EQUILIBRIA
        else f"{name} {value:.3f} (-> {EQUILIBRIA[name]:.3f})"
        # What is minimized first, then what should settle at an equilibrium.
        for name, value in sorted(
            losses.items(), key=lambda pair: pair[0] in EQUILIBRIA
        )
    ]
    if ratio is not None:
        parts.append(f"latent ratio {ratio:.2f} (-> 1)")
    parts.append(f"{images_per_second:,.0f} images/s")
    return "  ".join(parts)


def summary(metrics: Mapping[RunFolder, Mapping[str, Any]]) -> str:
    """The test metrics with a word on each, and where everything is.

    Of several runs the means and standard deviations over them.
    """
    folders, of_each = list(metrics), list(metrics.values())
    lines = []
    for rows in zip(*map(_rows, of_each), strict=True):
        (name, _, meaning), values = rows[0], [value for _, value, _ in rows]
        spread = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        lines.append(
            f"  {name:<24}{statistics.fmean(values):>8.4f}{spread}   {meaning}"
        )
    warnings = dict.fromkeys(f"  {note}" for each in of_each for note in notes(each))
    seeds = f"{len(folders)} seeds " if len(folders) > 1 else ""
    lines = [f"{seeds}{_head(of_each[0])}", *lines, *warnings, *_places(folders)]
    return "\n".join(map(printable, lines))


def _places(folders: Sequence[RunFolder]) -> list[str]:
    first = folders[0]
    found = [f"pictures  {first.figures}/"] if first.figures.exists() else []
    found += [f"metrics   {first.metrics_file}"]
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        found = [f"runs      {names} in {first.path.parent}/"]
    if first.report_file.exists():
        each = ", and so for each" if len(folders) > 1 else ""
        found += [f"report    {first.report_file}{each}"]
    place = shlex.quote(str(first.path))
    return [*found, f"go on     python evaluate.py --run-dir {place}"]


def _rows(metrics: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """Each metric that there is, with what it means."""
    values = by_name(metrics)
    rows = []
    for name in SUMMARIZED:
        if values.get(name) is not None:
            meaning = MEANINGS[name].short
            if name == "latent.ratio" and "latent.rescaled" in values:
                meaning += ", codes first scaled to the prior"
            rows.append((name, values[name], meaning))
    return rows


def _head(metrics: Mapping[str, Any]) -> str:
    """How long it took, and on what it is measured."""
    steps, seconds = metrics["steps"], metrics["seconds"]
    head = f"trained for {steps:,} steps in {seconds:.0f} s; "
    if "measured" in metrics:
        head += f"on {metrics['measured']:,} of {metrics['images']:,} test images"
    else:
        head += f"on {metrics['images']:,} test images"
    if (labelled := metrics.get("labelled")) is not None:
        head += f", {labelled:,} of them labelled"
    return f"{head}:"


def notes(metrics: Mapping[str, Any]) -> list[str]:
    """What should be known before the numbers are believed."""
    latent = metrics["latent"]
    if metrics["images"] < _FEW_IMAGES:
        return ["few images: the ratio and the gap say little of the match"]
    if latent["ratio"] > _FAR and "rescaled" not in latent:
        return ["far from the prior: train longer, or see docs/tuning.md"]
    return []
