"""The view of singular values, block by block, that the gradient explorer's slider moves through."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.jacobian import JacobianSpectra, jacobian_spectra
from resnet_explore.figures.gradients import decades
from resnet_explore.figures.jacobian import spectra_by_depth
from resnet_explore.figures.style import WIDE, Figure, label_of
from resnet_explore.models.threads import one_thread
from resnet_explore.training.plan import KINDS
from resnet_explore.widgets.gradient_lab import described
from resnet_explore.widgets.gradient_views import Live, View
from resnet_explore.widgets.words import factor

if TYPE_CHECKING:
    import pandas as pd

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class JacobianView(View):
    """Singular values of every block, the twins side by side."""

    def __init__(self, live: Live, depths: Sequence[int]) -> None:
        self.live, self.depths = live, list(depths)
        self.ticks = [str(depth) for depth in depths]

    def measure(self, position: int) -> dict[str, JacobianSpectra]:
        """Measure both twins at the batch's first image."""
        bench, given = self.live.bench, self.live.given
        images = bench.batch(given.data).images
        networks = {kind: bench.network(kind, self.depths[position], given) for kind in KINDS}
        with one_thread():
            return {
                kind: jacobian_spectra(network, images, mode=given.mode, top=1, steps=12, probes=1)
                for kind, network in networks.items()
            }

    def limits(self, results: Sequence[Mapping[str, JacobianSpectra]]) -> tuple[float, float]:
        """Return decades around the bands and the largest values."""
        every = [v for found in results for s in found.values() for v in (s.top.ravel(), s.quantile(0.05))]
        return decades(np.clip(np.concatenate(every), 1e-3, 1e4))

    def draw(
        self, result: Mapping[str, JacobianSpectra], limits: tuple[float, float], size: tuple[int, int] = WIDE
    ) -> Figure:
        """Return two panels."""
        return spectra_by_depth(
            {
                kind: (s.top[:, 0], np.stack([s.quantile(q) for q in _QUANTILES], 1))
                for kind, s in result.items()
            },
            limits,
            *size,
        )

    def title(self, position: int, result: Mapping[str, JacobianSpectra]) -> str:
        """Return between which values the medians of the blocks lie, and the largest value of all."""
        said = []
        for kind, spectra in result.items():
            low, *_, high = sorted(spectra.quantile(0.5))
            said.append(
                f"{label_of(kind)}: in the median a block stretches a change {factor(low)} to {factor(high)} "
                f"times, at most {factor(float(spectra.top.max()))} times"
            )
        said = [said[0], *(one[0].lower() + one[1:] for one in said[1:])]
        return f"{self.ticks[position]} layers. {'; '.join(said)}."

    def caption(self, position: int, result: Any = None) -> str:
        """Return all conditions."""
        bench, given = self.live.bench, self.live.given
        conditions = described(given, bench.batch(given.data), bench.seed)
        return (
            "Singular values of each block's Jacobian at one image: how many times it stretches a small "
            "change of its input, for each direction of the change. Line: median over directions; dark and "
            "light band: where 50 % and 90 % lie (estimated by 12 Lanczos steps); triangles: the largest; "
            f"dashed: no stretch. Batch statistics constant; {conditions}."
        )

    def table(self, results: Mapping[int, Mapping[str, JacobianSpectra]]) -> "pd.DataFrame":
        """Return a row for each depth, network and block."""
        import pandas as pd

        parts = []
        for position, found in sorted(results.items()):
            for kind, spectra in found.items():
                quantiles = {f"quantile_{q:g}": spectra.quantile(q) for q in _QUANTILES}
                about = {"depth": self.ticks[position], "network": kind, "block": spectra.names}
                facts = self.live.facts(self.live.given, kind)
                parts.append(pd.DataFrame({**about, "largest": spectra.top[:, 0], **quantiles, **facts}))
        return pd.concat(parts, ignore_index=True)

    def about_table(self) -> dict[str, Any]:
        """Return the conditions of all depths."""
        return {"conditions": self.caption(0), **self.live.shared_facts()}
