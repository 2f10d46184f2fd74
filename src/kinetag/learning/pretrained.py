"""Start from the weights of another run, which may have had other classes."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from kinetag.checkpoint import load_checkpoint, load_weights
from kinetag.encryption import Secret

_HEADS = ("fcn.", "head.")  # the last layer of the networks in kinetag.models


def load_pretrained(
    network: nn.Module, path: str | Path, class_names: Sequence[str], *, secret: Secret | None = None
) -> str:
    """Give a network the weights of a checkpoint; returns what was done, in a sentence.

    The head comes along when the checkpoint has the same classes in the same order (or does not name as many), and
    keeps its random start otherwise. Everything else must fit, or a KinetagError says what does not.
    """
    header, state = load_checkpoint(path, secret=secret)
    same = header.class_names == tuple(class_names) if header.class_names else header.classes == len(class_names)
    if same:
        load_weights(network, state, str(path))
        return f"weights taken from {path}, with its {header.classes} classes"
    own = network.state_dict()
    heads = {name: value for name, value in own.items() if name.startswith(_HEADS)}
    load_weights(network, {k: v for k, v in state.items() if not k.startswith(_HEADS)} | heads, str(path))
    return (
        f"weights taken from {path}, except the head, which starts anew: it was trained on {header.classes} other "
        f"classes than these {len(class_names)}"
    )
