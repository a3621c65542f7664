"""The public names, for editors and type checkers; Python reads it too, to import each when it is first
used."""

from .analysis.activations.contributions import logit_contributions as logit_contributions
from .analysis.activations.feature_maps import feature_maps as feature_maps
from .analysis.activations.probes import (
    linear_probes as linear_probes,
    load_probes as load_probes,
)
from .analysis.activations.residual_stream import residual_stream as residual_stream
from .analysis.activations.statistics import layer_statistics as layer_statistics
from .analysis.capture.capture import Capture as Capture
from .analysis.capture.keep import Keep as Keep
from .analysis.explain.attribution import attribute as attribute
from .analysis.explain.maps import class_activation_maps as class_activation_maps
from .analysis.explain.scoring.evaluation import (
    evaluate as evaluate,
    load_verdicts as load_verdicts,
)
from .analysis.explain.scoring.verdict import judge as judge
from .analysis.gradients.claims.checks import check_claims as check_claims
from .analysis.gradients.claims.curves import claim_curves as claim_curves
from .analysis.gradients.flow import gradient_flow as gradient_flow
from .analysis.gradients.jacobian import jacobian_spectra as jacobian_spectra
from .analysis.gradients.samples import sample_gradients as sample_gradients
from .analysis.gradients.shattering import (
    gradient_autocorrelation as gradient_autocorrelation,
    input_gradients as input_gradients,
)
from .analysis.gradients.skip_ratios import skip_ratios as skip_ratios
from .analysis.landscape.curvature import top_hessian_eigenvalue as top_hessian_eigenvalue
from .analysis.landscape.surface import loss_landscape as loss_landscape
from .analysis.similarity import similarity as similarity
from .analysis.similarity_record import load_similarities as load_similarities
from .analysis.skips.edited import edited as edited
from .analysis.skips.lesions import lesion_study as lesion_study
from .analysis.skips.paths import path_lengths as path_lengths
from .analysis.skips.recorded import (
    load_lesions as load_lesions,
    load_paths as load_paths,
)
from .analysis.topology.structure import structure as structure
from .errors import ExploreError as ExploreError
from .exercises.check import check as check
from .inputs.datasets import (
    ImageSet as ImageSet,
    load_dataset as load_dataset,
)
from .inputs.images import (
    ImageError as ImageError,
    decode_image as decode_image,
    sample_photos as sample_photos,
)
from .models.blocks import add_block as add_block
from .models.config import (
    HRNetConfig as HRNetConfig,
    ResNetConfig as ResNetConfig,
)
from .models.mlp import (
    MLP as MLP,
    MLPConfig as MLPConfig,
)
from .models.presets import (
    build as build,
    list_models as list_models,
    twins as twins,
)
from .models.resnet import ResNet as ResNet
from .models.summary import describe as describe
from .models.weights import (
    list_weights as list_weights,
    load_weights as load_weights,
)
from .training.plan import Sweep as Sweep
from .training.race import Race as Race
from .training.runs import (
    collect as collect,
    collect_layers as collect_layers,
)
from .training.skip_training import load_skip_training as load_skip_training
from .training.summary import summarize as summarize
from .training.sweep import run_sweep as run_sweep
from .widgets.architecture.explorer import ArchitectureExplorer as ArchitectureExplorer
from .widgets.catalog.link import link as link
from .widgets.degradation.explorer import DegradationExplorer as DegradationExplorer
from .widgets.feature_maps.explorer import FeatureMapExplorer as FeatureMapExplorer
from .widgets.filmstrip.filmstrip import Filmstrip as Filmstrip
from .widgets.filmstrip.verdict_chart import VerdictChart as VerdictChart
from .widgets.gradient_flow.explorer import GradientFlowExplorer as GradientFlowExplorer
from .widgets.gradient_flow.recorder import GradientRecorder as GradientRecorder
from .widgets.landscape.explorer import LandscapeExplorer as LandscapeExplorer
from .widgets.lesson.explorer import LessonExplorer as LessonExplorer
from .widgets.playground.explorer import PlaygroundExplorer as PlaygroundExplorer
from .widgets.saliency.explorer import SaliencyExplorer as SaliencyExplorer
from .widgets.similarity.explorer import SimilarityExplorer as SimilarityExplorer
from .widgets.skips.explorer import SkipExplorer as SkipExplorer
from .widgets.stream.explorer import StreamExplorer as StreamExplorer

__version__: str
