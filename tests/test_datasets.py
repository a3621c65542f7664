"""Every source gives one uint8 tensor; every mistake one sentence."""

import hashlib
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import resnet_explore as rx


def paint(path, colour, size=(20, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        paint(tmp_path / "set" / "cat" / f"{i}.png", (200, i, 0))
        paint(tmp_path / "set" / "dog" / f"{i}.png", (0, i, 100))
    return tmp_path / "set"


def test_digits_are_scikit_learns_split_once_and_for_all():
    train, test = (rx.load_dataset("digits", split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1437, 360)
    assert train.images.dtype == torch.uint8
    assert train.images.shape == (1437, 1, 8, 8)
    every = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    together = np.concatenate([train.images[:, 0].numpy(), test.images[:, 0].numpy()])
    assert sorted(a.tobytes() for a in together) == sorted(a.tobytes() for a in every)
    shares = [np.bincount(s.labels, minlength=10) / len(s) for s in (train, test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.005
    digest = hashlib.sha256(test.images.numpy().tobytes() + test.labels.numpy().tobytes()).hexdigest()
    assert digest[:16] == "6bcd64f577d585e4"
    assert test.mean == train.mean
    pixels = train.normalized()
    assert pixels.mean().item() == pytest.approx(0, abs=1e-5)
    assert pixels.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(train.normalized(slice(3, 5)), pixels[3:5])


def test_a_folder_of_classes_is_split_by_itself(folder):
    train, test = (rx.load_dataset("folder", split=split, root=folder) for split in ("train", "test"))
    assert (len(train), len(test)) == (16, 4)
    assert train.classes == ("cat", "dog")
    assert torch.bincount(test.labels).tolist() == [2, 2]
    assert train.images.shape == (16, 3, 32, 32)
    seen = {tuple(image[:, 5, 5].tolist()) for s in (train, test) for image in s.images}
    assert len(seen) == 20
    for image, label in zip(train.images, train.labels, strict=True):
        assert (image[0] > image[2]).all() == (label == 0)


def test_a_folder_with_splits_is_read_as_it_stands(folder, tmp_path):
    root = tmp_path / "split"
    root.mkdir()
    folder.rename(root / "train")
    paint(root / "val" / "dog" / "x.png", (1, 2, 3))
    test = rx.load_dataset("folder", split="test", root=root, size=16)
    assert (len(test), test.labels.tolist(), test.images.shape[2:]) == (1, [1], (16, 16))
    assert "val" in test.source
    assert len(rx.load_dataset("folder", root=root)) == 20


def test_cifar10_in_an_image_folder(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "ship"):
            paint(tmp_path / split / name / "0.png", (9, 9, 200 if name == "ship" else 0), (32, 32))
    data = rx.load_dataset("cifar10", root=tmp_path)
    assert data.images.shape == (2, 3, 32, 32)
    assert "folder" in data.source


def test_unreadable_images_are_listed_or_skipped(folder):
    (folder / "cat" / "broken.png").write_bytes(b"no image")
    (folder / "cat" / "notes.txt").write_text("no image either, and not named like one")
    with pytest.raises(rx.ExploreError, match=r"1 of \d+ images .*broken.png.* skip_unreadable=True"):
        [rx.load_dataset("folder", split=split, root=folder) for split in ("train", "test")]
    sets = [rx.load_dataset("folder", split=s, root=folder, skip_unreadable=True) for s in ("train", "test")]
    assert sum(map(len, sets)) == 20
    assert sum((s.skipped for s in sets), ()) == ("cat/broken.png",)


@pytest.mark.parametrize("name", ["cifar10", "imagenette"])
def test_a_missing_network_names_what_works_offline(name, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(
        rx.ExploreError, match=r"could not be downloaded .*load_dataset\(\"digits\"\)"
    ) as caught:
        rx.load_dataset(name, root=tmp_path / "new")
    assert "\n" not in str(caught.value)
    with pytest.raises(rx.ExploreError, match="download is off"):
        rx.load_dataset(name, root=tmp_path / "new", download=False)


def test_mistakes_get_one_sentence(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    paint(tmp_path / "one" / "cat" / "0.png", (0, 0, 0))
    cases = [
        (lambda: rx.load_dataset("digts"), "did you mean 'digits'"),
        (lambda: rx.load_dataset("digits", split="trian"), "did you mean 'train'"),
        (lambda: rx.load_dataset("folder"), "needs root="),
        (lambda: rx.load_dataset("folder", root=tmp_path / "gone"), "not there"),
        (lambda: rx.load_dataset("folder", root=tmp_path / "empty"), "has no images"),
        (lambda: rx.load_dataset("folder", root=tmp_path / "one"), "one class only"),
        (lambda: rx.load_dataset("folder", root=folder, size=0), "size must be a positive"),
    ]
    for call, sentence in cases:
        with pytest.raises(rx.ExploreError, match=sentence) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": torch.zeros(2, 3, 4, 5)}, "contiguous uint8"),
        ({"labels": torch.tensor([0, 1, 1])}, "labels must be int64"),
        ({"labels": torch.tensor([0, 7])}, "labels must lie in"),
        ({"classes": ("a", "a")}, "different names"),
        ({"mean": (0.5,)}, "one value for each"),
        ({"std": (0.2, 0.2, 30.0)}, "in units of 0..1"),
    ],
)
def test_image_sets_that_do_not_fit_together(changes, sentence):
    good = {
        "name": "x",
        "split": "train",
        "images": torch.zeros(2, 3, 4, 5, dtype=torch.uint8),
        "labels": torch.tensor([0, 1]),
        "classes": ("a", "b"),
        "mean": (0.5,) * 3,
        "std": (0.2,) * 3,
    }
    assert repr(rx.ImageSet(**good)) == "ImageSet('x', 'train': 2 images of 3×4×5, 2 classes)"
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.ImageSet(**{**good, **changes})
