"""All benchmarks, one after another: `make benchmark`."""

import subprocess
import sys

NAMES = (
    *("sweep", "training", "collect", "analysis", "capture", "cams", "gradients"),
    *("feature_maps", "heatmaps", "memory", "scrub"),
)

for name in NAMES:
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
