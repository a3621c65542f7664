"""The handwritten digits inside scikit-learn's wheel, read without importing scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np


def digit_rows() -> np.ndarray:
    """Return scikit-learn's digits, float64 (1797, 65): 64 pixels of 0..16 and the class.

    Read from their file, as to import scikit-learn takes a second and 150 MB.
    """
    package = find_spec("sklearn")  # finds the folder without importing the package
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits  # laid out otherwise; it knows where its file is

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
