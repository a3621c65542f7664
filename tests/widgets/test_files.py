"""Tables that explorers save: their conditions once, above; what pandas reads is what was written."""

import io

import numpy as np
import pandas as pd
from hypothesis import given, settings, strategies as st

from resnet_explore.widgets.core.files import PROGRAM, as_csv

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=5), TEXTS)
def test_a_saved_table_is_read_back_whatever_its_texts_hold(rows, words):
    table = [{"network": name, "value # 1": value} for name, value in rows]
    written = as_csv({"conditions": f"batch #3\n{words}", "seed": 0}, {"": table}).decode()
    lines = written.split("\n")
    found = pd.read_csv(io.StringIO(written), comment="#", dtype={"network": str}, keep_default_na=False)
    assert lines[0] == f"# program: {PROGRAM}"
    assert lines[1].split() == ["#", "conditions:", "batch", "#3", *words.split()]
    assert lines[2] == "# seed: 0"
    assert list(found.columns) == ["network", "value # 1"]
    assert list(found["network"]) == [name for name, _ in rows]
    np.testing.assert_allclose(found["value # 1"], [value for _, value in rows], rtol=1e-15)
