"""How does a block stretch and squeeze small changes of its input? Singular values of Jacobians.

No Jacobian is ever built. Its transpose times a vector is a backward pass; itself times a vector is a
backward pass through that one, needing no second forward pass. The largest singular values come from SciPy's
Lanczos method; the distribution of all of them from Golub and Kahan's bidiagonalisation, started at random
vectors (stochastic Lanczos quadrature; Ubaru et al. 2017, SIAM J. Matrix Anal. Appl. 38(4)). Where they are
near 1, a signal and its gradient keep their length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._statistics import held_statistics
from resnet_explore.analysis.capture.capture import select_layers
from resnet_explore.analysis.gradients.flow import check_batch
from resnet_explore.analysis.topology.cam_layers import block_names
from resnet_explore.errors import ExploreError

_TINY = 1e-12  # of the largest singular value: below this, float32 can't tell one from 0


@dataclass(frozen=True, eq=False, repr=False)
class JacobianSpectra(Brief):
    """Singular values of Jacobians at one image, block by block, float64.

    names     of the blocks, in the order of execution
    top       (blocks, k): the largest singular values, in descending order; 0 where there are fewer
    nodes, weights   (blocks, m): the distribution of all singular values, as m places with weights that sum
              to 1; it is an estimate, exact in its low moments for the random vectors it started from
    whole     False: of each block's output by its own input; True: by the image
    mode      what batch norm used, always as constants
    sizes     (blocks, 2): how many numbers go in and come out, int
    """

    names: tuple[str, ...]
    top: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray
    whole: bool
    mode: str
    sizes: np.ndarray

    def quantile(self, q: float) -> np.ndarray:
        """Return for each block the singular value below which a share q, 0..1, of all of them lies."""
        found = np.empty(len(self.names))
        for i, (nodes, weights) in enumerate(zip(self.nodes, self.weights, strict=True)):
            order = np.argsort(nodes)
            share = np.cumsum(weights[order]) - weights[order] / 2
            found[i] = np.interp(q, share, nodes[order])
        return found

    @property
    def rms(self) -> np.ndarray:
        """Root mean square of all singular values, (blocks,): how much a random change grows on average."""
        return np.sqrt((self.weights * self.nodes**2).sum(1))

    @property
    def back(self) -> np.ndarray:
        """By how much a random gradient grows on its way back through each block, (blocks,).

        Root mean square over the directions of the output: of ‖J'u‖ for |u| = 1 it is ‖J‖ / √outputs, where
        `rms`, of ‖Jv‖, is ‖J‖ / √inputs.
        """
        return self.rms * np.sqrt(self.sizes[:, 0] / self.sizes[:, 1])

    def __str__(self) -> str:
        largest = int(self.top[:, 0].argmax())
        whose = "by the image" if self.whole else "by its own input"
        return (
            f"{len(self.names)} blocks, each {whose}, {self.mode} mode: a random change grows "
            f"{self.rms[0]:.3g} times at {self.names[0]}, {self.rms[-1]:.3g} at {self.names[-1]}; the "
            f"largest singular value is {self.top[largest, 0]:.3g}, at {self.names[largest]}."
        )


def jacobian_spectra(
    model: nn.Module,
    images: Tensor,
    blocks: Sequence[str] | None = None,
    mode: str = "train",
    whole: bool = False,
    top: int = 3,
    steps: int = 24,
    probes: int = 2,
    seed: int = 0,
) -> JacobianSpectra:
    """Measure the Jacobians of a network's blocks at the first of `images`.

    images  the batch whose statistics batch norm uses in "train" mode, as constants
    blocks  names of modules that take and return one tensor, in the order of execution; None for all
            residual blocks, or plain twins of such
    whole   take the derivative by the image instead of by the block's own input
    top     how many of the largest singular values
    steps, probes, seed   of the estimated distribution: Lanczos steps from each of so many random vectors

    Raises ExploreError for images that don't fit, unknown blocks, blocks that did not run or don't take one
    tensor, and numbers below 1.
    """
    for name, value in (("top", top), ("steps", steps), ("probes", probes)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ExploreError(f"{name} must be a whole number of at least 1, not {value!r}.")
    batch = check_batch(model, images, mode)
    modules = select_layers(model, block_names(model) if blocks is None else list(blocks))
    found, sizes = [], []
    with held_statistics(model, batch, mode):
        inputs = _inputs(model, batch[:1], modules)
        for name, module in modules.items():
            function = _until(model, module) if whole else module
            product = _Product(function, batch[:1] if whole else inputs[name])
            found.append((product.largest(top, seed), *product.distribution(steps, probes, seed)))
            sizes.append(product.shape[::-1])
    tops, nodes, weights = (np.stack(part) for part in zip(*found, strict=True))
    return JacobianSpectra(tuple(modules), tops, nodes, weights, whole, mode, np.array(sizes))


class _Product:
    """A Jacobian at x as what it does to vectors."""

    def __init__(self, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        with torch.enable_grad():
            self._x = x.detach().clone().requires_grad_()
            # Not the leaf itself, which a block that begins in place could not write to.
            self._y = function(self._x.view_as(self._x).clone())
            self._u = torch.zeros_like(self._y, requires_grad=True)
            # J'u is linear in u, so its derivative by u in direction v is v'J' = (Jv)'.
            (self._back,) = torch.autograd.grad(self._y, self._x, self._u, create_graph=True)
        self.shape = self._y.numel(), x.numel()

    def times(self, vector: Tensor) -> Tensor:
        """Return J v for v with as many numbers as x."""
        if not self._back.requires_grad:  # nothing of u reaches x
            return torch.zeros(self.shape[0], dtype=torch.float64)
        v = vector.to(self._back).reshape(self._back.shape)
        (product,) = torch.autograd.grad(self._back, self._u, v, retain_graph=True)
        return product.flatten().cpu().double()

    def transposed(self, vector: Tensor) -> Tensor:
        """Return J' u for u with as many numbers as the output."""
        u = vector.to(self._y).reshape(self._y.shape)
        (product,) = torch.autograd.grad(self._y, self._x, u, retain_graph=True)
        return product.flatten().cpu().double()

    def largest(self, count: int, seed: int) -> np.ndarray:
        """Return the `count` largest singular values, descending, zeros behind if there are fewer."""
        few = min(self.shape)
        values = np.zeros(count)
        if few <= max(count, 8):  # too small for Lanczos: row by row, or column by column
            rows = self.shape[0] <= self.shape[1]
            product = self.transposed if rows else self.times
            found = np.linalg.svd(torch.stack([product(e) for e in torch.eye(few)]).numpy(), compute_uv=False)
        elif not self.times(torch.randn(self.shape[1], generator=torch.Generator().manual_seed(seed))).any():
            return values  # a dead block; ARPACK can't start from 0
        else:
            from scipy.sparse.linalg import LinearOperator, svds  # not before 02 shows Jacobians

            operator = LinearOperator(
                self.shape,
                matvec=lambda v: self.times(torch.from_numpy(v)).numpy(),
                rmatvec=lambda u: self.transposed(torch.from_numpy(u)).numpy(),
                dtype=np.float64,
            )
            start = np.random.default_rng(seed).standard_normal(few)
            found = np.sort(svds(operator, count, tol=1e-4, v0=start, return_singular_vectors=False))[::-1]
        values[: min(count, len(found))] = found[:count]
        return values

    def distribution(self, steps: int, probes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return places (probes * steps,) of singular values and their weights, which sum to 1."""
        random = torch.Generator().manual_seed(seed)
        nodes, weights = np.zeros((probes, steps)), np.zeros((probes, steps))
        for k in range(probes):
            start = torch.randn(self.shape[1], generator=random, dtype=torch.float64)
            bidiagonal = self._bidiagonal(start / start.norm(), steps)
            _, values, right = np.linalg.svd(bidiagonal, full_matrices=False)
            nodes[k, : len(values)], weights[k, : len(values)] = values, right[:, 0] ** 2
            # What the first right singular vectors leave of the start is in the null space.
            weights[k, -1] += 1 - weights[k].sum()
        return nodes.ravel(), weights.ravel() / probes

    def _bidiagonal(self, v: Tensor, steps: int) -> np.ndarray:
        """Return B of J V = U B after so many steps, fewer where the space is used up.

        Every new vector is made orthogonal to all before it (Golub and Kahan 1965, with reorthogonalisation).
        """
        rights, lefts = [v], [self.times(v)]
        alphas, betas = [float(lefts[0].norm())], []
        if alphas[0] == 0:
            return np.zeros((1, 1))
        lefts[0] = lefts[0] / alphas[0]
        while len(alphas) < min(steps, *self.shape):
            v = _orthogonal(self.transposed(lefts[-1]), rights)
            beta = float(v.norm())
            if beta <= _TINY**0.5 * alphas[0]:
                break
            rights.append(v / beta)
            u = _orthogonal(self.times(rights[-1]), lefts)
            alpha = float(u.norm())
            betas.append(beta)
            alphas.append(alpha)
            if alpha <= _TINY**0.5 * alphas[0]:
                break
            lefts.append(u / alpha)
        return np.diag(alphas) + np.diag(betas, 1)


def _orthogonal(vector: Tensor, others: list[Tensor]) -> Tensor:
    basis = torch.stack(others)
    for _ in range(2):  # once is not enough in floating point, twice is
        vector = vector - basis.T @ (basis @ vector)
    return vector


def _inputs(model: nn.Module, image: Tensor, modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Return what each module gets; ExploreError for one that doesn't run, or gets anything but a tensor."""
    inputs: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def look(_module: nn.Module, args: Any, output: Any) -> None:
            if len(args) != 1 or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
                raise ExploreError(f"{name} must take and return one tensor; choose other blocks.")
            inputs[name] = args[0].detach()

        return look

    handles = [module.register_forward_hook(watch(name)) for name, module in modules.items()]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    for name in modules:
        if name not in inputs:
            raise ExploreError(f"{name} did not run, so it has no Jacobian; choose other blocks.")
    return inputs


def _until(model: nn.Module, module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the function from the image to a module's output."""

    def function(image: Tensor) -> Tensor:
        seen: list[Tensor] = []
        handle = module.register_forward_hook(lambda _module, _args, output: seen.append(output))
        try:
            model(image)
        finally:
            handle.remove()
        return seen[-1]

    return function
