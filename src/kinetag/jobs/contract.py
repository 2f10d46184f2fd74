"""What an action takes and gives, and which of its options follow from the job graph: TAO's contract, as data.

Keys, file names and names of functions are those of TAO's `pose_classification`; a test compares.
"""

from kinetag.spec.options import SHORTHANDS

NETWORK = "pose_classification"

# What an action reads: the dotted keys of files, and whether it can do without.
INPUTS: dict[str, dict[str, dict[str, object]]] = {
    "dataset_convert": {"dataset_convert.data": {"type": "file"}},
    "train": {
        "dataset.train_dataset.data_path": {"type": "file"},
        "dataset.train_dataset.label_path": {"type": "file"},
        "dataset.val_dataset.data_path": {"type": "file"},
        "dataset.val_dataset.label_path": {"type": "file"},
        "model.pretrained_model_path": {"type": "file", "optional": True},
        "train.resume_training_checkpoint_path": {"type": "file", "optional": True},
    },
    "evaluate": {
        "evaluate.test_dataset.data_path": {"type": "file"},
        "evaluate.test_dataset.label_path": {"type": "file"},
        "evaluate.checkpoint": {"type": "file"},
    },
    "inference": {
        "inference.test_dataset.data_path": {"type": "file"},
        "inference.checkpoint": {"type": "file"},
    },
    "export": {"export.checkpoint": {"type": "file"}},
}

# What it writes.
OUTPUTS: dict[str, dict[str, dict[str, object]]] = {
    "dataset_convert": {"results_dir": {"type": "folder"}},
    "train": {"results_dir": {"type": "folder"}},
    "evaluate": {"results_dir": {"type": "folder"}},
    "inference": {"results_dir": {"type": "folder"}},
    "export": {"results_dir": {"type": "folder"}, "export.onnx_file": {"type": "file"}},
}

# A folder or prefix of data (`train_datasets`) as the files of these names in it.
DATA_SOURCES: dict[str, dict[str, dict[str, str]]] = {
    "train": {
        "dataset.train_dataset.data_path": {"source": "train_datasets", "path": "train_data.npy"},
        "dataset.train_dataset.label_path": {"source": "train_datasets", "path": "train_label.pkl"},
        "dataset.val_dataset.data_path": {"source": "train_datasets", "path": "val_data.npy"},
        "dataset.val_dataset.label_path": {"source": "train_datasets", "path": "val_label.pkl"},
    },
    "evaluate": {
        "evaluate.test_dataset.data_path": {"source": "train_datasets", "path": "val_data.npy"},
        "evaluate.test_dataset.label_path": {"source": "train_datasets", "path": "val_label.pkl"},
    },
    "inference": {
        "inference.test_dataset.data_path": {"source": "train_datasets", "path": "test_data.npy"},
        "inference.test_dataset.label_path": {"source": "train_datasets", "path": "test_label.pkl"},
    },
}

# The function of `kinetag.jobs.inferring` that fills an option which the user left empty.
SPEC_PARAMS: dict[str, dict[str, str]] = {
    "dataset_convert": {"dataset_convert.results_dir": "output_dir"},
    "train": {
        "encryption_key": "key",
        "results_dir": "output_dir",
        "model.pretrained_model_path": "ptm_if_no_resume_model",
        "train.resume_training_checkpoint_path": "resume_model",
    },
    "evaluate": {
        "encryption_key": "key",
        "results_dir": "output_dir",
        "evaluate.checkpoint": "parent_model",
    },
    "export": {
        "encryption_key": "key",
        "results_dir": "output_dir",
        "export.checkpoint": "parent_model",
        "export.onnx_file": "create_onnx_file",
    },
    "inference": {
        "encryption_key": "key",
        "results_dir": "output_dir",
        "inference.checkpoint": "parent_model",
        "inference.output_file": "create_inference_result_file_pose",
    },
}

SPEC_SHORTHAND_KEYS = SHORTHANDS

# What a service runs, with the path of a spec in the place of {config_path}; where it keeps inputs is not sent back.
ACTIONS_INFO: dict[str, dict[str, object]] = {
    action: {
        "command": f"kinetag {action} -e {{config_path}}",
        "config_format": "yaml",
        "mode": "config",
        "inputs": INPUTS[action],
        "outputs": OUTPUTS[action],
        "upload_excludes": ["inputs/"],
    }
    for action in INPUTS
}
