"""Network architectures, one readable file each. Importing a name loads torch; importing this package does not.

`build_model` gives the networks that are trained from a spec: clips (N, C, T, V, M) -> logits (N, classes), any T.
`build_window_model` gives those of the shipped exercise classifier: windows of `kinetag.features` and their mask.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError

if TYPE_CHECKING:
    from torch import nn

    from kinetag.models.foldgcn import FoldGCN
    from kinetag.models.stgcn import STGCN
    from kinetag.models.stgcnpp import STGCNPlusPlus

# model.model_type -> (module, class); all take the keywords of build_model
MODELS = {
    "ST-GCN": ("kinetag.models.stgcn", "STGCN"),
    "ST-GCN++": ("kinetag.models.stgcnpp", "STGCNPlusPlus"),
    "Fold-GCN": ("kinetag.models.foldgcn", "FoldGCN"),
}
WINDOW_MODELS = {"multi_branch": ("kinetag.models.multi_branch", "MultiBranchGCN")}


def build_model(
    model_type: str,
    *,
    classes: int,
    layout: str,
    strategy: str = "spatial",
    channels: tuple[str, ...] = ("x", "y", "z"),
    dropout: float = 0.5,
    edge_importance: bool = True,
    **own: Any,
) -> "STGCN | STGCNPlusPlus | FoldGCN":
    """A new network by its ``model.model_type``; ``own`` are further options of that architecture.

    ``channels`` name the input's: x, y, perhaps z, perhaps confidence. More ``dropout`` holds against overfitting on
    few clips; ``edge_importance`` lets the network reweigh bones. Every network has ``fold()``, which returns one for
    export that gives the same answers. An unknown type raises a KinetagError.
    """
    if model_type not in MODELS:
        raise KinetagError(f"unknown model.model_type '{model_type}'; known: {', '.join(MODELS)}")
    return _class(MODELS[model_type])(
        classes=classes,
        layout=layout,
        strategy=strategy,
        channels=channels,
        dropout=dropout,
        edge_importance=edge_importance,
        **own,
    )


def build_window_model(name: str, classes: int, **own: Any) -> "nn.Module":
    """A new network of the exercise classifier, for windows of `kinetag.features`; ``own`` are its further options."""
    return _class(WINDOW_MODELS[name])(classes, **own)


def _class(entry: tuple[str, str]) -> Any:
    module, name = entry
    return getattr(import_module(module), name)
