"""`python -m resnet_explore` is the same as the `resnet-explore` command."""

import sys

from resnet_explore.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
