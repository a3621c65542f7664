"""All benchmarks, one after another: `make benchmark`; on a machine with a GPU also that of the GPU."""

import subprocess
import sys

from resnet_explore.models.devices import kind_for

NAMES = (
    *("sweep", "training", "collect", "analysis", "capture", "cams", "gradients"),
    *("feature_maps", "heatmaps", "landscape", "lesions", "live", "memory", "scrub", "sliders"),
)

for name in (*NAMES, "gpu") if kind_for() != "cpu" else NAMES:
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
