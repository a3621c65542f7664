"""Where a sweep is trained on this machine, and what is said of that."""

from dataclasses import replace

from resnet_explore.models.devices import Device, device_for, kind_for, refuse_precision
from resnet_explore.training.plan import Sweep


def placed(sweep: Sweep) -> Sweep:
    """Return the sweep with accelerator "auto" settled by this machine: the first of cuda, mps and cpu.

    The digits pass an Apple chip by. Their networks are bound by the cost of calling operators, which only
    grows there, and all its cores, a process each, would wait for one that has the GPU.

    Raises ExploreError for an accelerator that is not here.
    """
    return replace(sweep, accelerator="cpu" if _passes_mps_by(sweep) else kind_for(sweep.accelerator))


def place_in_words(asked: Sweep, sweep: Sweep) -> str:
    """Say what is not a matter of course about where a sweep is trained, to follow on what it is trained on.

    `asked` is the sweep as it was written, `sweep` the same with accelerator and precision settled. Returns
    "" for a processor on which nothing had to fall back. Raises ExploreError if the device can't compute in
    a precision of the sweep.
    """
    device = device_for(sweep.accelerator)
    precisions = list(dict.fromkeys(run.precision for run in sweep.runs()))
    for precision in precisions:
        refuse_precision(device, precision)
    if device.kind == "cpu" and _passes_mps_by(asked):
        return (
            ", on the processor, whose cores together are likely to be faster than the Apple chip's GPU at "
            "networks this small (accelerator mps uses it)"
        )
    fell = asked.precision == "auto" and precisions == ["fp32"] and asked.dataset != "digits"
    reason = _why_not_bf16(device) if fell else ""
    if device.kind == "cpu":
        return f", in fp32, as {reason}" if reason else ""
    return f", {device.words} in {' and '.join(precisions)}" + (f", as {reason}" if reason else "")


def _passes_mps_by(sweep: Sweep) -> bool:
    return sweep.accelerator == "auto" and sweep.dataset == "digits" and kind_for() == "mps"


def _why_not_bf16(device: Device) -> str:
    """Say why "auto" is fp32 on a device; "" if it isn't."""
    if device.fast_bf16:
        return ""
    if not device.bf16:
        return "bf16 needs macOS 14 or newer" if device.kind == "mps" else "it has no bf16"
    return {
        "mps": "the first Apple chips only emulate bf16 (on yours precision bf16 may be faster)",
        "cuda": "it only emulates bf16",
        "cpu": "this processor has no instructions for bf16",
    }[device.kind]
