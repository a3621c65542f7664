"""Weights: torchvision's, and a person's own files, good and bad."""

import errno
import json
import re
import socket
from dataclasses import asdict
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file
from torch import nn

import resnet_explore as rx


def akamaster_forward(state, x):
    """The network of akamaster/pytorch_resnet_cifar10, written out from its state_dict."""

    def bn(x, name):
        return F.batch_norm(
            x,
            state[f"{name}.running_mean"],
            state[f"{name}.running_var"],
            state[f"{name}.weight"],
            state[f"{name}.bias"],
        )

    x = bn(F.conv2d(x, state["module.conv1.weight"], padding=1), "module.bn1").relu()
    for layer in (1, 2, 3):
        for block in range(3):
            name = f"module.layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            out = bn(
                F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1"
            ).relu()
            out = bn(F.conv2d(out, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if stride == 2:
                quarter = out.shape[1] // 4
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter))
            x = (out + x).relu()
    x = F.avg_pool2d(x, x.shape[2:]).flatten(1)
    return F.linear(x, state["module.linear.weight"], state["module.linear.bias"])


def test_public_cifar_weights_load(tmp_path):
    random = torch.Generator().manual_seed(0)
    state = {}
    for key, value in rx.build("cifar_resnet20", seed=5).state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue  # files of that age lack it
        noise = torch.rand(value.shape, generator=random) * 0.5
        state["module." + key.replace("fc.", "linear.")] = value + (noise if "bn" in key else 0)
    torch.save({"state_dict": state, "best_prec1": 91.7}, tmp_path / "resnet20.pth")
    model = rx.build("cifar_resnet20", weights=str(tmp_path / "resnet20.pth"))
    images = torch.randn(2, 3, 24, 40, generator=random)
    with torch.no_grad():
        torch.testing.assert_close(model(images), akamaster_forward(state, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (URLError(socket.gaierror(-2, "Name or service not known")), "no connection"),
        (URLError(OSError(errno.ENETUNREACH, "Network is unreachable")), "no connection"),
        (TimeoutError("timed out"), "the server did not answer in time"),
        (URLError(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")), "Connection refused"),
        (URLError("unknown url type"), "unknown url type"),
    ],
)
def test_a_missing_network_names_the_offline_choices(tmp_path, monkeypatch, error, reason):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise error

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(
        rx.ExploreError,
        match=rf"could not be downloaded \({reason}\); cifar10, digits and imagenette are here already, and "
        r"rx\.list_weights\(\) says for which networks\.",
    ):
        rx.build("resnet50", weights="IMAGENET1K_V2")


@pytest.mark.parametrize(
    ("name", "file"),
    [("resnet18", "resnet18-f37072fd.pth"), ("resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth")],
)
def test_torchvision_weights_load_from_the_cache(tmp_path, monkeypatch, name, file):
    theirs = getattr(torchvision.models, name)()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(theirs.state_dict(), tmp_path / "hub" / "checkpoints" / file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ours = rx.build(name, weights="IMAGENET1K_V1")
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs.eval()(images))


class Bomb:
    def __reduce__(self):
        return (re.compile, ("boom",))


@pytest.mark.parametrize("damage", ["code", "cut", "misfit", "text", "hello", "pickle"])
def test_bad_weight_files_get_one_sentence(tmp_path, damage):
    path = tmp_path / "w.pth"
    good = rx.build("cifar_resnet8").state_dict()
    if damage == "code":
        torch.save({"state_dict": Bomb()}, path)
        sentence = "holds more than tensors"
    elif damage == "cut":
        path = tmp_path / "w.safetensors"
        save_file(good, path)
        path.write_bytes(path.read_bytes()[:1000])
        sentence = "no readable weights file"
    elif damage == "misfit":
        torch.save(rx.build("cifar_resnet14").state_dict(), path)
        sentence = "don't fit this network: it lacks layer1.1.conv1.weight"
    elif damage == "hello":
        path.write_text("hello")
        sentence = "no readable weights file|holds more than tensors"
    elif damage == "pickle":
        path = tmp_path / "w.pkl"
        torch.save(good, path)
        sentence = r"can't hold weights: a file of them ends in \.safetensors, \.pth"
    else:
        torch.save({"a": 1}, path)
        sentence = "no state_dict of tensors"
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        rx.build("cifar_resnet8", weights=str(path))
    assert "\n" not in str(caught.value)


def test_whatever_fits_of_a_file_is_loaded_and_the_rest_reported(tmp_path):
    trained = rx.build("cifar_resnet14", seed=1)
    state = {f"module._orig_mod.{k}": v for k, v in trained.state_dict().items()}
    del state["module._orig_mod.layer1.0.conv1.weight"]
    state["module._orig_mod.aux.weight"] = torch.zeros(2)
    torch.save({"epoch": 3, "model": state}, tmp_path / "mine.pth.tar")
    network = rx.build("cifar_resnet14", seed=2, num_classes=7)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    fit = rx.load_weights(network, tmp_path / "mine.pth.tar")
    assert fit.missing == ("layer1.0.conv1.weight",)
    assert fit.unexpected == ("aux.weight",)
    assert fit.reshaped == ("fc.weight", "fc.bias")
    assert not fit.complete
    after, theirs = network.state_dict(), trained.state_dict()
    for name in fit.loaded:
        assert torch.equal(after[name], theirs[name])
    for name in (*fit.missing, *fit.reshaped):
        assert torch.equal(after[name], before[name])
    assert set(fit.loaded) | set(fit.missing) | set(fit.reshaped) == set(after)
    assert str(fit).splitlines() == [
        f"{len(after) - 3} of {len(after)} values loaded",
        "missing: layer1.0.conv1.weight",
        "unexpected: aux.weight",
        "reshaped: fc.weight",
        "reshaped: fc.bias",
    ]


def test_a_file_fits_other_peoples_networks_and_half_precision_becomes_the_networks(tmp_path):
    theirs = torchvision.models.resnet18(num_classes=3)
    save_file({k: v.half() for k, v in theirs.state_dict().items()}, tmp_path / "w.safetensors")
    other = torchvision.models.resnet18(num_classes=3)
    fit = rx.load_weights(other, str(tmp_path / "w.safetensors"))
    assert fit.complete
    assert torch.equal(other.fc.weight, theirs.fc.weight.half().float())
    with pytest.raises(rx.ExploreError, match=r"None of the weights in .*w.safetensors fit this network"):
        rx.load_weights(nn.Linear(2, 2), tmp_path / "w.safetensors")


def test_networks_that_record_their_config_are_built_from_it(tmp_path):
    made = rx.build("cifar_preresnet8", seed=3, widths=(4, 8, 8), gate="exclusive", stochastic_depth=0.2)
    about = {"config": json.dumps(asdict(made.config))}
    save_file(made.state_dict(), tmp_path / "w.safetensors", about)
    again = rx.build("resnet50", weights=str(tmp_path / "w.safetensors"))
    assert again.config == made.config
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in made.state_dict().items())
    save_file(
        made.state_dict(), tmp_path / "d.safetensors", about | {"data": json.dumps("cats, 16x24 pixels")}
    )
    assert rx.build("resnet50", weights=str(tmp_path / "d.safetensors")).about["data"] == "cats, 16×24 pixels"
    hrnet = rx.build(rx.HRNetConfig(2, (1, 1, 1), 1), seed=3)
    save_file(hrnet.state_dict(), tmp_path / "h.safetensors", {"config": json.dumps(asdict(hrnet.config))})
    assert rx.build("resnet50", weights=str(tmp_path / "h.safetensors")).config == hrnet.config
    later = {"config": json.dumps({**asdict(made.config), "flavor": 1})}
    save_file(made.state_dict(), tmp_path / "l.safetensors", later)
    with pytest.raises(rx.ExploreError, match="config with fields that this version does not know"):
        rx.build("resnet50", weights=str(tmp_path / "l.safetensors"))
    # Files of the first version know fewer fields: what they don't say is as it was then.
    old = {k: v for k, v in asdict(rx.build("cifar_resnet8").config).items() if k in OLD_FIELDS}
    save_file(rx.build("cifar_resnet8").state_dict(), tmp_path / "o.safetensors", {"config": json.dumps(old)})
    assert (
        rx.build("resnet50", weights=str(tmp_path / "o.safetensors")).config
        == rx.build("cifar_resnet8").config
    )


OLD_FIELDS = {
    *("block", "depths", "widths", "stem", "residual", "shortcut", "groups", "group_width", "scales"),
    *("order", "norm", "num_classes", "in_channels"),
}
