"""The Python behind a view of the gradient explorer."""

from collections.abc import Sequence

from resnet_explore.widgets.gradient_flow.state import HERE, GradientFlowState

_SIZES = {
    "digits": (64, 8, 1),
    "cifar10": (32, 16, 3),
}  # images of a batch, channels of the first stage and of images


def measuring_in_code(state: GradientFlowState, seed: int) -> Sequence[str]:
    """Return how the twins are made and measured, or a record read; () where steps were taken here."""
    if state.view == "layers" and state.source != HERE:
        record = f'rx.collect_layers(shipped("data", {state.source!r}))'
        return ["from resnet_explore.paths import shipped", "", record]
    if state.steps or state.data not in _SIZES or state.activation != "relu":
        return ()
    count, width, channels = _SIZES[state.data]
    widths = tuple(width * 2**stage for stage in range(3))
    options = (
        f"widths={widths}, in_channels={channels}, norm={state.norm!r}, init={state.start!r}, seed={seed}"
    )
    lines = [
        "",
        f"data = rx.load_dataset({state.data!r})",
        f"images, labels = data.normalized(slice(0, {count})), data.labels[:{count}]",
    ]
    if state.view == "skip":
        model = f'model = rx.build("cifar_resnet{{depth}}", {options}, skip_scale={{strength}})'
        return [*lines, model, f"rx.gradient_flow(model, images, labels, {state.mode!r})"]
    call = f"rx.gradient_flow(model, images, labels, {state.mode!r})"
    if state.view == "jacobians":
        call = f"rx.jacobian_spectra(model, images, mode={state.mode!r}, top=1, steps=12, probes=1)"
    return [*lines, f'twins = rx.twins("cifar_resnet{{depth}}", {options})', f"[{call} for model in twins]"]
