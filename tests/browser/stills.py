"""Explorers without the still picture that stands in a saved notebook: for tests that never look at it.

To draw one takes 0.3 s of a processor and the first one of a kernel 1.3 s. What becomes of them is tried in
`test_hosts.py`, and what each explorer draws in the tests of the files that it saves.
"""

NO_STILLS = """\
from resnet_explore.widgets.core import still
still._draw = lambda explorer, handle, name: None
"""
