"""All benchmarks, one after another: `make benchmark`."""

import subprocess
import sys

for name in ("sweep", "training", "analysis", "capture", "scrub"):
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
