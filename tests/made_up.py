"""Records of experiments that never were, in the format of those that ship, for tests of what shows them."""

import json

import numpy as np
import pandas as pd

import resnet_explore as rx
from resnet_explore.training.runs import RunFolder, save_tensors

CIFAR_SEEDS = {8: (0,), 14: (0,), 20: (0, 1, 2), 32: (0,), 44: (0,), 56: (0, 1, 2)}
RECIPE = {
    "width": 16,
    "epochs": 3,
    "batch_size": 128,
    "schedule": "one-cycle",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "label_smoothing": 0.0,
    "augment": "crop",
    "precision": "bf16",
    "size": None,
    "eval_images": 2000,
    "keep_steps": "[]",
}


def write_record(path, dataset="cifar10", family="cifar", seeds=None, layers=True, steps=390):
    """Write history.csv, about.json and layers.parquet: plain errors grow with depth, residual ones fall."""
    path.mkdir(parents=True)
    epochs = RECIPE["epochs"]
    rows, looks = [], []
    for depth, chosen in (seeds or CIFAR_SEEDS).items():
        for kind in ("plain", "residual"):
            for seed in chosen:
                run = {"run": f"{kind}{depth}-seed{seed}", "kind": kind, "depth": depth, "seed": seed}
                error = (10 + depth / 4 if kind == "plain" else 14 - depth / 20) + seed
                for epoch in range(1, epochs + 1):
                    errors = {"train_error": error + 20 * (epochs - epoch) / epochs}
                    errors["test_error"] = errors["train_error"] + 3
                    losses = {"train_loss": 1.0, "test_loss": 1.1}
                    at = {"epoch": epoch, "step": epoch * steps, "seconds": 60.0}
                    rows.append(
                        {**run, "dataset": dataset, "family": family, **RECIPE, **at, **errors, **losses}
                    )
                position = np.arange(1, depth + 1)
                for step in sorted({0, 1, 3, 10, 30, *(e * steps - 1 for e in range(1, epochs + 1))}):
                    growth = 1.2 if kind == "plain" and step == 0 else 1.0
                    looks.append(
                        pd.DataFrame(
                            {
                                **run,
                                "width": 16,
                                "position": position,
                                "step": step,
                                "layer": [
                                    "conv1",
                                    *(f"layer1.{k // 2}.conv{k % 2 + 1}" for k in range(depth - 2)),
                                    "fc",
                                ],
                                "gradient_norm": (seed + 1) * growth ** (depth - position),
                                "response_std": (2.0 if kind == "plain" else 0.5) if step else 1.0,
                            }
                        )
                    )
    pd.DataFrame(rows).to_csv(path / "history.csv", index=False)
    if layers:
        pd.concat(looks).to_parquet(path / "layers.parquet", index=False)
    about = {
        "commands": [f"resnet-explore sweep {dataset} --depths 20,56 --root /home/me/images"],
        "data": f"a made-up copy of {dataset}",
        "minutes": 240.0,
    }
    (path / "about.json").write_text(json.dumps(about))


def write_weights(path, model, size, classes=("cat", "dog", "ship"), **fields):
    """Write weights of a network as `record` does, untrained, for images of 3×size×size."""
    network = rx.build(model, seed=1, num_classes=len(classes), **fields)
    about = {
        "config": network.config.__dict__,
        "data": "made-up photos",
        "classes": classes,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "input_size": (3, size, size),
        "train_error": 12.34,
        "test_error": 23.45,
        "provenance": "nowhere",
    }
    path.mkdir(parents=True, exist_ok=True)
    header = {key: json.dumps(value) for key, value in about.items()}
    save_tensors(path / f"{model}.safetensors", network.state_dict(), header)


def untrained_sweep(folder, runs):
    """A sweep's folder of untrained networks: {(kind, depth, seed, epochs): what they are drawn with}."""
    rows = []
    for (kind, depth, seed, epochs), drawn in runs.items():
        name = f"{kind}{depth}-seed{seed}-{epochs}"
        ours = rx.build(f"cifar_{'resnet' if kind == 'residual' else 'plain'}{depth}", "digits")
        header = {key: json.dumps(value) for key, value in ours.about.items()}
        (folder / name).mkdir(parents=True)
        weights = rx.build(ours.config, seed=drawn).state_dict()
        save_tensors(RunFolder(folder / name).checkpoint, weights, header)
        own = {"run": name, "family": "cifar", "kind": kind, "depth": depth, "seed": seed}
        rows.append({**own, "epoch": epochs, "epochs": epochs})
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    return folder
