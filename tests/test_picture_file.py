"""Tables that explorers save: their conditions once, above; what pandas reads is what was written."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_explore.widgets.picture_file import PROGRAM, save_table

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=5), TEXTS)
def test_a_saved_table_is_read_back_whatever_its_texts_hold(rows, words):
    table = pd.DataFrame(rows, columns=["network", "value # 1"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        save_table(path, table, {"conditions": f"batch #3\n{words}", "seed": 0})
        lines = path.read_text(encoding="utf-8").split("\n")
        found = pd.read_csv(path, comment="#", dtype={"network": str}, keep_default_na=False)
    assert lines[0] == f"# program: {PROGRAM}"
    assert lines[1].split() == ["#", "conditions:", "batch", "#3", *words.split()]
    assert lines[2] == "# seed: 0"
    assert list(found.columns) == list(table.columns)
    assert list(found["network"]) == list(table["network"])
    np.testing.assert_allclose(found["value # 1"], table["value # 1"], rtol=1e-15)
