"""Each block deleted alone: against `edited`, `lesion_study`, and what a last block adds."""

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.skips.without_each import without_each


@pytest.fixture(scope="module")
def digits():
    data = rx.load_dataset("digits", split="test")
    return data.normalized(slice(0, 40)), data.labels[:40]


@pytest.mark.parametrize("kind", ["plain", "resnet"])
def test_each_answer_is_that_of_the_edited_network(digits, kind):
    net = rx.build(f"cifar_{kind}20", weights="digits").eval()
    images, labels = digits
    before = fingerprint(net)
    found = without_each(net, images)
    assert fingerprint(net) == before
    losses = rx.lesion_study(net, images, labels, counts=(1,)).table["loss"]
    for name, logits, loss in zip(found.blocks, found.logits, losses, strict=True):
        if logits.isnan().all():
            assert kind == "plain"
            assert name in ("layer2.0", "layer3.0"), "which change the shape"
            continue
        with rx.edited(net, delete=name), torch.no_grad():
            torch.testing.assert_close(logits, net(images), rtol=1e-4, atol=1e-4)
        assert float(nn.functional.cross_entropy(logits, labels)) == pytest.approx(loss, rel=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(found.whole, net(images))
    torch.testing.assert_close(found.lost, found.whole - found.logits, equal_nan=True)


class Sums(nn.Module):
    """Two blocks on a stream that is read by a linear layer, with nothing between."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            return x + self.branch(x).relu()

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.Sequential(self.Block(), self.Block())
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


def test_the_last_block_loses_what_it_added_and_an_earlier_one_something_else():
    torch.manual_seed(0)
    net, images = Sums(), torch.randn(2, 3, 8, 8)
    added, lost = rx.logit_contributions(net, images), without_each(net, images).lost
    torch.testing.assert_close(lost[1], added["blocks.1"], rtol=1e-4, atol=1e-5)
    assert (lost[0] - added["blocks.0"]).abs().max() > 0.01, "the second block answers to it"


def test_a_transformers_block_is_lost_with_both_its_sums():
    torch.manual_seed(0)
    net = VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=4
    )
    nn.init.normal_(net.heads.head.weight)
    images = torch.randn(2, 3, 32, 32)
    found = without_each(net, images)
    net.encoder.layers[1] = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(found.logits[1], net.eval()(images), rtol=1e-4, atol=1e-5)


def test_a_network_without_blocks_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    with pytest.raises(rx.ExploreError, match="no blocks, so there is none to delete"):
        without_each(net, torch.randn(1, 3, 2, 2))
