"""The recorded experiment: skips scaled, removed or given while networks train."""

from typing import TYPE_CHECKING

from resnet_explore.paths import shipped
from resnet_explore.training.runs import collect, collect_layers
from resnet_explore.training.skip_scale import NONE, skip_scale

if TYPE_CHECKING:
    import pandas as pd

SKIP_TRAINING = ("data", "digits", "skips")
_FIRST, _LAST = "layer1.0.conv1", "layer3.8.conv2"  # of the blocks of a network of 56 layers


def load_skip_training() -> "pd.DataFrame":
    """Return the recorded epochs of 56-layer networks on the digits whose skips changed while they trained.

    One row per run and epoch, those of a run together. Columns:

    skip_scale     what the sweep was told, such as "0.5" or "1-then-0-after-4"; "none" for the plain twin
    label          the same in words, such as "skips removed after epoch 4"
    alpha          the factor on all skips in that epoch, nan for the plain twin
    kind, depth, seed, epoch, epochs, run   as in `collect`
    train_error, test_error, train_loss, test_loss   at the epoch's end, with its factor; errors in percent
    first_gradient, last_gradient   in the last training step of the epoch: norm of the loss's gradient by the
                   first block's first and the last block's last convolution, on that step's batch
    """
    folder = shipped(*SKIP_TRAINING)
    table, layers = collect(folder), collect_layers(folder)
    scales = {text: skip_scale(text) for text in table["skip_scale"].unique() if text != NONE}
    table["label"] = ["plain" if text == NONE else scales[text].words for text in table["skip_scale"]]
    table["alpha"] = [
        float("nan") if text == NONE else scales[text].at(epoch)
        for text, epoch in zip(table["skip_scale"], table["epoch"], strict=True)
    ]
    norms = layers.set_index(["layer", "run", "step"])["gradient_norm"]
    for name, layer in (("first_gradient", _FIRST), ("last_gradient", _LAST)):
        found = norms.loc[layer]
        table[name] = [found[run, step - 1] for run, step in zip(table["run"], table["step"], strict=True)]
    columns = ["skip_scale", "label", "alpha", "kind", "depth", "seed", "epoch", "epochs", "train_error"]
    columns += ["test_error", "train_loss", "test_loss", "first_gradient", "last_gradient", "run"]
    return table[columns].sort_values(["kind", "skip_scale", "seed", "epoch"], ignore_index=True)
