"""Every option of the actions, declared once: type, default, bounds, choices, meaning, and whether a search varies it.

The spec that a user writes is checked against these classes (kinetag.spec); the JSON Schemas (kinetag.spec.schema), the
commented templates (kinetag.spec.template) and docs/spec.md are printed from them. The keys and defaults are those of
TAO's pose_classification; an option or a choice that TAO does not have is marked ``ours``.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

ACTIONS = ("dataset_convert", "train", "evaluate", "inference", "export")

# Short names that an override may use for a dotted key.
SHORTHANDS = {
    "num_epochs": "train.num_epochs",
    "batch_size": "dataset.batch_size",
    "evaluate_batch_size": "evaluate.batch_size",
    "inference_batch_size": "inference.batch_size",
    "learning_rate": "train.optim.lr",
    "num_gpus": "train.num_gpus",
    "num_workers": "dataset.num_workers",
    "num_classes": "dataset.num_classes",
    "graph_layout": "model.graph_layout",
    "resume_checkpoint": "train.resume_training_checkpoint_path",
    "pretrained_model": "model.pretrained_model_path",
    "export_onnx": "export.onnx_file",
    "inference_output_file": "inference.output_file",
}

Format = Literal["auto", "array", "pyskl", "videos", "deepstream", "openpose", "kinetag"]
Layout = Literal["nvidia", "openpose", "human3.6m", "ntu-rgb+d", "ntu_edge", "coco", "blazepose", "kinetag"]


@dataclass(frozen=True)
class Range:
    """Where a search draws an option's values from: ``low`` to ``high``, or one of ``options``; ``when`` it applies."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    options: tuple[Any, ...] = ()
    when: str = ""


_ADAM = "train.optim.optimizer_type in torch.optim.Adam, torch.optim.Adamax, torch.optim.AdamW"


def option(
    default: Any,
    title: str,
    description: str,
    *,
    required: bool = False,
    secret: bool = False,
    ours: bool = False,
    our_choices: tuple[str, ...] = (),
    popular: bool = False,
    automl: bool | None = None,
    option_weights: tuple[float, ...] = (),
    math_cond: str = "",
    depends_on: str = "",
    conditions: tuple[str, ...] = (),
    search: tuple["Range", ...] = (),
    **bounds: float,
) -> Any:
    """One option. ``bounds`` are pydantic's ge, gt, le, lt.

    ``required``: the action cannot run without it; schemas and templates show it as ``???``. ``secret``: never written
    out. ``ours``, ``our_choices``: what TAO does not have. ``popular``: a key that people change first. ``automl``: a
    search varies it (True), must not (False), or may when it is asked to (None). ``option_weights``: how often a search
    draws each choice. ``math_cond``, ``depends_on``: a condition that drawn values keep, such as "< depends_on" with
    the key it depends on. ``conditions``: the option has an effect only while these hold, such as
    "train.optim.lr_scheduler == AutoReduce". ``search``: the ranges a search draws from, of which the first whose
    condition holds is taken.
    """
    given = {
        "required": required,
        "secret": secret,
        "ours": ours,
        "our_choices": our_choices,
        "popular": popular,
        "automl": automl,
        "option_weights": option_weights,
        "math_cond": math_cond,
        "depends_on": depends_on,
        "conditions": conditions,
        "search": search,
    }
    extra: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, False, "", ())}
    if automl is False:
        extra["automl"] = False
    default = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**default, title=title, description=description, json_schema_extra=extra, **bounds)  # type: ignore[arg-type]


def marks(field: FieldInfo) -> dict[str, Any]:
    """What ``option`` said of a field beyond its type, default and bounds."""
    extra = field.json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def literal_choices(kind: Any) -> tuple[str, ...]:
    """The choices of a Literal type, those of Literals within it too; none for another type."""
    if get_origin(kind) is not Literal:
        return ()
    return tuple(get_args(kind))


def section(kind: type["Section"], title: str, description: str, **marks: Any) -> Any:
    """A group of options, itself never varied by a search."""
    return option(kind, title, description, automl=False, **marks)


class Section(BaseModel):
    """A group of options: unknown keys are refused, numbers are finite, and assignments are checked."""

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
    )


# --- tracking of runs ------------------------------------------------------------------------------------------------


class Wandb(Section):
    """Weights & Biases."""

    enable: bool = option(
        True,
        "Enable",
        "Log to Weights & Biases, where the spec says so itself; without a login the log stays on this machine.",
    )
    project: str = option("TAO Toolkit", "Project", "The project that runs are filed under.")
    entity: str = option("", "Entity", "The user or team that owns the project; empty: your default.")
    group: str = option("", "Group", "Runs with the same group are shown together.")
    tags: list[str] = option(lambda: ["tao-toolkit"], "Tags", "Labels to find the run by.", automl=False)
    reinit: bool = option(False, "Start anew", "Allow several runs within one process.")
    sync_tensorboard: bool = option(False, "Copy TensorBoard", "Send what is written to TensorBoard as well.")
    save_code: bool = option(False, "Save the code", "Upload the script that started the run.")
    name: str = option("TAO Toolkit Training", "Run name", "The name of the run.")
    run_id: str = option("", "Run id", "Continue the run of this id; empty: a new one.")


# --- model -----------------------------------------------------------------------------------------------------------


class Model(Section):
    """The network and the skeleton it reads."""

    model_type: Literal["ST-GCN", "ST-GCN++", "Fold-GCN"] = option(
        "ST-GCN",
        "Architecture",
        "ST-GCN is the network of TAO; ST-GCN++ is more accurate at half the parameters; Fold-GCN is kinetag's own: "
        "trained with many branches, exported as one, several times faster. Use Fold-GCN for new work.",
        our_choices=("ST-GCN++", "Fold-GCN"),
    )
    pretrained_model_path: str = option(
        "", "Pretrained model", "A checkpoint whose weights training starts from; its head may have other classes."
    )
    input_channels: int = option(
        3,
        "Numbers a joint",
        "How many numbers describe a joint in a frame: 2 for x, y; 3 for x, y and z or a confidence; 4 for all.",
        ge=1,
    )
    dropout: float = option(
        0.5,
        "Dropout",
        "Share of hidden units left out while training. More guards small data against memorising; less learns faster.",
        ge=0.0,
        le=1.0,
        automl=True,
        search=(Range(0.0, 0.6),),
    )
    graph_layout: Layout = option(
        "nvidia",
        "Skeleton",
        "The joints and bones of the skeleton. Data of another skeleton is converted where the joints allow it.",
        our_choices=("blazepose", "kinetag"),
    )
    graph_strategy: Literal["uniform", "distance", "spatial"] = option(
        "spatial",
        "Neighbours",
        "How a joint's neighbours are told apart: uniform not at all, distance itself from the others, spatial also "
        "those nearer the body's centre from those farther out.",
    )
    edge_importance_weighting: bool = option(
        True, "Learn edge importance", "Learn in every block how much each bone matters."
    )


# --- data ------------------------------------------------------------------------------------------------------------


def _size(value: list[int]) -> list[int]:
    if value and (len(value) != 2 or min(value) < 1):
        raise ValueError("give it as [width, height], in pixels")
    return value


class Source(Section):
    """Where clips and labels come from."""

    data_path: str = option(
        "",
        "Data",
        "An array file (.npy), a folder that holds one, an annotation pickle, a folder of "
        "videos with one subfolder a class, or a CSV or JSON list of videos.",
    )
    label_path: str = option("", "Labels", "The label file (.pkl) of an array; other formats carry their labels.")
    format: Format = option("auto", "Format", "What kind of data it is; auto looks at the file.", ours=True)


class Dataset(Section):
    """The data to train and validate on, and how a clip is cut."""

    train_dataset: Source = section(Source, "Training data", "The clips to learn from.")
    val_dataset: Source = section(Source, "Validation data", "The clips that accuracy is watched on while training.")
    num_classes: int = option(
        6,
        "Number of classes",
        "How many classes there are; it agrees with label_map. Data that names its classes needs none.",
        ge=1,
    )
    label_map: dict[str, int] = option(
        dict,
        "Classes",
        "The index of each class name, counted from 0. Data that names its classes needs none.",
        automl=False,
    )
    random_choose: bool = option(
        False, "Random crop", "Train on a random stretch of window_size frames, or pad at random up to it."
    )
    random_move: bool = option(
        False,
        "Random motion",
        "Rotate (10 degrees), scale (10 %) and shift (20 %) the skeleton, changing over the clip.",
    )
    window_size: int = option(
        -1,
        "Window (frames)",
        "Frames that the network sees; -1 keeps the length of the clips.",
        ge=-1,
        automl=True,
        search=(
            Range(32, 128, log=True, when="train.recipe == kinetag"),
            Range(50, 300, log=True, when="dataset.random_choose == true"),
        ),
    )
    batch_size: int = option(
        16,
        "Batch size",
        "Clips a step, per device. Larger is steadier and needs more memory.",
        ge=1,
        search=(Range(8, 64, log=True),),
    )
    num_workers: int = option(1, "Workers", "Processes that prepare clips while the network computes.", ge=1)
    source_layout: Literal[Layout, ""] = option(
        "", "Skeleton of the files", "When the files hold another skeleton than model.graph_layout: which.", ours=True
    )
    rate: float = option(
        15.0,
        "Rate (frames/s)",
        "Poses a second taken from videos; more follows faster movement.",
        ours=True,
        gt=0,
        le=240,
    )
    cache_dir: str = option(
        "",
        "Cache folder",
        "Where the poses of videos are kept; empty: kinetag's folder in the user's cache.",
        ours=True,
    )
    coordinates: Literal["auto", "array", "pixels", "frame", "pelvis3d", "metres", "body"] = option(
        "auto",
        "Coordinates",
        "How the numbers were made: array (unknown), pixels, frame (x/width - 0.5), pelvis3d (from the pelvis, over "
        "the focal length), metres, body (centred and scaled by the body); auto takes the format's own.",
        ours=True,
    )
    frame_size: Annotated[list[int], AfterValidator(_size)] = option(
        list,
        "Frame size (pixels)",
        "[width, height] of the videos that files of poses come from. MediaPipe's need it where they do not say it, "
        "since their coordinates are fractions of the frame.",
        ours=True,
        automl=False,
    )
    validation_split: float = option(
        0.0,
        "Validation share",
        "Share of the training clips, by person or file, held back for validation when there is no val_dataset.",
        ours=True,
        ge=0.0,
        lt=1.0,
    )


# --- train -----------------------------------------------------------------------------------------------------------


class Cudnn(Section):
    """cuDNN, on NVIDIA graphics cards."""

    benchmark: bool = option(False, "Benchmark", "Try the convolutions' algorithms first; faster, less repeatable.")
    deterministic: bool = option(True, "Deterministic", "Use only algorithms that give the same answer every time.")


class Optim(Section):
    """The optimiser and the schedule of its learning rate."""

    optimizer_type: Literal["torch.optim.SGD", "torch.optim.Adam", "torch.optim.Adamax", "torch.optim.AdamW"] = option(
        "torch.optim.SGD",
        "Optimiser",
        "The rule that turns gradients into steps.",
        our_choices=("torch.optim.AdamW",),
        option_weights=(0.5, 0.1, 0.1, 0.3),
    )
    lr: float = option(
        0.1,
        "Learning rate",
        "The size of a step at the start. Too large diverges, too small never arrives; Adam wants about 0.001.",
        ge=0.0,
        automl=True,
        math_cond="> 0.0",
        search=(Range(1e-4, 1e-2, log=True, when=_ADAM), Range(0.003, 0.5, log=True)),
    )
    momentum: float = option(
        0.9,
        "Momentum",
        "How much of the last step goes into the next (SGD).",
        ge=0.0,
        automl=True,
        conditions=("train.optim.optimizer_type == torch.optim.SGD",),
        search=(Range(0.5, 0.98),),
    )
    nesterov: bool = option(
        True,
        "Nesterov",
        "Look ahead along the momentum (SGD).",
        conditions=("train.optim.optimizer_type == torch.optim.SGD",),
    )
    weight_decay: float = option(
        0.0001,
        "Weight decay",
        "Pull of the weights towards zero; more guards small data.",
        ge=0.0,
        automl=True,
        search=(
            Range(1e-3, 0.3, log=True, when="train.optim.optimizer_type == torch.optim.AdamW"),
            Range(1e-6, 1e-2, log=True),
        ),
    )
    lr_scheduler: Literal["MultiStep", "AutoReduce", "Cosine"] = option(
        "MultiStep",
        "Schedule",
        "MultiStep multiplies the rate by lr_decay at each of lr_steps; AutoReduce does when lr_monitor has not "
        "improved for patience epochs; Cosine glides from lr to min_lr over all epochs.",
        our_choices=("Cosine",),
    )
    lr_monitor: Literal["val_loss", "train_loss"] = option(
        "val_loss",
        "Watched loss",
        "The loss that AutoReduce watches.",
        conditions=("train.optim.lr_scheduler == AutoReduce",),
    )
    patience: int = option(
        1,
        "Patience (epochs)",
        "Epochs without improvement before AutoReduce lowers the rate.",
        ge=1,
        automl=True,
        conditions=("train.optim.lr_scheduler == AutoReduce",),
        search=(Range(1, 10),),
    )
    min_lr: float = option(
        0.0001,
        "Lowest rate",
        "AutoReduce and Cosine do not go below it.",
        ge=0.0,
        math_cond="< depends_on",
        depends_on="train.optim.lr",
        search=(Range(1e-7, 1e-2, log=True),),
        conditions=("train.optim.lr_scheduler in AutoReduce, Cosine",),
    )
    lr_steps: list[int] = option(
        lambda: [10, 60],
        "Steps (epochs)",
        "The epochs after which MultiStep lowers the rate.",
        automl=False,
        conditions=("train.optim.lr_scheduler == MultiStep",),
    )
    lr_decay: float = option(
        0.1,
        "Decay",
        "The factor by which MultiStep and AutoReduce lower the rate.",
        ge=0.0,
        automl=True,
        conditions=("train.optim.lr_scheduler in MultiStep, AutoReduce",),
        search=(Range(0.05, 0.8, log=True),),
    )


class Devices(Section):
    """The devices that an action runs on."""

    num_gpus: int = option(
        1, "Devices", "How many graphics cards (or processes, without a card) a node uses.", ge=1, popular=True
    )
    gpu_ids: list[int] = option(
        lambda: [0], "Device ids", "Which cards; as many as num_gpus.", popular=True, automl=False
    )
    num_nodes: int = option(1, "Nodes", "How many machines work together.", ge=1, popular=True)


class Train(Devices):
    """How the network is trained."""

    seed: int = option(1234, "Seed", "The same seed gives the same run; -1 takes a new one every time.", ge=-1)
    cudnn: Cudnn = section(Cudnn, "cuDNN", "Speed against repeatability on NVIDIA cards.")
    num_epochs: int = option(10, "Epochs", "How often all training clips are seen.", ge=1, popular=True)
    checkpoint_interval: int = option(
        1,
        "Checkpoint interval",
        "Epochs (or steps) between checkpoints; best and last are always kept.",
        ge=1,
        popular=True,
    )
    checkpoint_interval_unit: Literal["epoch", "step"] = option(
        "epoch", "Unit of the interval", "Whether checkpoint_interval counts epochs or steps."
    )
    validation_interval: int = option(1, "Validation interval", "Epochs between validations.", ge=1, popular=True)
    resume_training_checkpoint_path: str = option(
        "", "Resume from", "A checkpoint of an earlier run to go on from, exactly where it stopped."
    )
    results_dir: str = option("", "Results folder", "Where this action writes; empty: results_dir/train.")
    optim: Optim = section(Optim, "Optimiser", "The optimiser and the schedule of its learning rate.")
    grad_clip: float = option(
        0.0,
        "Gradient clipping",
        "Largest L2 norm of a gradient; 0 does not clip.",
        ge=0.0,
        automl=True,
        search=(Range(options=(0.0, 0.5, 1.0, 2.0, 5.0, 10.0)),),
    )
    recipe: Literal["tao", "kinetag"] = option(
        "tao",
        "Recipe",
        "tao trains as TAO does. kinetag samples frames uniformly over the clip, drops parts, joints and frames, "
        "mirrors, warms up and decays by a cosine; an option that the spec sets itself wins over the recipe's.",
        ours=True,
    )
    precision: Annotated[Literal["32", "bf16-mixed", "16-mixed"], BeforeValidator(str)] = option(
        "32", "Precision", "Number format of the computation; the mixed ones are faster on a graphics card.", ours=True
    )
    accelerator: Literal["auto", "cpu", "gpu"] = option(
        "auto", "Accelerator", "What to compute on; auto takes a graphics card where there is one.", ours=True
    )
    max_steps: int = option(0, "Most steps", "Stop after this many steps; 0: after num_epochs.", ours=True, ge=0)
    warmup_epochs: int = option(
        0,
        "Warm-up (epochs)",
        "Epochs over which the learning rate rises from near zero.",
        ours=True,
        ge=0,
        math_cond="< depends_on",
        depends_on="train.num_epochs",
        search=(Range(0.0, 10.0),),
    )
    label_smoothing: float = option(
        0.0,
        "Label smoothing",
        "Share of certainty spread over the other classes; calms confidences.",
        ours=True,
        ge=0,
        lt=1,
        search=(Range(0.0, 0.3),),
    )
    class_weights: Literal["none", "balanced"] = option(
        "none", "Class weights", "balanced gives rare classes as much weight as frequent ones.", ours=True
    )
    ema: float = option(
        0.0,
        "Weight averaging",
        "Decay of a moving average of the weights, which is validated and saved; 0: none; 0.999 is usual.",
        ours=True,
        ge=0.0,
        lt=1.0,
        search=(Range(options=(0.0, 0.9, 0.99, 0.998, 0.999)),),
    )
    early_stopping_patience: int = option(
        0,
        "Early stopping (validations)",
        "Stop when val_acc has not risen for so many validations; 0: never.",
        ours=True,
        ge=0,
    )
    part_dropout: float = option(
        0.0,
        "Part dropout",
        "Chance that an arm, a leg or the trunk is hidden for a whole clip; teaches the network to do without.",
        ours=True,
        ge=0.0,
        le=1.0,
    )
    joint_dropout: float = option(
        0.0, "Joint dropout", "Chance that a joint is hidden in a frame.", ours=True, ge=0.0, le=1.0
    )
    frame_dropout: float = option(
        0.0, "Frame dropout", "Largest share of a clip's frames that is hidden.", ours=True, ge=0.0, le=1.0
    )
    jitter: float = option(
        0.0,
        "Jitter",
        "Largest random error of the joints in each frame, as a share of the body's size; teaches to bear shaky poses.",
        ours=True,
        ge=0.0,
        le=1.0,
    )
    mirror: bool = option(
        False,
        "Mirror",
        "Swap left and right in half of the clips; not for classes that differ only by side.",
        ours=True,
    )
    logger: Literal["none", "tensorboard", "mlflow", "wandb"] = option(
        "none", "Logger", "Where curves are written besides status.json.", ours=True
    )


# --- evaluate, inference, export, dataset_convert --------------------------------------------------------------------


class Evaluate(Devices):
    """How good a model is on labelled data."""

    checkpoint: str = option(
        "", "Checkpoint", "The model to evaluate: a checkpoint, or an exported .onnx file.", required=True
    )
    trt_engine: str = option("", "TensorRT engine", "An engine file to evaluate in place of the checkpoint.")
    results_dir: str = option("", "Results folder", "Where this action writes; empty: results_dir/evaluate.")
    batch_size: int = option(-1, "Batch size", "Clips at a time; -1: dataset.batch_size.", ge=-1)
    test_dataset: Source = section(Source, "Test data", "The labelled clips to evaluate on.")
    top_k: int = option(
        5, "Top k", "Also count a clip as right when its class is among the k most likely.", ours=True, ge=1
    )
    occlusion: bool = option(
        False, "Occlusion", "Evaluate again with parts, joints and stretches of time hidden.", ours=True
    )


class Inference(Devices):
    """The classes of unlabelled data."""

    checkpoint: str = option(
        "", "Checkpoint", "The model to use: a checkpoint, or an exported .onnx file.", required=True
    )
    trt_engine: str = option("", "TensorRT engine", "An engine file to use in place of the checkpoint.")
    results_dir: str = option("", "Results folder", "Where this action writes; empty: results_dir/inference.")
    batch_size: int = option(-1, "Batch size", "Clips at a time; -1: dataset.batch_size.", ge=-1)
    output_file: str = option("", "Output file", "Where the classes are written; empty: a file in the results folder.")
    test_dataset: Source = section(Source, "Data", "The clips to classify.")
    output_format: Literal["txt", "json", "csv"] = option(
        "txt", "Output format", "txt: one class name a line; json and csv add scores, person and interval.", ours=True
    )
    top_k: int = option(5, "Top k", "How many classes json and csv give for a clip.", ours=True, ge=1)


class Export(Section):
    """A model as an ONNX file."""

    results_dir: str = option("", "Results folder", "Where this action writes; empty: results_dir/export.")
    checkpoint: str = option("", "Checkpoint", "The checkpoint to export.")
    onnx_file: str = option("", "ONNX file", "The file to write; empty: beside the checkpoint, with the ending .onnx.")
    gpu_id: int = option(0, "Device id", "The graphics card to export on.", ge=0)
    precision: Literal["fp32", "fp16", "int8"] = option(
        "fp32", "Precision", "Number format of the weights: fp16 halves the file, int8 quarters it.", ours=True
    )
    opset: int = option(17, "Opset", "The ONNX operator set to write.", ours=True, ge=13, le=23)
    force: bool = option(False, "Overwrite", "Replace an ONNX file that is there.", ours=True)
    calibration_dataset: Source = section(
        Source, "Calibration data", "Clips whose range int8 is fitted to; empty: the training data.", ours=True
    )


class DatasetConvert(Section):
    """Body poses of DeepStream, or labelled videos, as arrays."""

    results_dir: str = option("", "Results folder", "Where this action writes; empty: results_dir/dataset_convert.")
    data: str = option(
        "", "Data", "The JSON file that DeepStream's bodypose wrote, or labelled videos to make arrays of."
    )
    pose_type: Literal["3dbp", "25dbp", "2dbp"] = option(
        "3dbp", "Kind of pose", "3dbp: metres in space; 25dbp: pixels and depth; 2dbp: pixels."
    )
    num_joints: int = option(34, "Joints", "Joints a pose.", ge=1, le=1000)
    input_width: int = option(1920, "Frame width (pixels)", "Width of the video that the poses come from.", ge=1)
    input_height: int = option(1080, "Frame height (pixels)", "Height of the video that the poses come from.", ge=1)
    focal_length: float = option(1200.0, "Focal length (pixels)", "The camera's, which 3dbp divides by.", gt=0.0)
    sequence_length_max: int = option(300, "Length of the array (frames)", "Windows are padded with zeros to it.", ge=1)
    sequence_length_min: int = option(10, "Shortest window (frames)", "A rest shorter than this is left out.", ge=1)
    sequence_length: int = option(100, "Window (frames)", "The length of a window.", ge=1)
    sequence_overlap: float = option(
        0.5, "Step (share)", "The step from one window to the next, as a share of sequence_length.", gt=0.0, le=1.0
    )
    keep_confidence: bool = option(
        False,
        "Keep the confidence",
        "Write each joint's confidence as a last channel, and never join frames across a gap.",
        ours=True,
    )
    split: float = option(
        0.0, "Validation share", "Share of the persons written as a validation set.", ours=True, ge=0.0, lt=1.0
    )
    max_gap: int = option(
        5,
        "Largest gap (frames)",
        "With keep_confidence: frames that a person may miss before the sequence is cut.",
        ours=True,
        ge=0,
    )
