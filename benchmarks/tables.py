"""What docs/results.json says, as the tables of the pages."""

import statistics
from collections.abc import Mapping
from typing import Any

from tasks import GAINS, SUMMARY, TASKS, Task

Seeds = Mapping[str, Mapping[str, Any]]
"""What each seed of a row measured."""


def of_most_seeds(results: Mapping[str, Mapping[str, Seeds]]) -> dict[str, Seeds]:
    """For each row the numbers of the device that has most seeds of it.

    Of those with as many, the device whose name comes first: capitals before cpu.
    """
    return {
        name: devices[min(devices, key=lambda device: (-len(devices[device]), device))]
        for name, devices in results.items()
        if devices
    }


def table(results: Mapping[str, Any]) -> str:
    """The tasks that have a number, as Markdown."""
    if not results:
        return "Not trained yet.\n"
    lines = [
        "| task | recipe | paper | best public | ours | worst seed | target | reached "
        "| seeds | epochs | minutes a seed | device |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(task, results[task.row.name]) for task in _done(results)]
    lines += ["", "The commands:", ""]
    for name in dict.fromkeys(task.row.name for task in _done(results)):
        _, first = min(results[name].items())
        lines.append(f"- `{name}`: `{first['command']} --dataset path/to/mnist`")
    return "\n".join([*lines, ""])


def gains(results: Mapping[str, Any]) -> str:
    """What each part of the recipe does for 100 labels, as Markdown."""
    lines = [
        "| short training with 100 labels | held-out error | seeds |",
        "|---|---|---|",
    ]
    for title, row in GAINS.items():
        seeds = results.get(row.name, {}).values()
        if seeds:
            error = statistics.mean(seed["held_out_error"] for seed in seeds)
            lines.append(f"| {title} | {100 * error:.2f} % | {len(seeds)} |")
    return "\n".join([*lines, ""]) if len(lines) > 2 else ""


def _done(results: Mapping[str, Any]) -> list[Task]:
    """Tasks with a number from each seed that was run."""
    return [
        task
        for task in TASKS
        if (seeds := results.get(task.row.name, {}))
        and all(task.metric in measured for measured in seeds.values())
    ]


def _line(task: Task, seeds: Mapping[str, Any]) -> str:
    values = [each[task.metric] for each in seeds.values()]
    worst = min(values) if task.higher else max(values)
    ours = task.shown(statistics.mean(values))
    if len(values) > 1:
        ours += f" +- {task.shown(statistics.stdev(values))}"
    target, reached = "-", "-"
    if task.target is not None:
        target = task.shown(task.target)
        reached = "yes" if task.reached_by(worst) else "no"
    epochs = statistics.mean(each["epochs"] for each in seeds.values())
    minutes = statistics.mean(_minutes(each) for each in seeds.values())
    cells = [task.title, task.recipe, task.paper, task.public, ours, task.shown(worst)]
    cells += [target, reached, str(len(values)), f"{epochs:.0f}", f"{minutes:.1f}"]
    cells.append(next(iter(seeds.values()))["environment"]["device"])
    return f"| {' | '.join(cells)} |"


def _minutes(measured: Mapping[str, Any]) -> float:
    """Of one seed: those trained together share their time."""
    return measured["seconds"] / measured["environment"].get("together", 1) / 60


def summary(results: Mapping[str, Any]) -> str:
    """The numbers that the README shows, as Markdown."""
    lines = [
        "| on MNIST's test set | paper | aae_jax (seeds) | with shifts of 1 pixel (100 "
        "labels) or 2 (seeds) |",
        "|---|---|---|---|",
    ]
    for name, title in SUMMARY.items():
        paper = next(task.paper for task in TASKS if task.row.name == name)
        ours = [_mean(row, results) for row in (name, f"{name}-shift")]
        lines.append(f"| {title} | {paper} | {' | '.join(ours)} |")
    return "\n".join([*lines, ""])


def _mean(row: str, results: Mapping[str, Any]) -> str:
    """A row's first number, mean and deviation over its seeds; `-` where none is."""
    tasks = [task for task in _done(results) if task.row.name == row]
    if not tasks:
        return "-"
    values = [each[tasks[0].metric] for each in results[row].values()]
    mean = tasks[0].shown(statistics.mean(values))
    if len(values) > 1:
        mean += f" +- {tasks[0].shown(statistics.stdev(values))}"
    return f"{mean} ({len(values)})"


def elsewhere(results: Mapping[str, Mapping[str, Seeds]]) -> str:
    """The rows that more than one device trained, a line each, as Markdown."""
    lines = ["| row | device | metric | mean | seeds | minutes a seed |"]
    lines += ["|---|---|---|---|---|---|"]
    for task in TASKS:
        devices = results.get(task.row.name, {})
        for device, seeds in devices.items() if len(devices) > 1 else ():
            values = [
                each[task.metric] for each in seeds.values() if task.metric in each
            ]
            if len(values) == len(seeds):
                mean = task.shown(statistics.mean(values))
                minutes = statistics.mean(_minutes(each) for each in seeds.values())
                cells = [f"`{task.row.name}`", device, task.metric, mean]
                cells += [str(len(values)), f"{minutes:.1f}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""]) if len(lines) > 2 else ""
