"""BlazePose's two TFLite networks -> the ONNX files in src/kinetag/weights. Run once; the outputs are committed.

    python3.11 -m venv convert
    convert/bin/pip install tensorflow-cpu==2.15.1 tf2onnx==1.17.0 onnx==1.16.2 "numpy<2"
    pip download --no-deps --python-version 3.11 --platform manylinux_2_28_x86_64 mediapipe==0.10.21
    unzip -d wheel mediapipe-0.10.21-*.whl 'mediapipe/modules/*.tflite'
    convert/bin/python tools/convert_blazepose.py wheel --out src/kinetag/weights

What is changed on the way, none of it the arithmetic beyond rounding (docs/blazepose.md has the differences measured):

- the detector's 38 sparse weights are made dense, for tf2onnx cannot read them;
- the landmark network is cut to what is used, without the person's mask: a third less time;
- pictures go in as uint8 RGB (N, S, S, 3), any N: scaling to [0, 1] or [-1, 1] happens inside;
- each explicit Pad becomes a padding of the convolution behind it, so that onnxruntime keeps its blocked layout;
- weights are stored as float16 with a Cast that onnxruntime folds away when it loads the file.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17
SOURCE = "mediapipe 0.10.21 (https://pypi.org/project/mediapipe/0.10.21/), mediapipe/modules/"
LICENCE = "Apache-2.0, Copyright The MediaPipe Authors"

# name -> source, input side, (scale, offset) of the pixels, {output of tf2onnx: (new name, shape behind the batch)}
NETWORKS = {
    "blazepose_detector": (
        "pose_detection/pose_detection.tflite",
        224,
        (1 / 127.5, -1.0),
        {"Identity": ("boxes", (2254, 12)), "Identity_1": ("scores", (2254, 1))},
    ),
    "blazepose_landmark": (
        "pose_landmark/pose_landmark_full.tflite",
        256,
        (1 / 255, 0.0),
        {
            "Identity": ("points", (39, 5)),
            "Identity_1": ("presence", (1,)),
            "Identity_3": ("heatmaps", (64, 64, 39)),
            "Identity_4": ("world", (39, 3)),
        },
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path, help="folder of the unpacked mediapipe wheel")
    parser.add_argument("--out", type=Path, default=Path("src/kinetag/weights"))
    arguments = parser.parse_args()
    for name, (source, side, pixels, outputs) in NETWORKS.items():
        model = read_tflite(arguments.wheel / "mediapipe/modules" / source, list(outputs))
        fold_pads(model)
        rename_outputs(model, outputs)
        add_pixel_input(model, side, *pixels)
        halve_weights(model)
        drop_unused(model)
        describe(model, name, SOURCE + source)
        onnx.checker.check_model(model, full_check=True)
        path = arguments.out / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {len(model.graph.node)} operators")


def read_tflite(path: Path, outputs: list[str]) -> onnx.ModelProto:
    """The network with dense weights, as tf2onnx reads it, cut to ``outputs``."""
    with tempfile.TemporaryDirectory() as folder:
        dense, whole, cut = (Path(folder) / name for name in ("dense.tflite", "whole.onnx", "cut.onnx"))
        dense.write_bytes(densify(path))
        command = ["--tflite", str(dense), "--output", str(whole), "--opset", str(OPSET)]
        subprocess.run([sys.executable, "-m", "tf2onnx.convert", *command], check=True)
        onnx.utils.extract_model(str(whole), str(cut), ["input_1"], outputs)
        return onnx.load(str(cut))


def densify(path: Path) -> bytes:
    """The same TFLite model with each DENSIFY operator replaced by the constant it gives."""
    import flatbuffers
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(path.read_bytes()), 0))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    graph = model.subgraphs[0]
    sparse = [op for op in graph.operators if codes[op.opcodeIndex] == schema.BuiltinOperator.DENSIFY]
    if not sparse:
        return path.read_bytes()
    interpreter = tf.lite.Interpreter(
        str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], np.float32))
    interpreter.invoke()
    for op in sparse:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(interpreter.get_tensor(op.outputs[0]).tobytes(), np.uint8)
        model.buffers.append(buffer)
        graph.tensors[op.outputs[0]].buffer = len(model.buffers) - 1
        # The sparse tensor has no reader any more, but its data would still be parsed.
        graph.tensors[op.inputs[0]].buffer = len(model.buffers) - 1
        graph.tensors[op.inputs[0]].sparsity = None
    graph.operators = [op for op in graph.operators if op not in sparse]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def fold_pads(model: onnx.ModelProto) -> None:
    """Pad -> [Transpose to NCHW ->] Conv becomes Conv with ``pads``: zeros around the picture either way."""
    values, graph = constants(model), model.graph
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        amounts = values[pad.input[1]]
        convs = [node for node in graph.node if pad.output[0] in node.input]
        if convs[0].op_type == "Transpose":
            (transpose,) = convs
            amounts = amounts.reshape(2, 4)[:, [0, 3, 1, 2]].ravel()
            convs = [node for node in graph.node if transpose.output[0] in node.input]
            transpose.input[0] = pad.input[0]
        for conv in convs:
            if conv.op_type != "Conv" or any(attribute.name == "pads" for attribute in conv.attribute):
                raise ValueError(f"{conv.name} ({conv.op_type}) behind a Pad is not a convolution without padding")
            conv.attribute.append(helper.make_attribute("pads", amounts.reshape(2, 4)[:, 2:].ravel().tolist()))
            if conv.input[0] == pad.output[0]:
                conv.input[0] = pad.input[0]
        graph.node.remove(pad)


def rename_outputs(model: onnx.ModelProto, outputs: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """Plain names, and any batch size: every Reshape of these graphs starts with the batch."""
    graph, values = model.graph, constants(model)
    for node in graph.node:
        node.output[:] = [outputs[name][0] if name in outputs else name for name in node.output]
        if node.op_type == "Reshape":
            final = dict(outputs.values()).get(node.output[0])
            shape = final if final else values[node.input[1]][1:]
            node.input[1] = f"{node.output[0]}_shape"
            # 0 keeps the batch axis as it is.
            graph.initializer.append(numpy_helper.from_array(np.array([0, *shape], np.int64), node.input[1]))
    del graph.output[:], graph.value_info[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["people", *shape])
        for name, shape in outputs.values()
    )


def add_pixel_input(model: onnx.ModelProto, side: int, scale: float, offset: float) -> None:
    """uint8 (N, S, S, 3) -> float32, scaled, in front of the network."""
    graph = model.graph
    old = graph.input[0].name
    nodes = [helper.make_node("Cast", ["images"], ["pixels"], to=onnx.TensorProto.FLOAT)]
    graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), "pixel_scale"))
    nodes.append(helper.make_node("Mul", ["pixels", "pixel_scale"], [old if not offset else "scaled"]))
    if offset:
        graph.initializer.append(numpy_helper.from_array(np.array(offset, np.float32), "pixel_offset"))
        nodes.append(helper.make_node("Add", ["scaled", "pixel_offset"], [old]))
    body = list(graph.node)
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes + body)
    graph.input.append(helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["people", side, side, 3]))


def halve_weights(model: onnx.ModelProto) -> None:
    """Store float32 weights of more than a few numbers as float16 behind a Cast."""
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.size < 256:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(value.astype(np.float16), tensor.name + "_half"))
        casts.append(helper.make_node("Cast", [tensor.name + "_half"], [tensor.name], to=onnx.TensorProto.FLOAT))
    body = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + body)


def drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def describe(model: onnx.ModelProto, name: str, source: str) -> None:
    model.graph.name = name
    model.producer_name, model.producer_version = "kinetag tools/convert_blazepose.py", "1"
    model.doc_string = f"{name}, converted from {source}"
    del model.metadata_props[:]
    helper.set_model_props(model, {"source": source, "licence": LICENCE, "layout": "blazepose"})


if __name__ == "__main__":
    main()
