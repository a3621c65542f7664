"""See what a skip connection does: plain and residual networks side by side.

The public names stand in `__init__.pyi`, where editors and type checkers find them. Each is imported when it
is first used, so that `import resnet_explore` and the command line answer at once; torch is loaded by the
first name that needs it.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, _dir, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted(_names)


def __dir__() -> list[str]:
    return [*_dir(), "__version__"]
