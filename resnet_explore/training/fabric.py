"""Lightning Fabric, without what it loads only to ask for its version.

Where torchmetrics is installed, as it is beside PyTorch Lightning, Fabric imports it for that, and with it
torchvision, matplotlib and scipy's statistics: 100 MB and a second of every process that trains.
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version as installed

from lightning_utilities.core import imports
from packaging.version import Version

_by_import = imports.compare_version


def _by_metadata(package: str, op: Callable[..., bool], version: str, use_base_version: bool = False) -> bool:
    if package != "torchmetrics":
        return _by_import(package, op, version, use_base_version)
    try:
        return op(Version(installed(package)), Version(version))
    except PackageNotFoundError:
        return False


imports.compare_version = _by_metadata
try:
    from lightning_fabric import Fabric as Fabric
    from lightning_fabric.plugins.environments import (
        LightningEnvironment as LightningEnvironment,
        TorchElasticEnvironment as TorchElasticEnvironment,
    )
finally:
    imports.compare_version = _by_import
