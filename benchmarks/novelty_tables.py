"""What docs/novelty.json says, as the tables of docs/novelty.md."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "novelty.json"
PAGE = ROOT / "docs" / "novelty.md"
BEGIN, END = "<!-- the tables: novelty.py write -->\n", "<!-- end of novelty.py -->\n"

Rows = Mapping[str, Mapping[str, Any]]
"""What each row of some settings measured, by its name."""
Results = Mapping[str, Rows]

_DIGITS = range(10)
_WAYS = ("error", "known_error", "density", "prior")
_SUMS = ("error and prior", "error and density", "score")


def write_tables(results: Results, *, final: str) -> None:
    """Put the tables between their marks on the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    found = results.get(final, {})
    tables = "\n".join([all_but(found), only(found), choices(results)])
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")


def all_but(rows: Rows) -> str:
    """The tenth digit after a training on nine, as Markdown."""
    titles = {
        "score": "auc",
        "`known_error` alone": "auc_known_error",
        "`log_density` alone": "auc_density",
        "`error` alone": "auc_error",
    }
    return _table("the digit to be found: AUC", "all-but", titles, rows)


def only(rows: Rows) -> str:
    """All other digits after a training on one, as Markdown."""
    titles = {
        "F1": "f1",
        "AUC": "auc",
        "AUC, `known_error` alone": "auc_known_error",
        "AUC, `log_density` alone": "auc_density",
        "AUC, `error` alone": "auc_error",
    }
    return _table("the digit trained on", "only", titles, rows)


def _table(heading: str, protocol: str, titles: Mapping[str, str], rows: Rows) -> str:
    lines = [f"| {heading} | {' | '.join(map(str, _DIGITS))} | mean |"]
    lines += ["|---" * (len(_DIGITS) + 2) + "|"]
    names = [f"{protocol}-{digit}" for digit in _DIGITS]
    for title, metric in titles.items():
        values = [rows.get(name, {}).get("test", {}).get(metric) for name in names]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        known = [value for value in values if value is not None]
        mean = f"**{statistics.mean(known):.3f}**" if None not in values else "-"
        lines.append(f"| {title} | {' | '.join(cells)} | {mean} |")
    return "\n".join([*lines, ""])


def choices(results: Results) -> str:
    """AUC on images kept apart, for each setting and way to score, as Markdown."""
    columns = (*_WAYS, *_SUMS)
    lines = [f"| settings | row | {' | '.join(columns)} |"]
    lines += ["|---" * (len(columns) + 2) + "|"]
    for settings, rows in sorted(results.items()):
        for name, measured in sorted(rows.items()):
            cells = [f"{measured['apart'][column]:.3f}" for column in columns]
            lines.append(f"| `{settings}` | `{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
