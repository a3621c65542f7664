"""Twins as they are drawn to be edited."""

import math
from collections.abc import Sequence

import numpy as np

from resnet_explore.widgets.core.cuts_panel import DrawnBlock, DrawnRow
from resnet_explore.widgets.skips import captions
from resnet_explore.widgets.skips.lab import OpenTwins


def drawn(twins: OpenTwins, errors: Sequence[np.ndarray] = ()) -> tuple[DrawnRow, ...]:
    """Return both networks as they are drawn; `errors` are those without each block, of each network."""
    known = errors or [np.full(len(blocks), np.nan) for blocks in twins.blocks]
    return tuple(
        DrawnRow(
            network.name,
            network.kind,
            tuple(
                DrawnBlock(
                    k,
                    block.name,
                    block.stage,
                    block.gives,
                    block.skip,
                    "" if block.can_go else captions.stays(block.takes, block.gives),
                    twins.partners[k - 1],
                    None if math.isnan(own[k - 1]) else float(own[k - 1]),
                )
                for k, block in enumerate(blocks, 1)
            ),
        )
        for network, blocks, own in zip(twins.networks, twins.blocks, known, strict=True)
    )
