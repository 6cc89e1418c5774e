"""The numbers that the paper or the guide has, or asks for, and how each is trained."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rows import Row

PARZEN_SAMPLES = 10_000
PAPER_EPOCHS = 10
"""Length of the rows with the paper's recipe: half of ours, 5,400 steps."""


@dataclass(frozen=True)
class Task:
    """A number to reach.

    Attributes:
      title: what is measured.
      metric: its name in docs/results.json.
      row: the training.
      target: what we set out to reach, a share of 1 or in nats; None where it is only
        reported.
      paper, public: what the paper says, and the best re-run found; see the notes on
        the page.
      higher: whether more is better.
      recipe: in words.
    """

    title: str
    metric: str
    row: Row
    target: float | None = None
    paper: str = "-"
    public: str = "-"
    higher: bool = False
    recipe: str = "tuned"

    def shown(self, value: float) -> str:
        """A value as the table has it."""
        if self.metric == "parzen":
            return f"{value:.1f}"
        if self.metric.endswith("error"):
            return f"{100 * value:.2f} %"
        return f"{value:.3f}"

    def reached_by(self, value: float) -> bool:
        """Whether a value is the target or better."""
        assert self.target is not None
        return value >= self.target if self.higher else value <= self.target


def _with_shifts(task: Task, target: float, pixels: int) -> Task:
    flags = f"{task.row.flags} --shift {pixels}"
    row = Row(f"{task.row.name}-shift", flags, task.row.seeds)
    return replace(task, row=row, target=target, recipe="tuned, with shifts")


def _with_recipe_of_paper(task: Task) -> Task:
    flags = f"{task.row.flags} --recipe paper --epochs {PAPER_EPOCHS}"
    row = Row(f"{task.row.name}-paper", flags, seeds=(0,))
    return replace(task, row=row, target=None, recipe="paper")


def _classification() -> Iterator[Task]:
    rows = (
        ("100", 0.040, 0.028, "1.90 +- 0.10 (q)", "about 5"),
        ("1000", 0.026, 0.020, "1.60 +- 0.08 (m)", "2.90 at 1,280 labels"),
        ("all", 0.014, 0.010, "0.85 +- 0.02 (m)", "-"),
    )
    for labels, target, shifted, paper, public in rows:
        flags = f"--model semi-supervised --labels {labels} --z-dim 10 --prior-scale 1"
        row = Row(f"semi-supervised-{labels}", flags)
        title = f"test error, {labels} labels"
        task = Task(title, "test_error", row, target, paper, public)
        yield task
        title = f"generated images read as their class, {labels} labels"
        yield Task(title, "read_as_class", row, higher=True)
        yield _with_shifts(task, shifted, pixels=1 if labels == "100" else 2)
        yield _with_recipe_of_paper(task)
    # Nothing but the classification phase moves: the network that the guide compares.
    flags = (
        "--model semi-supervised --labels 1000 --recipe guide --epochs 10 "
        "--reconstruction-rate 0 --discriminator-rate 0 --generator-rate 0 "
        "--label-generator-rate 0"
    )
    row = Row("plain-1000", flags)
    yield Task("test error, 1000 labels", "test_error", row, recipe="plain network")


def _clustering() -> Iterator[Task]:
    rows = (
        (30, 0.08, "4.10 +- 1.13 (q)", "15"),
        (16, 0.14, "9.55 +- 2.05 (q)", "-"),
    )
    for clusters, target, paper, public in rows:
        flags = f"--model clustering --clusters {clusters} --z-dim 5 --prior-scale 1"
        row = Row(f"clustering-{clusters}", flags)
        title = f"clustering error, {clusters} clusters"
        yield Task(title, "cluster_error", row, target, paper, public)


def _reduction() -> Iterator[Task]:
    rows = (
        ("1000", "test_error", 0.06, "4.20 (m)", "-"),
        ("100", "test_error", 0.10, "6.08 (m)", "26"),
        ("0", "cluster_error", None, "about 13.5, 20 clusters (q)", "-"),
    )
    for labels, metric, target, paper, public in rows:
        flags = f"--model dim-reduction --labels {labels} --prior-scale 1"
        row = Row(f"dim-reduction-{labels}", flags)
        title = f"error of the 2-D reduction, {labels} labels"
        yield Task(title, metric, row, target, paper, public)
    flags = "--model dim-reduction --labels 1000 --prior-scale 1 --z-dim 10"
    row = Row("dim-reduction-10d", flags)
    yield Task("error of the 10-D reduction, 1000 labels", "test_error", row)


def _supervised() -> Iterator[Task]:
    row = Row("supervised", "--model supervised --z-dim 10")
    yield Task("class told from style by 5 neighbours", "knn_accuracy", row, 0.25)
    yield Task("test MSE, in that of a decoder of labels alone", "mse_share", row, 0.7)
    title = "generated images read as their class"
    yield Task(title, "read_as_class", row, 0.97, higher=True)


def _label_prior() -> Iterator[Task]:
    for prior, part in (("mixture", "component"), ("swiss-roll", "stretch")):
        flags = f"--model label-prior --prior {prior} --labels 10000"
        row = Row(f"label-prior-{prior}", flags)
        title = f"share of codes on their {part}"
        yield Task(title, "part_share", row, 0.9, higher=True)
        yield Task(f"latent ratio to the {prior}", "latent_ratio", row, 2.0)


def _parzen() -> Iterator[Task]:
    # The adversary of the models with classes; that of aae runs away at this length.
    flags = (
        "--model aae --z-dim 6 --batch-norm True --discriminator-rate 0.001 "
        "--generator-rate 0.001 --generator-beta1 0.5 --generator-epsilon 1e-8 "
        "--generator-final 0.04 --instance-noise 0.1 --input-noise 0 "
        "--reconstruction-rate 0.002"
    )
    yield Task(
        f"Parzen log-likelihood, {PARZEN_SAMPLES:,} samples, nats",
        "parzen",
        Row("parzen", flags, lengths=3),
        340,
        "340 +- 2 (q)",
        "340 at 2000 epochs, 378 at 5000",
        higher=True,
    )


TASKS = (
    *_classification(),
    *_clustering(),
    *_reduction(),
    *_supervised(),
    *_label_prior(),
    *_parzen(),
)

SUMMARY = {
    "semi-supervised-100": "test error with 100 labels",
    "semi-supervised-1000": "with 1,000 labels",
    "semi-supervised-all": "with all labels",
    "clustering-30": "clustering error, 30 clusters",
    "clustering-16": "16 clusters",
    "dim-reduction-1000": "error in a plane, 1,000 labels",
    "dim-reduction-100": "100 labels",
    "dim-reduction-0": "no labels",
    "parzen": "Parzen log-likelihood, nats (more is better)",
}
"""Rows that the README shows, each with its title there."""

_SHORT = "--model semi-supervised --labels 100 --z-dim 10 --prior-scale 1 --steps 2160"
GAINS = {
    "the recipe": Row("gain-recipe", _SHORT),
    "no consistency term": Row("gain-unsteady", f"{_SHORT} --consistency-weight 0"),
    "no batch normalization": Row("gain-unnormalized", f"{_SHORT} --batch-norm False"),
    "neither": Row(
        "gain-neither", f"{_SHORT} --consistency-weight 0 --batch-norm False"
    ),
    "no noise on the images": Row("gain-noiseless", f"{_SHORT} --input-noise 0"),
    "no reconstruction": Row("gain-blind", f"{_SHORT} --reconstruction-rate 0"),
    "categories aggregated": Row(
        "gain-aggregated",
        f"{_SHORT} --aggregated-categories True --entropy-weight 0.25 "
        "--consistency-weight 2.5",
    ),
    "with shifts": Row("gain-shift", f"{_SHORT} --shift 2"),
}
"""One change each to a short training with 100 labels: what mattered."""
ROWS = {row.name: row for row in [*(task.row for task in TASKS), *GAINS.values()]}
