"""Every source gives one uint8 tensor; every mistake one sentence."""

import hashlib
import math
import pickle
import socket
import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from sklearn.datasets import load_digits

import resnet_explore as rx
from resnet_explore.inputs import datasets
from resnet_explore.inputs.datasets import channel_statistics
from resnet_explore.inputs.folders import held_out
from resnet_explore.inputs.images import square_crop, to_batch


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


def test_digits_are_the_same_where_their_file_lies_elsewhere(monkeypatch):
    expected = rx.load_dataset("digits")
    monkeypatch.setattr("resnet_explore.inputs.digits.find_spec", lambda name: None)
    found = rx.load_dataset("digits")
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.labels, expected.labels)


def test_normalized_is_the_formula_and_what_to_batch_does(folder):
    data = rx.load_dataset("folder", root=folder)
    every = data.normalized()
    assert every.is_contiguous()
    mean, std = (np.array(v)[:, None, None] for v in (data.mean, data.std))
    expected = (data.images.numpy() / 255 - mean) / std
    np.testing.assert_allclose(every.numpy(), expected, rtol=1e-5, atol=1e-5)
    for index in (slice(2, 9, 3), [5, 0], torch.tensor([7, 7, 1]), 4):
        assert torch.equal(data.normalized(index), every[index])
    assert torch.equal(data.normalized([3], torch.bfloat16), every[3:4].to(torch.bfloat16))
    image = Image.fromarray(data.images[6].permute(1, 2, 0).numpy())
    assert torch.equal(to_batch(image, 32, data.mean, data.std), every[6:7])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 5), st.integers(1, 256))
def test_channel_statistics_are_numpys(n, channels, height, width, levels):
    pixels = np.random.default_rng(n).integers(0, levels, (n, channels, height, width), dtype=np.uint8)
    mean, std = channel_statistics(torch.from_numpy(pixels))
    np.testing.assert_allclose(mean, (pixels / 255).mean((0, 2, 3)), atol=1e-12)
    expected = (pixels / 255).std((0, 2, 3))
    np.testing.assert_allclose(std, np.where(np.ptp(pixels, (0, 2, 3)) == 0, 1, expected), atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.randoms(use_true_random=False))
def test_held_out_is_a_fifth_of_each_class_in_any_order(labels, random):
    keys = [f"{label}/{i}.png" for i, label in enumerate(labels)]
    mask = held_out(keys, labels)
    for label in set(labels):
        size = labels.count(label)
        taken = sum(m for m, given in zip(mask, labels, strict=True) if given == label)
        assert taken <= size - 1
        assert abs(taken - size / 5) < 1
    if min(labels.count(label) for label in set(labels)) > 1:
        assert mask.sum() == math.ceil(len(labels) / 5)
    order = list(range(len(labels)))
    random.shuffle(order)
    shuffled = held_out([keys[i] for i in order], [labels[i] for i in order])
    assert shuffled.tolist() == mask[order].tolist()


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


def test_splits_have_the_size_and_classes_of_train(folder, tmp_path):
    root = tmp_path / "split"
    root.mkdir()
    folder.rename(root / "train")
    paint(root / "validation" / "dog" / "large.png", (1, 2, 3), (300, 200))
    for split in ("train", "val", "test"):
        assert rx.load_dataset("folder", split=split, root=root).images.shape[1:] == (3, 32, 32)
    paint(root / "train" / "dog" / "large.png", (1, 2, 3), (300, 200))
    for split in ("train", "val", "test"):
        assert rx.load_dataset("folder", split=split, root=root).images.shape[1:] == (3, 64, 64)
    paint(root / "test" / "emu" / "0.png", (1, 2, 3))
    with pytest.raises(rx.ExploreError, match=r"test split of .* has classes that train lacks: 'emu'"):
        rx.load_dataset("folder", split="test", root=root)


def test_images_of_a_folder_are_square_crops_and_hidden_files_none(folder):
    noise = np.random.default_rng(0).integers(0, 256, (37, 91, 3), dtype=np.uint8)
    paths = [folder / "emu" / f"{i}.png" for i in range(2)]
    paths[0].parent.mkdir()
    for path in paths:
        Image.fromarray(noise).save(path)
    paint(folder / "emu" / ".hidden.png", (0, 0, 0))
    paint(folder / ".ipynb_checkpoints" / "0.png", (0, 0, 0))
    data = rx.load_dataset("folder", root=folder, size=24)
    assert data.classes == ("cat", "dog", "emu")
    expected = np.asarray(square_crop(Image.fromarray(noise), 24)).transpose(2, 0, 1)
    emus = data.images[data.labels == 2]
    assert 1 <= len(emus) <= 2
    assert all(np.array_equal(emu, expected) for emu in emus)


def test_train_is_decoded_once_for_train_and_test(folder, monkeypatch):
    read, count = datasets.read_images, []

    def counting(root, files, size, skip, *others):
        count.append(len(files))
        return read(root, files, size, skip, *others)

    monkeypatch.setattr(datasets, "read_images", counting)
    train = rx.load_dataset("folder", root=folder)
    test = rx.load_dataset("folder", split="test", root=folder)
    assert (count, test.mean, test.std) == ([16, 4], train.mean, train.std)
    for i in range(10):
        paint(folder / "cat" / f"{i}.png", (99, i, 50))  # other pixels in the same files: nothing stale
    fresh = rx.load_dataset("folder", split="test", root=folder)
    assert (count, fresh.mean != train.mean) == ([16, 4, 4, 16], True)


class OldDtype:
    """Pickles as numpy's dtype did in Python 2, when the CIFAR files were written: align is the integer 0."""

    def __reduce__(self):
        return np.dtype, ("u1", 0, 1)


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """CIFAR-10 as torchvision keeps it, with three images to a file."""
    from torchvision.datasets import CIFAR10

    rng = np.random.default_rng(0)
    home = tmp_path / CIFAR10.base_folder
    home.mkdir()
    pixels = {}

    def write(name, content):
        data = pickle.dumps(content, protocol=2)
        (home / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    def batch(name, labels):
        pixels[name] = rng.integers(0, 256, (3, 3072), dtype=np.uint8)
        return write(name, {"data": pixels[name], "labels": labels, "old": OldDtype()})

    trains = [batch(f"data_batch_{i}", [i, 0, 9]) for i in range(1, 6)]
    tests = [batch("test_batch", [3, 8, 1])]
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    meta = write("batches.meta", {"label_names": names})
    monkeypatch.setattr(CIFAR10, "train_list", trains)
    monkeypatch.setattr(CIFAR10, "test_list", tests)
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    return tmp_path, pixels


def test_cifar10_in_torchvisions_own_files(cifar10):
    root, pixels = cifar10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = (rx.load_dataset("cifar10", s, root=root, download=False) for s in ("train", "test"))
    assert train.labels.tolist() == [1, 0, 9, 2, 0, 9, 3, 0, 9, 4, 0, 9, 5, 0, 9]
    assert test.labels.tolist() == [3, 8, 1]
    assert test.classes[3] == "cat"
    assert np.array_equal(test.images, pixels["test_batch"].reshape(3, 3, 32, 32))
    every = np.concatenate([pixels[f"data_batch_{i}"].reshape(3, 3, 32, 32) for i in range(1, 6)])
    assert np.array_equal(train.images, every)
    np.testing.assert_allclose(test.mean, (every / 255).mean((0, 2, 3)))
    assert rx.load_dataset("cifar10", "test", root=root, size=16).images.shape == (3, 3, 16, 16)
    with pytest.raises(rx.ExploreError, match="Unknown split 'val'"):
        rx.load_dataset("cifar10", "val", root=root)


def test_imagenette_as_torchvision_unpacks_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_EXPLORE_DATA", str(tmp_path))
    root = tmp_path / "imagenette" / "imagenette2-160"
    for split in ("train", "val"):
        paint(root / split / "n02102040" / "a.png", (10, 20, 30))
        paint(root / split / "n03888257" / "b.png", (30, 20, 10))
    with pytest.raises(rx.ExploreError, match="holds 4 of Imagenette's 13,394 images"):
        rx.load_dataset("imagenette")  # an unpacking that was interrupted
    monkeypatch.setattr(datasets, "_IMAGENETTE_COUNT", 4)
    data = rx.load_dataset("imagenette", "test")
    assert data.classes == ("English springer", "parachute")
    assert data.images.shape == (2, 3, 160, 160)
    assert (data.name, data.split) == ("imagenette", "test")
    assert "val split" in data.source
    assert rx.load_dataset("imagenette", root=root, size=8).images.shape == (2, 3, 8, 8)  # straight at it


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
    assert datasets.image_counts(*sets) == (
        "16 training and 4 test images (a fifth split off at random; 1 unreadable left out)"
    )


def test_unreadable_images_of_both_splits_are_told_at_once(folder):
    whole = [len(rx.load_dataset("folder", split=split, root=folder)) for split in ("train", "test")]
    keys = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    held = datasets.held_out(keys, [key.startswith("dog") for key in keys])
    broken = [next(key for key, out in zip(keys, held, strict=True) if out == wanted) for wanted in (0, 1)]
    for key in broken:
        (folder / key).write_bytes(b"no image")
    for split in ("train", "test"):
        with pytest.raises(rx.ExploreError, match=f"2 of {sum(whole)} images") as told:
            rx.load_dataset("folder", split=split, root=folder)
        assert all(repr(key) in str(told.value) for key in broken)


def test_splits_that_a_folder_has_are_not_called_random(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "test"):  # a class may be called as splits are
            paint(tmp_path / split / name / "0.png", (9, 9, 90), (12, 8))
    sets = [rx.load_dataset("folder", split=split, root=tmp_path) for split in ("train", "test")]
    assert (
        datasets.in_words(*sets) == f"image folder {tmp_path}, 2 training and 2 test images (its val split)"
    )
    digits = [rx.load_dataset("digits", split=split) for split in ("train", "test")]
    assert datasets.in_words(*digits) == "scikit-learn's handwritten digits"


def test_a_folder_given_as_a_name_is_told_how_it_is_named(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    name = f"./{folder.name}"
    with pytest.raises(rx.ExploreError, match="Unknown dataset") as told:
        rx.load_dataset(name)
    said = f'load_dataset("folder", root="{name}")'
    assert said in str(told.value)
    assert len(eval(f"rx.{said}")) == 16  # as a person would paste it
    with pytest.raises(
        rx.ExploreError, match=r"known: digits, cifar10, imagenette, folder, spirals, circles, xor\.$"
    ):
        rx.load_dataset("./nowhere")


@pytest.mark.parametrize("name", ["cifar10", "imagenette"])
def test_a_missing_network_names_what_works_offline(name, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(
        rx.ExploreError, match=r"could not be downloaded .*\(no connection\); .*load_dataset\(\"digits\"\)"
    ) as caught:
        rx.load_dataset(name, root=tmp_path / "new")
    assert "\n" not in str(caught.value)
    assert socket.getdefaulttimeout() is None  # as it was
    with pytest.raises(rx.ExploreError, match="download is off"):
        rx.load_dataset(name, root=tmp_path / "new", download=False)
    assert not list(tmp_path.iterdir())


ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "imagenette": "imagenette2-160.tgz"}


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("error", [ConnectionResetError("reset by peer"), KeyboardInterrupt()])
def test_nothing_is_left_of_half_a_download(name, error, tmp_path, monkeypatch):
    def cut(url, file, *_):
        Path(file).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", cut)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else rx.ExploreError
    with pytest.raises(expected):
        rx.load_dataset(name, root=tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    assert socket.getdefaulttimeout() is None
    mine = tmp_path / "mine" / "notes.txt"  # what was there before stays
    mine.parent.mkdir()
    mine.write_text("keep")
    mine.with_name(ARCHIVES[name]).write_bytes(b"an archive, perhaps a whole one")
    with pytest.raises(expected):
        rx.load_dataset(name, root=mine.parent)
    assert sorted(path.name for path in mine.parent.iterdir()) == sorted([mine.name, ARCHIVES[name]])


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_download_that_is_not_what_was_asked_for(name, tmp_path, monkeypatch):
    def portal(url, file, *_):  # as a hotel's network answers
        Path(file).write_bytes(b"<html>Please log in</html>")

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", portal)
    with pytest.raises(rx.ExploreError, match=r"could not be downloaded .*corrupted"):
        rx.load_dataset(name, root=tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_link_that_leads_nowhere_is_a_file_that_cannot_be_read(folder):
    (folder / "cat" / "0.png").unlink()
    (folder / "cat" / "0.png").symlink_to(folder / "gone.png")
    with pytest.raises(rx.ExploreError, match=r"1 of \d+ images .*'cat/0\.png'"):
        [rx.load_dataset("folder", split=split, root=folder) for split in ("train", "test")]
    sets = [rx.load_dataset("folder", split=s, root=folder, skip_unreadable=True) for s in ("train", "test")]
    assert sum(map(len, sets)) == 19
    assert sum((s.skipped for s in sets), ()) == ("cat/0.png",)


@pytest.mark.parametrize("name", ["folder", "cifar10", "imagenette"])
@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("a" * 5000, r"^The folder 'aaaa.{,100}: File name too long\.$"),
        ("~nobody-of-this-name/x", "cannot be used: Could not determine home directory"),
        ("a\0b", "cannot be used: .*null byte"),
        (3, "The folder '3' cannot be used: "),
    ],
)  # fmt: skip
def test_a_root_that_is_no_path(name, root, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.load_dataset(name, root=root)


def test_mistakes_get_one_sentence(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    paint(tmp_path / "one" / "cat" / "0.png", (0, 0, 0))
    paint(tmp_path / "no-train" / "test" / "cat" / "0.png", (0, 0, 0))
    cases = [
        (lambda: rx.load_dataset("digts"), "did you mean 'digits'"),
        (lambda: rx.load_dataset("digits", split="trian"), "did you mean 'train'"),
        (lambda: rx.load_dataset("folder"), "needs root="),
        (lambda: rx.load_dataset("folder", root=""), "needs root="),
        (lambda: rx.load_dataset("folder", root=tmp_path / "gone"), "There is no folder '.*gone'"),
        (
            lambda: rx.load_dataset("cifar10", root=tmp_path / "gone", download=False),
            "There is no folder '.*gone' with CIFAR-10 in it, and download is off",
        ),
        (
            lambda: rx.load_dataset("imagenette", root=tmp_path / "empty", download=False),
            "Imagenette is not in .*empty, and download is off",
        ),
        (lambda: rx.load_dataset("folder", root=tmp_path / "empty"), "has no images"),
        (lambda: rx.load_dataset("folder", root=tmp_path / "one"), "one class only"),
        (
            lambda: rx.load_dataset("folder", root=tmp_path / "no-train"),
            "no images in train/<class>: they must lie as",
        ),
        (lambda: rx.load_dataset("folder", root=folder / "cat" / "0.png"), "is no folder"),
        (lambda: rx.load_dataset("folder", "val", root=folder), "Unknown split 'val': known: train, test"),
        (lambda: rx.load_dataset("folder", root=folder, size=0), "size must be a positive"),
    ]
    for call, sentence in cases:
        with pytest.raises(rx.ExploreError, match=sentence) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": torch.zeros(2, 3, 4, 5)}, r"contiguous uint8 .* not float32 of shape \(2, 3, 4, 5\)"),
        ({"images": torch.zeros(2, 4, 5, dtype=torch.uint8)}, r"contiguous uint8 .*shape \(2, 4, 5\)"),
        ({"images": torch.zeros(0, 3, 4, 5, dtype=torch.uint8)}, r"N > 0, not uint8 of shape \(0, 3, 4, 5\)"),
        ({"images": torch.zeros(2, 4, 5, 3, dtype=torch.uint8).permute(0, 3, 1, 2)}, "contiguous uint8"),
        ({"images": torch.zeros(2, 1, 4, 5, dtype=torch.uint8)}, "each of the 1 channels"),
        (
            {"images": torch.zeros(2, 2, 4, 5, dtype=torch.uint8), "mean": (0.5,) * 2, "std": (0.2,) * 2},
            "1 or 3",
        ),
        ({"labels": torch.tensor([0, 1], dtype=torch.int32)}, r"not int32 of shape \(2,\)"),
        ({"labels": torch.tensor([-1, 1])}, r"labels must lie in 0\.\.1, not in -1\.\.1"),
        ({"classes": ("a",)}, "two or more"),
        ({"std": (0.2,)}, "not 3 and 1"),
        ({"std": (0.2, 0.2, 0.0)}, r"in units of 0\.\.1"),
        ({"mean": (0.5, 0.5, 128.0)}, r"in units of 0\.\.1"),
        ({"mean": (0.5, 0.5, math.nan)}, r"in units of 0\.\.1"),
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
