"""See what a skip connection does: plain and residual networks side by side.

Public names are listed in `_HOME` and imported when first used, so that `import resnet_explore` and the
command line answer at once; torch is loaded by the first name that needs it.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "ResNetConfig": "models.config",
    "HRNetConfig": "models.config",
    "ResNet": "models.resnet",
    "MLP": "models.mlp",
    "MLPConfig": "models.mlp",
    "add_block": "models.blocks",
    "build": "models.presets",
    "twins": "models.presets",
    "list_models": "models.presets",
    "list_weights": "models.weights",
    "load_weights": "models.weights",
    "describe": "models.summary",
    "ImageSet": "inputs.datasets",
    "load_dataset": "inputs.datasets",
    "decode_image": "inputs.images",
    "ImageError": "inputs.images",
    "sample_photos": "inputs.images",
    "Sweep": "training.plan",
    "run_sweep": "training.sweep",
    "collect": "training.runs",
    "collect_layers": "training.runs",
    "summarize": "training.summary",
    "Capture": "analysis.capture",
    "Keep": "analysis.keep",
    "layer_statistics": "analysis.statistics",
    "gradient_flow": "analysis.gradients",
    "sample_gradients": "analysis.samples",
    "input_gradients": "analysis.shattering",
    "gradient_autocorrelation": "analysis.shattering",
    "skip_ratios": "analysis.skips",
    "jacobian_spectra": "analysis.jacobian",
    "check_claims": "analysis.claims",
    "claim_curves": "analysis.claim_curves",
    "structure": "analysis.structure",
    "class_activation_maps": "analysis.cams",
    "feature_maps": "analysis.feature_maps",
    "residual_stream": "analysis.residual_stream",
    "attribute": "analysis.attribution",
    "judge": "analysis.verdict",
    "evaluate": "analysis.evaluation",
    "load_verdicts": "analysis.evaluation",
    "Filmstrip": "widgets.filmstrip",
    "DegradationExplorer": "widgets.degradation",
    "GradientRecorder": "widgets.gradient_flow.recorder",
    "GradientFlowExplorer": "widgets.gradient_flow.explorer",
    "SaliencyExplorer": "widgets.saliency",
    "VerdictChart": "widgets.verdict_chart",
    "FeatureMapExplorer": "widgets.feature_maps",
    "ArchitectureExplorer": "widgets.architecture.explorer",
    "ExploreError": "errors",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
