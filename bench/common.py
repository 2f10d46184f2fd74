"""What every bench shares: a table on the terminal, the same rows as JSON in bench/results, and where the data is."""

import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kinetag.whole_file import whole_file

RESULTS = Path(__file__).parent / "results"


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows (all with the same keys) as a table."""
    table = Table(title=title, title_justify="left")
    for column in rows[0] if rows else ():
        table.add_column(column, justify="right" if isinstance(rows[0][column], int | float) else "left")
    for row in rows:
        table.add_row(*(_written(value) for value in row.values()))
    Console(width=max(120, Console().width)).print(table)


def _written(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return "-".join(_written(part) for part in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def save(name: str, at: Path | None = None, /, **content: Any) -> Path:
    """Write what was measured, with date and machine, to bench/results/<name>.json, or to ``at``."""
    path = at or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"date": date.today().isoformat(), "cores": os.cpu_count(), "python": platform.python_version()}
    with whole_file(path) as draft:
        draft.write_text(json.dumps({**about, **content}, indent=1) + "\n")
    return path


def data_folder(given: str | None) -> Path:
    """The folder of real clips: the argument, or KINETAG_DATA."""
    folder = given or os.environ.get("KINETAG_DATA")
    if not folder or not Path(folder).is_dir():
        raise SystemExit("this bench needs real clips: give --data FOLDER or set KINETAG_DATA")
    return Path(folder)
