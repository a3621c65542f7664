"""The hook doctor: what a capture of a model holds, what it saves from being overwritten, what it misses."""

import copy
from dataclasses import dataclass
from html import escape
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_images, first_line
from resnet_explore.analysis._brief import counted
from resnet_explore.analysis._state import measuring, refuse_replicas
from resnet_explore.analysis.capture._watch import CLONED, SAFE, UNREACHABLE, Finding, Watch
from resnet_explore.errors import ExploreError, an, require_module
from resnet_explore.models.dispatch import uncompiled

_ORDER = (UNREACHABLE, CLONED, SAFE)


@dataclass(frozen=True)
class Checkup:
    """What one pass of a model gives to see: findings in the order of execution, then what never ran.

    `str()` and a notebook show it as a table. `conditions` says on what it was found.
    """

    model: str
    conditions: str
    findings: tuple[Finding, ...]

    def of(self, status: str) -> tuple[Finding, ...]:
        """Return the findings with a status: "safe", "cloned" or "not reachable"."""
        return tuple(finding for finding in self.findings if finding.status == status)

    @property
    def nbytes(self) -> int:
        """How many bytes a full copy of every output takes for this input."""
        return sum(finding.nbytes for finding in self.findings)

    @property
    def summary(self) -> str:
        """The whole in a sentence."""
        missed, cloned, safe = (len(self.of(status)) for status in _ORDER)
        copies = "is right only as a copy" if cloned == 1 else "are right only as copies"
        them = "it" if cloned == 1 else "them"
        return (
            f"{self.model}, {self.conditions}: {counted(safe + cloned, 'output')} can be captured, which "
            f"takes {self.nbytes / 1e6:.1f} MB; {cloned} of them {copies} made in time, since something "
            f"writes over {them}; {'1 module or call' if missed == 1 else f'{missed} modules or calls'} "
            "can't be reached."
        )

    def __str__(self) -> str:
        width = min(60, max((len(finding.name) for finding in self.findings), default=0))
        lines = [self.summary]
        for status in _ORDER:
            found = self.of(status)
            lines += ["", f"{status} ({len(found)})"] if found else []
            lines += [f"  {f.name:<{width}}  {f.why}".rstrip() for f in found]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        heads = "".join(f'<th scope="col" {left}>{head}</th>' for head in ("name", "kind", "why"))
        parts = [f"<p>{escape(self.summary)}</p>"]
        for status in _ORDER:
            found = [(f.name, f.kind, f.why) for f in self.of(status)]
            rows = ("".join(f"<td {left}>{escape(text)}</td>" for text in row) for row in found)
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            if found:
                parts.append(
                    f"<details{'' if status == SAFE else ' open'}><summary>{status} ({len(found)})</summary>"
                    f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></details>"
                )
        return "".join(parts)


def check(model: nn.Module, images: Any = None) -> Checkup:
    """Return what a `Capture` of the model would hold, and what not, and why; the model is left as it was.

    images  a float batch (N, C, H, W), run through the model as it is. None for two images of 224x224 pixels
            on the meta device, where tensors are only shapes: it computes nothing and costs no memory, and
            works for models that take one image tensor and don't decide by the values they see.

    Raises ExploreError, with the module and its reason, if the model can't be run so, and says whether it
    can in eval mode.
    """
    require_module(model)
    refuse_replicas(model)
    with measuring(model), torch.no_grad(), uncompiled():
        if images is None:
            patient, where = _without_values(model), "without values"
            batch = torch.zeros((2, _channels(model), 224, 224), device="meta")
        else:
            patient, batch = model, as_images(model, images)
            where = f"on {batch.device}"
        watch = Watch(patient)
        try:
            with watch.watching():
                patient(batch)
        except Exception as error:
            failure = _failure(watch, error, batch)
            advice = _advice(patient, batch, failure)
            raise ExploreError(
                f"The model, {an(model)}, can't take {_size(batch)} images {where}: {failure}{advice}."
            ) from error
    conditions = f"{_size(batch)} images {where}, {'train' if model.training else 'eval'} mode"
    return Checkup(type(model).__name__, conditions, tuple(watch.findings()))


def _failure(watch: Watch, error: Exception, batch: Tensor) -> str:
    where = watch.failed or "its forward"
    if batch.is_meta and "meta" in str(error).lower():  # torch tells at length what only it can do about it
        return f"{where} decides by values, and there are none"
    return f"{type(error).__name__} in {where}, {first_line(error)}"


def _advice(model: nn.Module, batch: Tensor, failure: str) -> str:
    """Return what helps, tried out: some models, such as detectors, take only targets too in train mode."""
    pass_images = "pass images that it can take" if batch.is_meta else ""
    evaluate = ""
    if model.training:
        watch = Watch(model.eval())  # the caller puts the mode back
        try:
            with watch.watching():
                model(batch)
            return "; in eval mode it can: call .eval() first"
        except Exception as error:
            # It gets further then, as far as one can see.
            if pass_images and _failure(watch, error, batch) != failure:
                evaluate = "call .eval() first and "
    return f"; {evaluate}{pass_images}" if pass_images else ""


def _without_values(model: nn.Module) -> nn.Module:
    """Return a copy on the meta device, made without copying any weight."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise ExploreError(
            f"The model, {an(model)}, can't be copied to be looked at ({first_line(error)}): "
            "pass images, which are run through the model itself."
        ) from error


def _channels(model: nn.Module) -> int:
    """Return how many channels the model's images have, by its first convolution."""
    convolution = next((m for m in model.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
    return 3 if convolution is None else convolution.in_channels


def _size(batch: Tensor) -> str:
    return "×".join(map(str, batch.shape))
