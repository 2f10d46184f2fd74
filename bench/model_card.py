"""The tables of docs/model_card.md, from what the benches wrote to bench/results; nothing is measured here.

python bench/classifier.py --data FOLDER --final
python bench/views.py views.npz
python bench/model_card.py
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common import RESULTS
from scipy.stats import binomtest

from kinetag.classifier import Classifier
from kinetag.whole_file import whole_file

PAGE = Path(__file__).parent.parent / "docs" / "model_card.md"
REAL = {"gym test, seen": "gym clips", "Penn test": "Penn Action"}  # sets by class, and what their columns are called


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with whole_file(PAGE) as draft:
        draft.write_text(written(), "utf-8")
    print(f"written: {PAGE}")


def written() -> str:
    """The page, from the results and the shipped classifier's own card."""
    clips, views = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("classifier", "views"))
    card = Classifier.load().card
    # What tells the progress of repetitions may have been learned on a finished network.
    sizes = card.training.get("from", card.training)
    parts = [
        "# Model card of the exercise classifier",
        f"Made by `python bench/model_card.py` from bench/results of {clips['date']}; what the sets are, how they are "
        "measured, and the limits, are told in [classifier.md](classifier.md). Percent; intervals are of 95 %: "
        "bootstrap over people's movements for whole sets, Wilson's for classes, views and hidden parts.",
        table(
            ("", ""),
            [
                ("file", f"`exercise_classifier.onnx`, {card.precision}; `--model int8` is the same in 8 bits"),
                ("answers", f"{len(card.labels)} classes, {len(card.variants)} ways of doing them"),
                ("training data", card.data + "; no footage and no recorded skeleton of a real person"),
                ("licence", card.licence),
                ("training", f"{sizes['steps']:,} steps of {sizes['batch']}, seed {sizes['seed']} (`make train`)"),
                ("calibration", f"temperature {card.temperature:g}, bias of *other* {card.other_bias:g}"),
            ],
        ),
        "## Real people",
        table(
            ("set", "clips", "classes", "top-1", "top-2", "as a kind", "macro F1"),
            [_set(row) for row in clips["rows"]],
        ),
        "*other*: clips of none of the classes. *accepted*: the share of them that passes where 95 % of exercises do.",
        table(
            ("set", "other clips", "recalled", "AUROC", "accepted", "calibration error"),
            [_other(row) for row in clips["other"] if row["other clips"]],
        ),
        "## By view",
        f"Rendered people of all classes, whom training did not see, through BlazePose itself ({_clips(views)} clips).",
        table(("camera", *_heights(views), "all heights"), list(_views(views))),
        "## With parts hidden",
        "Gym clips of the test half, movement seen; *kept*: of the accuracy with everything seen, in the same run.",
        table(("hidden", "clips", "top-1", "kept"), [_hidden(row) for row in clips["occlusion"]["gym test"]]),
        "## By class",
        "Right of how many, with the interval; last, what real clips of the class are most often taken for.",
        table(("class", "rendered", *REAL.values(), "taken for"), list(_classes(clips["classes"], views["classes"]))),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)] if len(head) > 2 else ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(share: float | None, count: int) -> str:
    """'70 (61 to 78)': a share of ``count``, and Wilson's interval (1927)."""
    if share is None or not count:
        return "-"
    found = binomtest(round(share * count), count).proportion_ci(method="wilson")
    return f"{100 * share:.0f} ({100 * found.low:.0f} to {100 * found.high:.0f})"


def _between(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name} 95 %"]
    return f"{100 * row[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _set(row: dict[str, Any]) -> tuple[str, ...]:
    shares = (_between(row, "top-1"), _between(row, "top-2"), _percent(row["as a kind"]), _between(row, "macro F1"))
    return (row["set"], str(row["clips"]), str(row["classes"]), *shares)


def _other(row: dict[str, Any]) -> tuple[str, ...]:
    shares = (_percent(row[name]) for name in ("recalled", "AUROC", "accepted", "ECE"))
    return (row["set"], str(row["other clips"]), *shares)


def _hidden(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["hidden"], str(row["clips"]), interval(row["top-1"], row["clips"]), _percent(row["kept"]))


def _clips(views: dict[str, Any]) -> int:
    return next(group["clips"] for group in views["groups"] if group["people"] == "all")


def _heights(views: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(cell["height"] for cell in views["cells"]))


def _views(views: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    """A row a direction: right of how many at each height, and at all of them."""
    cells = {(cell["direction"], cell["height"]): cell for cell in views["cells"]}
    for direction in dict.fromkeys(cell["direction"] for cell in views["cells"]):
        own = [cells.get((direction, height)) for height in _heights(views)]
        count = sum(cell["clips"] for cell in own if cell)
        right = sum(cell["clips"] * cell["top-1"] for cell in own if cell)
        each = (f"{interval(cell['top-1'], cell['clips'])} of {cell['clips']}" if cell else "-" for cell in own)
        yield (direction, *each, f"{interval(right / count, count)} of {count}")


def _classes(sets: dict[str, list[dict[str, Any]]], rendered: list[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    """A row a class that anything is known of."""
    columns = [rendered, *(sets[name] for name in REAL)]
    found = [{row["class"]: row for row in rows} for rows in columns]
    for name in sorted(set().union(*found)):
        cells = [
            f"{interval(row['right'], row['clips'])} of {row['clips']}" if (row := rows.get(name)) else "-"
            for rows in found
        ]
        wrong: Counter[str] = Counter()
        for rows in found[1:]:
            for guess in filter(None, rows.get(name, {}).get("taken for", "").split(", ")):
                label, _, count = guess.rpartition(" ")
                wrong[label] += int(count)
        yield (name, *cells, ", ".join(f"{label} {count}" for label, count in wrong.most_common(3)))


if __name__ == "__main__":
    main()
