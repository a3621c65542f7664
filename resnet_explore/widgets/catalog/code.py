"""The Python that has the networks and the image of a menu, for code that a person copies."""

from resnet_explore.inputs.images import sample_photos
from resnet_explore.widgets.catalog.networks import Networks


def inputs_in_code(networks: Networks, image: str) -> list[str]:
    """Return statements that make `plain`, `residual` and `image`, [] where they can't be written.

    networks  trained twins that ship; of others nothing is written
    image     the id of an image of `Images`: a sample photo, or "digits/3", a test image of these networks
    """
    name, _, number = image.partition("/")
    if not networks.data or not networks.trained:
        return []
    model = networks.residual.replace("{}", "{depth}")
    twins = f'plain, residual = rx.twins("{model}", weights="{networks.data}")'
    if number and name == networks.data:
        held_out = f'rx.load_dataset("{name}", split="test")'
        return [twins, f"image = {held_out}.normalized(slice({number}, {number} + 1))"]
    if image not in sample_photos():
        return []
    return [
        "from resnet_explore.inputs.images import to_batch",
        "",
        twins,
        "about = residual.about",
        f'photo = rx.sample_photos()["{image}"].load()',
        'image = to_batch(photo, about["input_size"][-1], about["mean"], about["std"])',
    ]
