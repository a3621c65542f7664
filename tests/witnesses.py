"""Independent witnesses for the tests of the analysis room."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import VGG, ResNet
from torchvision.models.vgg import make_layers

HOOKS = [name for name in vars(nn.Module()) if "hook" in name]


class _Thin(ResNet):
    def _make_layer(self, block, planes, *args, **kwargs):
        if planes == 64:
            self.inplanes, self.conv1, self.bn1 = 8, nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        return super()._make_layer(block, planes // 8, *args, **kwargs)


def thin_resnet(block: type, layers: list[int], num_classes: int) -> ResNet:
    """Return a network of torchvision, by its own code, with an eighth of the channels: quick to copy."""
    net = _Thin(block, layers)
    net.fc = nn.Linear(64 * block.expansion, num_classes)
    net.__class__ = ResNet
    return net


def thin_vgg() -> VGG:
    """Return a VGG with two convolutions instead of 130 million weights."""
    with torch.device("meta"):
        net = VGG(nn.Identity(), init_weights=False)
    net.features, net.classifier = make_layers([8, "M", 8, "M"]), nn.Linear(8 * 7 * 7, 5)
    return net


def fingerprint(model: nn.Module) -> dict[str, object]:
    """Everything about a model that a measurement could disturb, in comparable form: identities and bytes."""
    state: dict[str, object] = {}
    for path, module in model.named_modules():
        state[f"{path}/training"] = module.training
        state[f"{path}/attributes"] = sorted(vars(module))
        for hooks in HOOKS:
            value = getattr(module, hooks)
            state[f"{path}/{hooks}"] = list(value.items()) if isinstance(value, dict) else value
    for path, parameter in model.named_parameters():
        grad = parameter.grad
        state[path] = (id(parameter), parameter.requires_grad, _bytes(parameter))
        state[f"{path}/grad"] = None if grad is None else (id(grad), _bytes(grad))
    for path, buffer in model.named_buffers():
        state[path] = (id(buffer), _bytes(buffer))
    return state


def derivatives(model: nn.Module, run) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Outputs and their gradients by call ("relu:1", ...), and weight gradients, without our code.

    Each output of an out-of-place copy of the model gets a leaf of zeros added to it; the leaf's .grad, after
    `run(copy).backward()`, is the gradient with respect to that output.
    """
    model = copy.deepcopy(model)
    made = probed(model)
    run(model).backward()
    outputs, gradients = {}, {}
    for name, (output, leaf) in made().items():
        outputs[name] = output
        if leaf.grad is not None:
            gradients[name] = leaf.grad
    weights = {path: p.grad for path, p in model.named_parameters() if p.grad is not None}
    return outputs, gradients, weights


def probed(model: nn.Module) -> Callable[[], dict[str, tuple[Tensor, Tensor]]]:
    """Make a model out-of-place and let it add a leaf of zeros to each output of its modules.

    Returns a function that says what came by then, by call: a copy of the output, and its leaf.
    """
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    calls: dict[str, list[dict[str, tuple[Tensor, Tensor]]]] = {}

    def probe(output, path, made):
        if isinstance(output, (list, tuple)):
            return type(output)(probe(part, f"{path}[{i}]", made) for i, part in enumerate(output))
        if not isinstance(output, Tensor):
            return output
        leaf = torch.zeros_like(output, requires_grad=True)
        made[path] = (output.detach().clone(), leaf)
        return output + leaf

    def hook(name):
        def probe_call(module, args, output):
            made: dict[str, tuple[Tensor, Tensor]] = {}
            calls.setdefault(name, []).append(made)
            return probe(output, "", made)

        return probe_call

    for name, module in model.named_modules():
        if name:
            module.register_forward_hook(hook(name))

    def found():
        return {
            (name if len(all_made) == 1 else f"{name}:{i}") + path: pair
            for name, all_made in calls.items()
            for i, made in enumerate(all_made, start=1)
            for path, pair in made.items()
        }

    return found


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
