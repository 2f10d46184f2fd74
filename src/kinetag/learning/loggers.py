"""Where curves are written besides status.json: TensorBoard, MLflow, Weights & Biases; only what the spec asks for."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError
from kinetag.spec import Spec, masked

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


def make_loggers(spec: Spec, folder: Path) -> "list[Logger]":
    """The loggers of ``train.logger``, and Weights & Biases when the spec says ``wandb.enable: true``.

    A package that is not installed is a KinetagError with the line that installs it.
    """
    wanted = {spec.train.logger} - {"none"}
    if spec.wandb.enable and "wandb.enable" in spec.explicit:
        wanted.add("wandb")
    return [_made(name, spec, folder) for name in sorted(wanted)]


def _made(name: str, spec: Spec, folder: Path) -> "Logger":
    try:
        logger = _MAKERS[name](spec, folder)
        logger.log_hyperparams(masked(spec))
    except KinetagError:
        raise
    except Exception as error:  # whatever a service far away, or its package, has to say
        reason = " ".join(str(error).split())[:200]
        raise KinetagError(f"{name} cannot be logged to: {reason}; set train.logger=none to do without") from None
    return logger


def _tensorboard(spec: Spec, folder: Path) -> "Logger":
    _need("tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")


def _mlflow(spec: Spec, folder: Path) -> "Logger":
    _need("mlflow")
    from lightning.pytorch.loggers import MLFlowLogger

    local = f"sqlite:///{(folder / 'mlflow.db').resolve()}"  # what MLflow 3 wants where there is no server
    address = os.environ.get("MLFLOW_TRACKING_URI") or local
    return MLFlowLogger(experiment_name=spec.model_name or "kinetag", run_name=folder.name, tracking_uri=address)


def _wandb(spec: Spec, folder: Path) -> "Logger":
    """Weights & Biases; without a login the run stays on this machine, to be sent with `wandb sync`."""
    _need("wandb")
    from lightning.pytorch.loggers import WandbLogger

    options: dict[str, Any] = {
        "entity": spec.wandb.entity or None,
        "group": spec.wandb.group or None,
        "tags": spec.wandb.tags,
        "reinit": spec.wandb.reinit,
        "sync_tensorboard": spec.wandb.sync_tensorboard,
        "save_code": spec.wandb.save_code,
    }
    return WandbLogger(
        name=spec.wandb.name,
        save_dir=folder,
        project=spec.wandb.project,
        id=spec.wandb.run_id or None,
        resume="allow",
        offline=not _logged_in(),
        **options,
    )


_MAKERS = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise KinetagError(f"train.logger {package} needs a package that is not installed: pip install {package}")


def _logged_in() -> bool:
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return bool(os.environ.get("WANDB_API_KEY")) or (netrc.exists() and "wandb" in netrc.read_text("utf-8", "replace"))
