"""What the original BlazePose networks say about a rendered person: tests/data/blazepose_golden.npz.

    pip install ai-edge-litert
    python tools/blazepose_golden.py WHEEL --out tests/data/blazepose_golden.npz

WHEEL is the folder of the unpacked mediapipe wheel (see tools/convert_blazepose.py). The pictures are stored with the
answers, so that the test does not depend on the renderer.
"""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"
LANDMARK = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path("tests/data/blazepose_golden.npz"))
    arguments = parser.parse_args()
    image = cv2.resize(person_picture(), (256, 256), interpolation=cv2.INTER_AREA)
    boxes, scores = run(arguments.wheel / DETECTOR, image[16:240, 16:240] / np.float32(127.5) - 1)
    points, presence, _, heatmaps, world = run(arguments.wheel / LANDMARK, image / np.float32(255))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        arguments.out,
        image=image,  # the detector saw its middle, 224 x 224
        boxes=boxes[0, ::7].astype(np.float32),
        scores=scores[0, :, 0].astype(np.float32),
        points=points.reshape(39, 5),
        presence=presence.reshape(1),
        world=world.reshape(39, 3),
        heatmaps=heatmaps[0, ::8, ::8].astype(np.float32),
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB, presence {presence.item():.3f}")


def person_picture() -> np.ndarray:
    """A square around a rendered person, uint8 (S, S, 3)."""
    from kinetag.exercises.scenes import make_scene

    frame = next(islice(make_scene("single:squat", width=640, height=360).frames(), 30, None))
    return frame.image[:, 140:500]


def run(path: Path, image: np.ndarray) -> list[Any]:
    """The outputs of one TFLite network, in its own order."""
    from ai_edge_litert.interpreter import Interpreter  # pyright: ignore[reportMissingImports]

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None].astype(np.float32))
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


if __name__ == "__main__":
    main()
