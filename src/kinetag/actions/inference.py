"""The classes of clips without labels: TAO's text file, or JSON or CSV with scores, person and interval."""

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.actions.evaluate import batch_size, model_and_clips, run
from kinetag.actions.nodes import joined
from kinetag.encryption import write_file
from kinetag.progress import Progress, silent
from kinetag.status import Status
from kinetag.storage import stored

if TYPE_CHECKING:
    from kinetag.datasets.clips import Clips
    from kinetag.spec import Spec


@dataclass(frozen=True)
class Predictions:
    """The class of each clip, and the probabilities (N, K) that say so."""

    clips: int
    output_file: Path | str  # an address where it was put into a store
    predicted: dict[str, int]  # clips by class
    warnings: tuple[str, ...] = ()
    classes: tuple[str, ...] = field(default=(), repr=False)  # of each clip
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)


@stored("inference")
def inference(spec: "Spec", *, progress: Progress = silent) -> Predictions:
    """Classify the clips of ``inference.test_dataset`` on the devices that the spec names.

    The text file has one class name a line, in the order of the clips. JSON and CSV add the probabilities, and person
    and interval where the data know them.
    """
    folder = spec.results_folder("inference")
    status = Status(folder, "inference", secret=spec.secret(), shown=spec.shown)
    with status, joined("inference", spec.inference.num_nodes) as nodes:
        predictor, clips, notes = model_and_clips(spec, "inference", role="test", need_labels=False, progress=progress)
        size = batch_size(spec, "inference")
        probabilities = run(predictor, clips, size, nodes=nodes, progress=progress)
        kind = spec.inference.output_format
        path = Path(spec.inference.output_file or folder / f"predictions.{kind}")
        text = WRITERS[kind](clips, probabilities, min(spec.inference.top_k, len(clips.class_names)))
        if nodes.rank == 0:
            write_file(path, text.encode())
        classes = tuple(clips.class_names[i] for i in probabilities.argmax(axis=1))
        counts = {name: classes.count(name) for name in clips.class_names if name in classes}
        status.running(f"Wrote the classes of {len(clips)} clips to {path}.", kpi={"clips": len(clips)})
    return Predictions(len(clips), path, counts, tuple(notes), classes, probabilities)


def _text(clips: "Clips", probabilities: np.ndarray, k: int) -> str:
    return "".join(f"{clips.class_names[i]}\n" for i in probabilities.argmax(axis=1))


def _json(clips: "Clips", probabilities: np.ndarray, k: int) -> str:
    record = {"source": clips.source, "classes": list(clips.class_names), "clips": _rows(clips, probabilities, k)}
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(clips: "Clips", probabilities: np.ndarray, k: int) -> str:
    """A line a clip: name, person, interval, then the k likeliest classes with their scores."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ranks = [f"{what}_{rank}" for rank in range(2, k + 1) for what in ("class", "score")]
    writer.writerow(["clip", "person", "start", "end", "class", "score", *ranks])
    for row in _rows(clips, probabilities, k):
        best = [value for item in row["top"] for value in (item["class"], item["score"])]
        writer.writerow([row["clip"], row.get("person", ""), row.get("start", ""), row.get("end", ""), *best])
    return out.getvalue()


WRITERS = {"txt": _text, "json": _json, "csv": _csv}


def _rows(clips: "Clips", probabilities: np.ndarray, k: int) -> list[dict[str, Any]]:
    """What is known of each clip and its k likeliest classes; person and interval only where the data have them."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    rows = []
    for i, (scores, order) in enumerate(zip(probabilities, best, strict=True)):
        row: dict[str, Any] = {"clip": str(clips.names[i])}
        if clips.people is not None:
            row["person"] = int(clips.people[i])
        if clips.intervals is not None:
            row["start"], row["end"] = (round(float(t), 3) for t in clips.intervals[i])
        top = [{"class": clips.class_names[j], "score": round(float(scores[j]), 6)} for j in order]
        rows.append(row | {"class": top[0]["class"], "score": top[0]["score"], "top": top})
    return rows
