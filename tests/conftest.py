"""Two processes of tests share the processor (`make test`): one thread each, or they wait for one another."""

import os

import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
