"""`resnet-explore saliency`: files and folders in, sheets and raw maps out."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_explore as rx
from resnet_explore.analysis.explain.methods.registry import METHODS
from resnet_explore.cli import main as cli
from resnet_explore.figures.heatmap_sheet import heatmap_sheet
from resnet_explore.inputs.images import to_batch
from resnet_explore.paths import PHOTO_TWINS
from resnet_explore.widgets.saliency.explorer import SaliencyExplorer


def run(capsys, *arguments):
    """Run the command, with a small network where none is named."""
    small = () if "--model" in arguments else ("--model", "cifar_resnet20")
    status = cli.main(["saliency", *map(str, arguments), *small])
    return status, *capsys.readouterr()


def read(path):
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture
def photos(tmp_path):
    """A folder as people have them: two photos of one name, one below, two files that are no images."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    rx.sample_photos()["cat"].load().save(folder / "cat.jpg")
    rx.sample_photos()["rocket"].load().resize((70, 50)).save(folder / "cat.png")
    Image.new("L", (1, 1)).save(folder / "below" / "dot.gif")
    (folder / "page.png").write_text("<html>")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("")
    return folder


def test_a_folder_gives_a_sheet_and_raw_maps_of_each_image_and_goes_on_after_unreadable_ones(
    capsys, tmp_path, photos
):
    out = photos / "heatmaps"
    status, said, complained = run(capsys, photos, "--out", out)
    assert status == 1, "some were left out"
    assert len(said.splitlines()) == 3
    assert "cat.jpg: cat (" in said
    assert len(complained.splitlines()) == 1
    assert "'page.png' is not an image" in complained
    written = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*"))
    names = [f"{name}-cifar_resnet20-grad_cam" for name in ("below/dot", "cat.jpg", "cat.png")]
    assert written == sorted(f"{name}{suffix}" for name in names for suffix in (".npz", ".png"))
    found = read(out / "cat.jpg-cifar_resnet20-grad_cam.npz")
    net = rx.build("cifar_resnet20", weights="cifar10")
    batch = to_batch(rx.decode_image(photos / "cat.jpg"), 32, net.about["mean"], net.about["std"])
    maps = rx.class_activation_maps(net, batch)
    assert set(found) == {*maps, "logits", "target", "about"}
    for layer, cam in maps.items():
        assert found[layer].dtype == np.float32
        np.testing.assert_allclose(found[layer], cam[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["logits"], maps.logits[0], rtol=1e-5, atol=1e-5)
    assert found["target"] == maps.targets[0]
    about = json.loads(str(found["about"]))
    assert (about["method"], about["class"], about["photo"]) == ("Grad-CAM", "cat", "cat.jpg")
    assert about["program"].endswith(rx.__version__)
    with Image.open(out / "cat.jpg-cifar_resnet20-grad_cam.png") as sheet:
        assert min(sheet.size) > 600
    again, said, _ = run(capsys, photos, "--out", out)  # what was written is not read as a photo
    assert again == 1
    assert len(said.splitlines()) == 3


def test_a_class_a_method_layers_and_a_verdict(capsys, tmp_path, photos):
    status, said, _ = run(
        capsys,
        *(photos / "cat.jpg", "--out", tmp_path / "h", "--method", "hirescam", "--target", "dog"),
        *("--layers", "layer2.*", "layer3.2", "--verdict"),
    )
    assert status == 0
    assert ": dog (" in said
    assert "\nDeletion " in said
    assert "\nInsertion " in said
    found = read(tmp_path / "h" / "cat-cifar_resnet20-hirescam-dog.npz")
    assert {"layer2.0", "layer2.1", "layer2.2", "layer3.2"} <= set(found)
    assert found["target"] == 5


def test_the_default_is_the_photo_twin_that_the_notebook_begins_with(capsys, tmp_path, photos):
    assert cli.main(["saliency", str(photos / "cat.jpg"), "--out", str(tmp_path / "h")]) == 0
    [written] = tmp_path.glob("h/*.npz")
    about = json.loads(str(read(written)["about"]))
    explorer = SaliencyExplorer()
    network = explorer.lab.open(explorer.networks, explorer.depth, explorer.image).networks[1].model
    assert about["network"] == PHOTO_TWINS[1] == "resnet18"
    assert about["weights"] == network.about["provenance"]
    batch = to_batch(rx.decode_image(photos / "cat.jpg"), 128, network.about["mean"], network.about["std"])
    with torch.no_grad():
        np.testing.assert_allclose(read(written)["logits"], network.eval()(batch)[0], rtol=1e-4, atol=1e-4)


def test_methods_that_explain_pixels_and_networks_that_see_grey(capsys, tmp_path, photos):
    words = ("--model", "cifar_plain8", "--weights", "digits", "--method", "saliency", "--target", 3)
    status, said, _ = run(capsys, photos / "cat.jpg", *words, "--out", tmp_path / "h")
    assert status == 0
    assert ": 3 (" in said
    assert read(tmp_path / "h" / "cat-cifar_plain8-digits-saliency-3.npz")["pixels"].ndim == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.jpg"], "There is no file or folder 'nowhere.jpg'"),
        (["."], "The folder '.' holds no images"),
        (["cat.jpg", "--method", "gradcam"], "did you mean 'grad_cam'"),
        (["cat.jpg", "--method", "zzz"], "occlusion, gradient_shap."),
        (["cat.jpg", "--model", "cifar10"], "names weights, not a network: write --model"),
        (["cat.jpg", "--target", "cats"], "Unknown class 'cats': did you mean 'cat'"),
        (["cat.jpg", "--target", "10"], r"targets must lie in 0..9"),
        (["cat.jpg", "--layers", "layer9"], "Unknown layer 'layer9'"),
        (["cat.jpg", "--model", "resnet5"], "did you mean 'resnet50'"),
        (["cat.jpg", "--model", "hrnet_w18"], "There are no trained weights for 'hrnet_w18'"),
        (["page.png"], "None of the 1 files is an image"),
        (["cat.jpg", "--out", "cat.png"], "cat.png can't be written to"),
    ],
)
def test_mistakes_are_one_sentence(capsys, tmp_path, photos, monkeypatch, words, sentence):
    monkeypatch.chdir(photos if words[0] != "." else (tmp_path / "empty").mkdir() or tmp_path / "empty")
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    status, _, complained = run(capsys, *words)
    assert status == 2
    last = complained.strip().splitlines()[-1]
    assert last.startswith("resnet-explore: ")
    assert sentence in last
    assert {path: path.read_bytes() for path in photos.rglob("*.*")} == before


def test_no_photo_is_written_over(capsys, photos, monkeypatch):
    monkeypatch.chdir(photos)
    other = photos / "cat-cifar_resnet20-grad_cam.png"
    rx.sample_photos()["rocket"].load().resize((60, 40)).save(other)
    before = other.read_bytes()
    status, _, complained = run(capsys, "cat.png", other.name, "--out", ".")
    assert status == 2
    assert f"{other.name} would be overwritten" in complained
    assert other.read_bytes() == before


def test_eigen_cam_claims_no_class(capsys, tmp_path, photos, monkeypatch):
    captions = []

    def sheet(picture, maps, title, caption, notes, unit):
        captions.append((title, caption, unit))
        return heatmap_sheet(picture, maps, title, caption, notes, unit)

    monkeypatch.setattr("resnet_explore.figures.heatmap_sheet.heatmap_sheet", sheet)
    run(capsys, photos / "cat.jpg", "--out", tmp_path / "h", "--method", "eigen_cam", "--layers", "layer3.2")
    ((title, caption, unit),) = captions
    assert title.endswith("Eigen-CAM, which knows no class")
    assert "It knows no class: red is where" in caption
    assert unit == "activation"
    found = read(tmp_path / "h" / "cat-cifar_resnet20-eigen_cam.npz")
    assert json.loads(str(found["about"]))["class"] == "none"


def test_a_sheet_shows_each_map_in_its_own_scale():
    picture = np.full((32, 32, 3), 128, np.uint8)
    maps = {"a": np.array([[0.0, 2.0]]), "b": np.array([[-1e-3, 0.0]]), "c": np.zeros((2, 2))}
    figure = heatmap_sheet(picture, maps, "A title", "A caption " * 30, {"b": "nothing for it"})
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts == [
        *("the middle square", "", "a  ±2", "1×2", "b  ±0.001", "1×2  nothing for it", "c  ±0", "2×2")
    ]
    mosaic = figure.axes[0].images[0].get_array()
    red, blue, none = (mosaic[40:140, left : left + 150].astype(int) for left in (210, 400, 590))
    assert red[:, 120, 0].mean() > red[:, 120, 2].mean() + 40
    assert blue[:, 20, 2].mean() > blue[:, 20, 0].mean() + 40
    assert (none == none[..., :1]).all()


def test_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["saliency", "--help"])
    said = capsys.readouterr().out
    assert "--verdict" in said
    assert all(method in said.replace("\n", " ") for method in METHODS)
