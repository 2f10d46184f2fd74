"""Network architectures, one readable file each. Importing a name loads torch; importing this package does not."""

from importlib import import_module

# name -> (module, class)
MODELS = {"multi_branch": ("kinetag.models.multi_branch", "MultiBranchGCN")}


def build_model(name: str, classes: int):
    """A new network by name, for windows of `kinetag.features`; needs torch."""
    module, kind = MODELS[name]
    return getattr(import_module(module), kind)(classes)
