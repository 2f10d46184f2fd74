"""Parameters, multiplications and speed of every architecture, side by side in one run.

    python bench/architectures_speed.py

One thread, one clip at a time for inference: T=100 frames, the coco layout (V=17), one person, three channels. The
network is folded and exported as `kinetag export` does it and run by onnxruntime. Rounds of all networks take turns, so
that whatever else the machine does falls on all of them alike; the best round counts. Training is forward, backward and
an SGD step on batches of 16, in clips a second of processor time.
"""

import argparse
import time

import numpy as np
import onnxruntime
import torch
from common import save, show
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from kinetag.models import MODELS, build_model
from kinetag.models.onnx_export import INPUT, to_onnx

LAYOUT, CHANNELS, CLASSES, BATCH = "coco", ("x", "y", "confidence"), 15, 16


def multiplications(network: nn.Module, clip: torch.Tensor) -> float:
    """Multiply-accumulates of one clip, in billions (convolutions and matrix products)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(clip)
    return counter.get_total_flops() / 2e9


def session(network: nn.Module, clip: torch.Tensor) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    proto = to_onnx(network, clip.shape[1:], opset=18)
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def inference_speed(run: onnxruntime.InferenceSession, clip: np.ndarray, seconds: float) -> float:
    """Clips a second over about this many seconds."""
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or count < 3:
        run.run(None, {INPUT: clip})
        count += 1
    return count / passed


def training_speed(network: nn.Module, clips: torch.Tensor, steps: int) -> float:
    """Clips a second of processor time."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    labels = torch.arange(len(clips)) % CLASSES
    network.train()
    began = time.process_time()
    for _ in range(steps):
        loss = cross_entropy(network(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * len(clips) / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of inference a round and network")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    clips = torch.randn(BATCH, len(CHANNELS), options.frames, 17, 1)
    clips[:, -1] = torch.rand_like(clips[:, -1])
    networks = {name: build_model(name, classes=CLASSES, layout=LAYOUT, channels=CHANNELS) for name in MODELS}
    rows = []
    runs = {}
    for name, network in networks.items():
        folded = network.eval().fold()
        runs[name] = session(folded, clips[:1])
        difference = abs(
            runs[name].run(None, {INPUT: clips[:1].numpy()})[0] - network(clips[:1]).detach().numpy()
        ).max()
        assert difference < 1e-4, f"{name}: onnxruntime differs from PyTorch by {difference}"
        parameters = sum(p.numel() for p in network.parameters()) / 1e6
        rows.append({"model": name, "parameters (M)": parameters, "GMAC": multiplications(folded, clips[:1])})
    inference, training = (dict.fromkeys(networks, 0.0) for _ in range(2))
    for _ in range(options.rounds):
        for name, run in runs.items():
            inference[name] = max(inference[name], inference_speed(run, clips[:1].numpy(), options.seconds))
        for name, network in networks.items():
            training[name] = max(training[name], training_speed(network, clips, steps=8 if name == "Fold-GCN" else 1))
    for row in rows:
        name = row["model"]
        row["clips/s (onnxruntime)"] = inference[name]
        row["times ST-GCN"] = inference[name] / inference["ST-GCN"]
        row["training clips/CPU-s"] = training[name]
        row["training times ST-GCN"] = training[name] / training["ST-GCN"]
    show(f"one thread, batch 1, T={options.frames}, V=17, one person", rows)
    save("architectures_speed", frames=options.frames, layout=LAYOUT, channels=CHANNELS, rows=rows)


if __name__ == "__main__":
    main()
