"""The training images of one epoch: their order, crops and flips come from (seed, epoch) alone.

So both twins see the same data, a continued run sees what it would have seen, and several processes share one
batch between them. Images move many at a time, as tensors; nothing is done image by image.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_explore.inputs.datasets import ImageSet
from resnet_explore.models.devices import layout_on
from resnet_explore.training.runs import Run

_SMALLEST_ZOOM = 0.35  # share of a photo's area that `zoom_and_flip` shows at least


def steps_per_epoch(run: Run, data: ImageSet) -> int:
    """Return how many whole batches an epoch has; the few images left over wait for the next shuffle."""
    return max(1, len(data) // run.batch_size)


def batches(
    run: Run, data: ImageSet, epoch: int, part: int = 0, parts: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches: standardised images (B, C, H, W) and labels (B,), on the data's device.

    Of `parts` processes that share each batch, the one with number `part` gets every parts-th image of it.
    """
    random = torch.Generator().manual_seed(run.seed * 1_000_003 + epoch)
    order = torch.randperm(len(data), generator=random)
    size = min(run.batch_size, len(data))
    mine = slice(part, None, parts)
    for i in range(steps_per_epoch(run, data)):
        chosen = order[i * size : (i + 1) * size]
        mirrored = torch.rand(size, generator=random) < 0.5
        where = torch.rand(size, 3, generator=random)
        chosen = chosen[mine].to(data.labels.device)
        images = data.normalized(chosen)
        if run.augment == "crop":
            images = crop_and_flip(images, where[mine, :2], mirrored[mine])
        elif run.augment == "zoom":
            images = zoom_and_flip(images, where[mine], mirrored[mine])
        yield images.contiguous(memory_format=layout_on(images.device)), data.labels[chosen]


def crop_and_flip(images: Tensor, where: Tensor, mirrored: Tensor) -> Tensor:
    """Shift each image by up to an eighth of its side, zeros (the mean) moving in, and mirror some.

    For 32x32 images that is He et al. 2015, section 4.2: padded by 4, cropped at random, flipped. `where`,
    (B, 2) in 0..1, says where from top and left a crop lies between its outermost places; `mirrored` is
    bool (B,). Takes and returns (B, C, H, W).
    """
    count, _, height, width = images.shape
    pad = max(1, height // 8), max(1, width // 8)
    padded = F.pad(images, (pad[1], pad[1], pad[0], pad[0]))
    top, left = ((where[:, i, None] * (2 * pad[i] + 1)).long().clamp_(max=2 * pad[i]) for i in (0, 1))
    columns = torch.arange(width).expand(count, -1)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns) + left
    rows = torch.arange(height) + top
    which = torch.arange(count).view(-1, 1, 1)
    index = (i.to(images.device) for i in (which, rows[:, :, None], columns[:, None, :]))
    return padded.permute(0, 2, 3, 1)[tuple(index)].permute(0, 3, 1, 2)


def zoom_and_flip(images: Tensor, where: Tensor, mirrored: Tensor) -> Tensor:
    """Show a random part of each image, 35 to 100 % of its area and of its shape, in full size; mirror some.

    Szegedy et al. 2015 (arXiv 1409.4842, section 6) without the change of shape, bilinear. `where`, (B, 3) in
    0..1, says where from top and left the part lies, and how large it is. Takes and returns (B, C, H, W).
    """
    side = (_SMALLEST_ZOOM + (1 - _SMALLEST_ZOOM) * where[:, 2]).sqrt()
    middle = (2 * where[:, :2] - 1) * (1 - side[:, None])
    across = torch.where(mirrored, -side, side)
    none = torch.zeros_like(side)
    rows = torch.stack([across, none, middle[:, 1]], 1), torch.stack([none, side, middle[:, 0]], 1)
    grid = F.affine_grid(torch.stack(rows, 1).to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
