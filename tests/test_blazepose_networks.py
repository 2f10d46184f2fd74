"""BlazePose's converted networks against the original ones in the original runtime."""

import os
from pathlib import Path

import numpy as np
import pytest

from kinetag.pose.networks import DetectorNetwork, LandmarkNetwork, open_network, refine
from kinetag.pose.regions import Region

GOLDEN = Path(__file__).parent / "data" / "blazepose_golden.npz"
WHEEL = os.environ.get("KINETAG_MEDIAPIPE_WHEEL")  # folder of the unpacked wheel mediapipe 0.10.21


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as saved:
        return dict(saved)


def run(name: str, images: np.ndarray) -> dict[str, np.ndarray]:
    session = open_network(f"{name}.onnx")
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def check_landmark(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(ours["points"][0, :, :3], theirs["points"][:, :3], atol=0.1)  # of 256 pixels
    np.testing.assert_allclose(ours["points"][0, :, 3:], theirs["points"][:, 3:], atol=0.1)  # logits
    np.testing.assert_allclose(ours["presence"][0], theirs["presence"], atol=1e-3)
    np.testing.assert_allclose(ours["world"][0], theirs["world"], atol=1e-3)  # metres
    np.testing.assert_allclose(ours["heatmaps"][0, ::8, ::8], theirs["heatmaps"], atol=0.1)


def check_detector(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(ours["boxes"][0, ::7], theirs["boxes"], atol=0.25)  # of 224 pixels
    assert theirs["scores"].max() > 1, "the detector should see the person"
    sure = theirs["scores"] > -5
    np.testing.assert_allclose(ours["scores"][0, sure, 0], theirs["scores"][sure], atol=0.05)  # logits


def test_landmark_network_gives_what_the_original_gave(golden: dict[str, np.ndarray]) -> None:
    assert golden["presence"][0] > 0.9
    check_landmark(run("blazepose_landmark", golden["image"][None]), golden)


def test_detector_gives_what_the_original_gave(golden: dict[str, np.ndarray]) -> None:
    check_detector(run("blazepose_detector", golden["image"][None, 16:240, 16:240]), golden)


@pytest.mark.skipif(not WHEEL, reason="set KINETAG_MEDIAPIPE_WHEEL to the unpacked wheel mediapipe 0.10.21")
@pytest.mark.parametrize("seed", range(3))
def test_networks_agree_with_the_original_runtime_on_noise(seed: int) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install ai-edge-litert").Interpreter

    def original(path: str, image: np.ndarray) -> list[np.ndarray]:
        network = interpreter(str(Path(WHEEL or "") / "mediapipe/modules" / path), num_threads=1)
        network.allocate_tensors()
        network.set_tensor(network.get_input_details()[0]["index"], image[None].astype(np.float32))
        network.invoke()
        return [network.get_tensor(output["index"]) for output in network.get_output_details()]

    # Smooth noise: neighbouring pixels are alike, as in pictures.
    coarse = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    image = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    points, presence, _, heatmaps, world = original("pose_landmark/pose_landmark_full.tflite", image / np.float32(255))
    check_landmark(
        run("blazepose_landmark", image[None]),
        {
            "points": points.reshape(39, 5), "presence": presence.reshape(1), "world": world.reshape(39, 3),
            "heatmaps": heatmaps[0, ::8, ::8],
        },
    )  # fmt: skip
    middle = image[16:240, 16:240]
    boxes, scores = original("pose_detection/pose_detection.tflite", middle / np.float32(127.5) - 1)
    ours = run("blazepose_detector", middle[None])
    np.testing.assert_allclose(ours["boxes"], boxes, atol=0.5)
    near = scores > -5
    np.testing.assert_allclose(ours["scores"][near], scores[near], atol=0.05)


@pytest.mark.parametrize("name", ["blazepose_detector", "blazepose_landmark"])
def test_a_batch_gives_the_same_as_one_at_a_time(name: str) -> None:
    side = DetectorNetwork.side if name == "blazepose_detector" else LandmarkNetwork.side
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    together = run(name, images)
    for i, image in enumerate(images):
        for output, value in run(name, image[None]).items():
            np.testing.assert_allclose(together[output][i], value[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["blazepose_detector", "blazepose_landmark"])
def test_weights_say_where_they_are_from(name: str) -> None:
    metadata = open_network(f"{name}.onnx").get_modelmeta().custom_metadata_map
    assert "mediapipe 0.10.21" in metadata["source"]
    assert "Apache-2.0" in metadata["licence"]


def test_detector_and_landmarks_work_together(golden: dict[str, np.ndarray]) -> None:
    image = golden["image"]
    (score, region), *_ = DetectorNetwork()(image, Region(128, 128, 256), 0.5)
    assert score > 0.8
    body = LandmarkNetwork()(image, region)
    assert body.score > 0.9
    nose, left_ankle = body.points[0], body.points[27]
    assert nose[1] < left_ankle[1] - 40, "the head is above the feet"
    assert body.world[0, 1] < body.world[27, 1], "and in the world, where y is down, too"


def test_a_turned_region_gives_the_same_person(golden: dict[str, np.ndarray]) -> None:
    """The picture on its side, looked at by a region on its side: points and world points turn along."""
    image = golden["image"]
    network = LandmarkNetwork()
    upright = network(image, Region(127.5, 127.5, 256))
    side = network(np.ascontiguousarray(np.rot90(image, -1)), Region(127.5, 127.5, 256, np.pi / 2))
    # Clockwise: (x, y) -> (255 - y, x).
    expected = np.stack([255 - upright.points[:, 1], upright.points[:, 0]], axis=1)
    assert np.median(np.linalg.norm(side.points - expected, axis=1)) < 2
    turned = np.stack([-upright.world[:, 1], upright.world[:, 0]], axis=1)
    assert np.median(np.linalg.norm(side.world[:, :2] - turned, axis=1)) < 0.05


def test_refinement_follows_the_loops_of_the_original() -> None:
    """The definition of MediaPipe's RefineLandmarksFromHeatmapCalculator, written out."""
    rng = np.random.default_rng(1)
    points, heatmaps = rng.uniform(-20, 280, (39, 2)), rng.normal(-1, 2, (64, 64, 39))
    expected = points.copy()
    for i, (x, y) in enumerate(points):
        column, row = int(np.floor(x / 4)), int(np.floor(y / 4))
        if not (0 <= column < 64 and 0 <= row < 64):
            continue
        total = best = sum_x = sum_y = 0.0
        for r in range(max(0, row - 3), min(64, row + 4)):
            for c in range(max(0, column - 3), min(64, column + 4)):
                confidence = 1 / (1 + np.exp(-heatmaps[r, c, i]))
                total, best = total + confidence, max(best, confidence)
                sum_x, sum_y = sum_x + c * confidence, sum_y + r * confidence
        if best >= 0.5:
            expected[i] = sum_x / total * 4, sum_y / total * 4
    np.testing.assert_allclose(refine(points, heatmaps, 256), expected, atol=1e-6)
