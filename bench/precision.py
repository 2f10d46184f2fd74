"""What float16 and int8 cost: accuracy, size and speed of one checkpoint exported in every precision.

    python bench/precision.py --checkpoint model.pth --data clips.pkl --calibrate train --test test
    python bench/precision.py --checkpoint model.pth --data FOLDER_OF_ARRAYS

The clips are in any format that `kinetag evaluate` reads; of an annotation pickle, ``--calibrate`` and ``--test`` name
the splits that int8 is fitted to and that accuracy is measured on. Speed is onnxruntime on one thread, one clip at a
time.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import save, show

from kinetag.actions.evaluate import evaluate
from kinetag.actions.export import export
from kinetag.models.onnx_file import open_session
from kinetag.spec import load_spec

_CLIPS, _FRAMES = 200, 100  # of the measurement of speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", required=True, help="clips, in any format that kinetag reads")
    parser.add_argument("--calibrate", default="", help="label_path of the clips that int8 is fitted to")
    parser.add_argument("--test", default="", help="label_path of the clips that are judged")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(precision, options, Path(folder)) for precision in ("fp32", "fp16", "int8")]
    show(f"Precision: {options.checkpoint.name} on {Path(options.data).name}", rows)
    save("precision", rows=rows)


def measure(precision: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    path = folder / f"{precision}.onnx"
    written = export(
        load_spec(
            None,
            [
                f"results_dir={folder}",
                f"export.checkpoint={options.checkpoint}",
                f"export.onnx_file={path}",
                f"export.precision={precision}",
                f"export.calibration_dataset.data_path={options.data}",
                f"export.calibration_dataset.label_path={options.calibrate}",
            ],
            action="export",
        )
    )
    found = evaluate(
        load_spec(
            None,
            [
                f"results_dir={folder}",
                f"evaluate.checkpoint={path}",
                f"evaluate.test_dataset.data_path={options.data}",
                f"evaluate.test_dataset.label_path={options.test}",
            ],
            action="evaluate",
        )
    )
    return {
        "precision": precision,
        "megabytes": written.megabytes,
        "clips": found.clips,
        "accuracy": round(found.accuracy, 4),
        "calibration error": round(found.calibration_error, 4),
        "same class in calibration": round(written.same_class, 4),
        "clips a second": round(speed(path)),
    }


def speed(path: Path) -> float:
    """Clips a second of the middle run of 5, one thread, batch 1."""
    session = open_session(path.read_bytes(), path.name)
    shape = [
        1 if i == 0 else size if isinstance(size, int) else _FRAMES
        for i, size in enumerate(session.get_inputs()[0].shape)
    ]
    clip = np.random.default_rng(0).random(shape, np.float32)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(_CLIPS // 5):
            session.run(None, {"input": clip})
        times.append(time.perf_counter() - start)
    return _CLIPS / 5 / float(np.median(times))


if __name__ == "__main__":
    main()
