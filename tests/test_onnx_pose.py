"""ONNX networks that users bring, with tiny generated ones that find coloured dots: the geometry is proven exact.

A dot's place in the network's input must come back as its place in the picture; a dot's colour and brightness prove the
channel order and the normalisation.
"""

import numpy as np
import pytest

from kinetag.errors import KinetagError
from kinetag.pose.onnx_detector import OnnxDetector
from kinetag.pose.onnx_model import suppress
from kinetag.pose.onnx_pose import OnnxPose
from kinetag.sequence import Frame
from kinetag.skeletons import OPENPOSE25

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

WIDTH, HEIGHT = 48, 64  # of the top-down network's input
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)


def save(path, nodes, inputs, outputs, constants=()):
    tensors = [numpy_helper.from_array(value, name) for name, value in constants]
    infos = [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs]
    graph = helper.make_graph(nodes, "tiny", infos, results, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def colours(joints):
    """Joint k looks for the k-th of red, green and blue (all others for red): weights (K, 3)."""
    weights = np.zeros((joints, 3), np.float32)
    weights[np.arange(joints), [k if k < 3 else 0 for k in range(joints)]] = 1
    return weights


def dot_finder_nodes(joints, weights, bias):
    """picture -> a score map for every joint, then the largest score of each column and each row."""
    return [
        helper.make_node("Conv", ["input", "weights", "bias"], ["maps"]),
        helper.make_node("ReduceMax", ["maps"], ["columns"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["maps"], ["rows"], axes=[3], keepdims=0),
    ], [("weights", weights.reshape(joints, 3, 1, 1)), ("bias", bias)]


def rtmpose(path, joints=17, batch="batch"):
    """A SimCC network whose scores are a colour channel's brightness, undone from ImageNet's normalisation."""
    weights = colours(joints)
    nodes, constants = dot_finder_nodes(joints, weights * STD / 255, (weights * MEAN / 255).sum(axis=1))
    for name, source, side in (("simcc_x", "columns", WIDTH), ("simcc_y", "rows", HEIGHT)):
        # Two scores a pixel, the second one lower: [a, b] -> [a, a - 1, b, b - 1]
        nodes += [
            helper.make_node("Sub", [source, "one"], [f"{source}_low"]),
            helper.make_node("Unsqueeze", [source, "last"], [f"{source}_a"]),
            helper.make_node("Unsqueeze", [f"{source}_low", "last"], [f"{source}_b"]),
            helper.make_node("Concat", [f"{source}_a", f"{source}_b"], [f"{source}_ab"], axis=3),
            helper.make_node("Reshape", [f"{source}_ab", f"{name}_shape"], [name]),
        ]
        constants.append((f"{name}_shape", np.array([-1, joints, 2 * side], np.int64)))
    constants += [("one", np.float32(1)), ("last", np.array([3], np.int64))]
    shapes = [("simcc_x", [batch, joints, 2 * WIDTH]), ("simcc_y", [batch, joints, 2 * HEIGHT])]
    return save(path, nodes, [("input", TensorProto.FLOAT, [batch, 3, HEIGHT, WIDTH])], shapes, constants)


def rtmo(path, dets=None, side=96):
    """A one-stage network: the dots of a picture of B, G, R from 0 to 255, and fixed boxes."""
    joints = 17
    weights = colours(joints)[:, ::-1] / 255
    nodes, constants = dot_finder_nodes(joints, np.ascontiguousarray(weights), np.zeros(joints, np.float32))
    for axis, source in (("x", "columns"), ("y", "rows")):
        nodes += [
            helper.make_node("ArgMax", [source], [f"{axis}_int"], axis=2, keepdims=1),
            helper.make_node("Cast", [f"{axis}_int"], [axis], to=TensorProto.FLOAT),
        ]
    dets = np.array([[[0, 0, 10, 10, 0.9]]], np.float32) if dets is None else dets
    count = dets.shape[1]
    nodes += [
        helper.make_node("ReduceMax", ["columns"], ["score"], axes=[2], keepdims=1),
        helper.make_node("Concat", ["x", "y", "score"], ["points"], axis=2),
        helper.make_node("Unsqueeze", ["points", "axis_one"], ["one_person"]),
        helper.make_node("Tile", ["one_person", "repeats"], ["keypoints"]),
        helper.make_node("Identity", ["dets_value"], ["dets"]),
    ]
    constants += [
        ("axis_one", np.array([1], np.int64)),
        ("repeats", np.array([1, count, 1, 1], np.int64)),
        ("dets_value", dets),
    ]
    shapes = [("dets", [1, "n", 5]), ("keypoints", [1, "n", joints, 3])]
    return save(path, nodes, [("input", TensorProto.FLOAT, [1, 3, side, side])], shapes, constants)


def fixed(path, side, *outputs):
    """A network that always says the same."""
    nodes = [helper.make_node("Identity", [f"{name}_value"], [name]) for name, _ in outputs]
    # the picture must be used, or ONNX Runtime drops the input
    nodes += [
        helper.make_node("ReduceMax", ["input"], ["bright"], keepdims=0),
        helper.make_node("Mul", ["bright", "zero"], ["nothing"]),
    ]
    constants = [(f"{name}_value", value) for name, value in outputs] + [("zero", np.float32(0))]
    shapes = [(name, list(value.shape)) for name, value in outputs] + [("nothing", [])]
    return save(path, nodes, [("input", TensorProto.FLOAT, [1, 3, side, side])], shapes, constants)


def frame(width=200, height=150, dots=()):
    image = np.zeros((height, width, 3), np.uint8)
    for (x, y), colour in dots:
        image[y, x] = colour
    return Frame(image, 0.0, 0)


DOTS = (((70, 40), (255, 0, 0)), ((90, 61), (0, 204, 0)), ((101, 80), (0, 0, 153)))
PLACES = [(70, 40), (90, 61), (101, 80)]


@pytest.mark.parametrize("batch", ["batch", 1])
def test_rtmpose_finds_the_very_pixel(tmp_path, batch):
    # This box, grown by 1.25, is the network's input at twice its size: scale 1/2 would lose single pixels, so 1.
    box = [90 - 19.2, 60 - 25.6, 90 + 19.2, 60 + 25.6]
    pose = OnnxPose(rtmpose(tmp_path / "p.onnx", batch=batch), lambda image: np.array([box, box]), threshold=0.01)
    one, two = pose.estimate([frame(dots=DOTS)])[0]
    assert one.layout == pose.layout == "coco"
    np.testing.assert_allclose(one.keypoints[:3], PLACES, atol=1e-3)
    np.testing.assert_array_equal(one.keypoints[3:], np.tile(one.keypoints[0], (14, 1)))
    # red, green and blue each in its own channel at its own brightness: RGB and the right normalisation
    np.testing.assert_allclose(one.confidence[:3], [1, 0.8, 0.6], atol=1e-3)
    np.testing.assert_array_equal(one.keypoints, two.keypoints)


@pytest.mark.parametrize(
    "box", [(60, 30, 110, 90), (55.3, 20.1, 120.7, 100.9), (-40, -60, 130, 120), (62, 38, 104, 42 + 44)]
)
def test_rtmpose_undoes_any_crop(tmp_path, box):
    """Whatever the box's size and proportions, a large dot's place comes back, to the crop's own resolution."""
    picture = frame()
    picture.image[56:65, 76:85, 0] = 255  # centre (80, 60)
    (pose,) = OnnxPose(rtmpose(tmp_path / "p.onnx"), lambda image: np.array([box])).estimate([picture])[0]
    step = max((box[2] - box[0]) / WIDTH, (box[3] - box[1]) / HEIGHT) * 1.25  # picture pixels a crop pixel
    # the first of the brightest columns and rows is the square's upper left corner
    np.testing.assert_allclose(pose.keypoints[0], (76, 56), atol=step + 0.01)
    assert pose.confidence[0] == pytest.approx(1, abs=1e-3)


def test_rtmpose_whole_frame_and_nobody(tmp_path):
    path = rtmpose(tmp_path / "p.onnx")
    picture = frame(60, 80)  # grown by 1.25 it is 75x100, at scale 0.64
    picture.image[30:39, 20:29] = 255
    (pose,) = OnnxPose(path, "frame").estimate([picture])[0]
    np.testing.assert_allclose(pose.keypoints[5], (20, 30), atol=1.6)
    assert OnnxPose(path, "frame").estimate([frame()]) == [[]]  # nothing bright: nobody
    assert OnnxPose(path, lambda image: np.zeros((0, 4))).estimate([frame(), frame()]) == [[], []]


@pytest.mark.parametrize(("joints", "toe"), [(26, 20), (133, 17)])
def test_whole_body_networks_give_feet(tmp_path, joints, toe):
    pose = OnnxPose(rtmpose(tmp_path / "p.onnx", joints), "frame", threshold=0.0)
    assert pose.layout == "openpose25"
    picture = frame(60, 80)
    picture.image[30:39, 20:29] = 255
    (found,) = pose.estimate([picture])[0]
    skeleton = OPENPOSE25
    for name in ("left_foot_index", "right_heel", "left_knee", "neck"):
        np.testing.assert_allclose(found.keypoints[skeleton.index(name)], (20, 30), atol=1.6)
    # and from the right places in the network's output
    points = np.stack([np.arange(joints), np.arange(joints)], 1).astype(np.float32)
    own = pose._pose(points, np.ones(joints), 1.0)
    assert own.keypoints[skeleton.index("left_foot_index"), 0] == toe
    assert own.keypoints[skeleton.index("left_wrist"), 0] == 9
    assert own.keypoints[skeleton.index("pelvis"), 0] == 11.5


def test_rtmo_letterbox_is_undone(tmp_path):
    picture = frame(192, 144)  # scale 1/2 into 96x96
    picture.image[60:70, 100:112] = (255, 0, 0)
    (pose,) = OnnxPose(rtmo(tmp_path / "o.onnx")).estimate([picture])[0]
    np.testing.assert_allclose(pose.keypoints[0], (100, 60), atol=1e-4)
    assert pose.confidence[0] == pytest.approx(1)  # red is the third channel: B, G, R, not normalised
    assert pose.score == pytest.approx(0.9)
    # the padding below the picture is grey 114, so green is brightest there
    assert pose.keypoints[1, 1] == pytest.approx(144)
    assert pose.confidence[1] == pytest.approx(114 / 255, abs=1e-3)


def test_rtmo_duplicates_and_doubtful_people_go(tmp_path):
    dets = np.array(
        [[[0, 0, 10, 10, 0.9], [1, 0, 10, 10, 0.8], [50, 50, 60, 60, 0.7], [70, 0, 80, 10, 0.1]]], np.float32
    )
    path = rtmo(tmp_path / "o.onnx", dets)
    assert [p.score for p in OnnxPose(path).estimate([frame()])[0]] == pytest.approx([0.9, 0.7])
    assert len(OnnxPose(path, max_people=1).estimate([frame()])[0]) == 1
    empty = rtmo(tmp_path / "e.onnx", np.zeros((1, 0, 5), np.float32))
    assert OnnxPose(empty).estimate([frame()]) == [[]]


def raw_yolox(side=64, classes=80):
    raw = np.zeros((1, (side // 8) ** 2 + (side // 16) ** 2 + (side // 32) ** 2, 5 + classes), np.float32)
    # second level (stride 16), row 1, column 2: centre (2.5, 1.25) cells, 1 x 2 strides
    raw[0, 64 + 1 * 4 + 2] = [0.5, 0.25, np.log(1), np.log(2), 0.9, 1.0] + [0.0] * (classes - 1)
    raw[0, 3] = [0.5, 0.5, 0, 0, 0.9, 0.0, 1.0] + [0.0] * (classes - 2)  # surely no person
    return raw


def test_yolox_raw_output(tmp_path):
    detector = OnnxDetector(fixed(tmp_path / "y.onnx", 64, ("output", raw_yolox())))
    # centre (40, 20), size 16 x 32 in the network's pixels; the picture is twice as large
    np.testing.assert_allclose(detector(frame(128, 96).image), [[64, 8, 96, 72, 0.9]], rtol=1e-5)


def test_detector_with_labels_feeds_rtmpose(tmp_path):
    dets = np.array([[[0, 0, 30, 40, 0.9], [0, 0, 9, 9, 0.9], [0, 1, 30, 40, 0.8]]], np.float32)
    path = fixed(tmp_path / "d.onnx", 64, ("dets", dets), ("labels", np.array([[0, 5, 0]], np.float32)))
    np.testing.assert_allclose(OnnxDetector(path)(frame(64, 64).image), dets[0, :1], rtol=1e-6)
    pose = OnnxPose(rtmpose(tmp_path / "p.onnx"), path)
    picture = frame(64, 64)
    picture.image[10:20, 10:20] = 255
    (found,) = pose.estimate([picture])[0]
    np.testing.assert_allclose(found.keypoints[0], (10, 10), atol=1.0)


def test_blazepose_gives_the_boxes_by_default(tmp_path):
    pose = OnnxPose(rtmpose(tmp_path / "p.onnx"))
    assert pose.estimate([frame(), frame()]) == [[], []]
    pose.reset()


def test_suppression_keeps_the_best():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [5, 0, 15, 10]], float)
    assert suppress(boxes, np.array([0.5, 0.9, 0.1, 0.4]), 0.5) == [1, 3, 2]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5) == []


def test_misfits_get_one_line(tmp_path):
    odd = fixed(tmp_path / "odd.onnx", 64, ("heatmap", np.zeros((1, 17, 16, 16), np.float32)))
    joints = rtmpose(tmp_path / "hand.onnx", 21)
    (tmp_path / "text.onnx").write_text("hello")
    cases = {
        (odd, None): r"neither RTMPose.*input \(1, 3, 64, 64\); outputs: heatmap \(1, 17, 16, 16\)",
        (joints, None): "21 keypoints.*simcc_x",
        (tmp_path / "text.onnx", None): "not an ONNX file",
        (tmp_path / "none.onnx", None): "no such file",
        (rtmpose(tmp_path / "p.onnx"), odd): "not a YOLOX",
        (tmp_path / "p.onnx", "yolo"): "unknown detector 'yolo'",
    }
    for (path, detector), message in cases.items():
        with pytest.raises(KinetagError, match=message) as caught:
            OnnxPose(path, detector)
        assert "\n" not in str(caught.value)
