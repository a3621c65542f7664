"""Independent witnesses for the tests of the analysis room."""

import copy

import torch
from torch import Tensor, nn

HOOKS = [name for name in vars(nn.Module()) if "hook" in name]


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
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def probe(path):
        def hook(module, args, output):
            leaf = torch.zeros_like(output, requires_grad=True)
            calls.setdefault(path, []).append((output.detach().clone(), leaf))
            return output + leaf

        return hook

    for path, module in model.named_modules():
        if path:
            module.register_forward_hook(probe(path))
    run(model).backward()
    outputs, gradients = {}, {}
    for path, made in calls.items():
        for i, (output, leaf) in enumerate(made, start=1):
            name = path if len(made) == 1 else f"{path}:{i}"
            outputs[name] = output
            if leaf.grad is not None:
                gradients[name] = leaf.grad
    weights = {path: p.grad for path, p in model.named_parameters() if p.grad is not None}
    return outputs, gradients, weights


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
