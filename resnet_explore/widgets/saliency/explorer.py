"""Where did the network look? Heatmaps of two networks on your own photo, at every block and depth."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from resnet_explore.analysis.explain.methods.registry import METHODS, PIXELS, method_info
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.widgets.catalog.code import inputs_in_code
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.looking import LookingExplorer
from resnet_explore.widgets.catalog.networks import OWN, Networks, own_networks, usual_networks
from resnet_explore.widgets.core.heatmap_panel import palettes
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.saliency.jobs import Explain, Found, Judge, Judged
from resnet_explore.widgets.saliency.lab import SaliencyLab, own_copies
from resnet_explore.widgets.saliency.present import clear_block, present
from resnet_explore.widgets.saliency.state import SaliencyState

_OFFERED = ("imagenette", "cifar10", "imagenet")


class SaliencyExplorer(LookingExplorer):
    """Upload photos, or pick one, and slide through the blocks and depths of two networks side by side.

    At each block both networks share one signed scale; its unit, and what the signs mean, stand below.

    models   a network of your own, two of them to be put side by side, or {name: network}; or
             {key: `Networks`}. By default the twins that ship, on photos and on CIFAR-10, and torchvision's
             ResNet-18 and ResNet-50 on ImageNet, downloaded when chosen. They may tell the classes of images,
             of pixels (segmentation) or of boxes (detection); the last two can be asked by a click
    images   what networks of your own look at: a float tensor (N, C, H, W) standardised as they expect, a
             list of such images, an `ImageSet`, or PIL images; None for sample photos and uploads
    classes  the names of their answers, such as `weights.meta["categories"]`; None for those that a network
             or an `ImageSet` carries, else numbers
    sample   the photo to begin with, a name in `sample_photos()`; the same as the state's `image`
    state    `SaliencyState`: networks, image, view, depth, block, method, target and more, each a trait
    guess    True to be asked before the first picture, or the path of a file that keeps the answers

    Networks are only looked at, never changed; of your own, copies are. Attributes: `maps` (an
    `ActivationMaps` for the left and one for the right network), `images` (what can be chosen from, with
    what was uploaded).

    Raises `ExploreError` for what is no network, no image, or no name of one.
    """

    State = SaliencyState
    bakes: ClassVar = {
        "view": None,
        "image": ("temple", "cat", "rocket"),
        "method": ("grad_cam", "hirescam", "layercam"),
    }

    def __init__(
        self,
        models: Any = None,
        images: Any = None,
        *,
        classes: Sequence[str] | None = None,
        sample: str | None = None,
        **state: Any,
    ) -> None:
        entries = _entries(models)
        if OWN not in entries and (images is not None or classes is not None):
            raise ExploreError("images and classes go with a network of your own: give it as models.")
        offered = Images(images)
        self.lab = SaliencyLab(entries, offered, classes)
        self._asked_for: set[Judge] = set()  # verdicts that were asked for
        self._stopped: set[Judge] = set()
        if sample is not None:
            state["image"] = sample
        given = {"models": models, "images": images, "classes": classes}
        super().__init__(entries, offered, given, **{"networks": next(iter(entries)), **state})

    @property
    def maps(self) -> tuple[Any, ...]:
        """The maps of each network where the sliders are; empty before the first."""
        found = self._runner.found().get(self._explain(self._state, self._state.depth))
        if found is None:
            return ()
        position = self._state.stage if self._state.view == "weights" else next(iter(found.positions))
        return tuple(one.maps for one in found.positions.get(position, ()))

    # --- the state ----------------------------------------------------------------------------------------

    def settle(self, state: SaliencyState, names: frozenset[str]) -> SaliencyState:
        """Bring image, depth and what is asked into step with the networks."""
        entries = self.lab.entries
        if state.networks not in entries:
            raise unknown("networks", state.networks, entries)
        method_info(state.method)  # or an error with the closest names
        if state.palette not in (known := [one.name for one in palettes()]):
            raise unknown("palette", state.palette, known)
        state = replace(state, opacity=round(20 * min(max(state.opacity, 0.0), 1.0)) / 20)
        state = self._with_image(self._with_depth(state, names), names)
        return self._with_question(state, names)

    def _with_depth(self, state: SaliencyState, names: frozenset[str]) -> SaliencyState:
        entry = self.lab.entries[state.networks]
        if state.depth in entry.depths or (not entry.depths and not state.depth):
            return state
        if "depth" in names and entry.depths and state.depth:
            raise unknown("depth", state.depth, map(str, entry.depths))
        return replace(
            state, depth=entry.nearest(state.depth) if state.depth and entry.depths else entry.start
        )

    def _with_image(self, state: SaliencyState, names: frozenset[str]) -> SaliencyState:
        data = self.lab.data(state.networks)
        if "image" in names and state.image:
            self.images.picture(state.image)  # or an error with the closest ids
            return state
        return replace(
            state, image=self.images.fitting(state.image, data, self.lab.entries[state.networks].sample)
        )

    def _with_question(self, state: SaliencyState, names: frozenset[str]) -> SaliencyState:
        """Forget what other networks or another image were asked, and refuse half a question."""
        if "networks" in names:
            state = replace(
                state,
                target=state.target if "target" in names else None,
                rather=state.rather if "rather" in names else None,
                block=state.block if "block" in names else 0,
            )
        if names & {"networks", "image"} and "place" not in names:
            state = replace(state, place=())
        if names & {"networks", "view", "depth", "image", "method"} and "stage" not in names:
            state = replace(state, stage="")
        if state.rather is not None and state.target is None:
            if "rather" in names:
                raise ExploreError("Choose a class to ask about first, then what it is compared with.")
            state = replace(state, rather=None)
        if state.rather is not None and state.rather == state.target:
            if "rather" in names:
                raise ExploreError("Nothing speaks for a class rather than for itself: choose two classes.")
            state = replace(state, rather=None)
        if state.view == "parts" and METHODS[state.method].by == PIXELS:
            if "method" in names:
                raise ExploreError(
                    f"{METHODS[state.method].title} explains by the pixels, where nothing came by a skip: "
                    "choose a method that explains by blocks, such as Grad-CAM."
                )
            state = replace(state, method="grad_cam")
        return state

    def arrived(self, state: SaliencyState, found: Mapping[Job, Any]) -> SaliencyState:
        """Open on a block that is clear, and stay within what there is."""
        here = found.get(self._explain(state, state.depth))
        if here is None:
            return state
        stage = state.stage if state.stage in here.positions else ""
        block, count = state.block, len(here.blocks)
        if block <= 0:
            block = clear_block(here)
        elif count > 1:  # where there is but one step, as by pixels, the person may come back to theirs
            block = min(block, count)
        return replace(state, method=here.method, block=block, stage=stage)

    # --- what is computed and shown -----------------------------------------------------------------------

    def plan(self, state: SaliencyState) -> Sequence[Job]:
        """Return the maps that are shown, those of other depths behind them, and the verdict beside."""
        first = self._explain(state, state.depth)
        jobs: list[Job] = [first]
        if state.view == "blocks":  # of parts, and of weights made random, there is no verdict
            others = () if METHODS[state.method].slow else self.lab.entries[state.networks].depths
            jobs += [self._explain(state, depth) for depth in others if depth != state.depth]
            judge = self._judge(state)
            if not isinstance(judge, str):
                jobs.append(judge)
        return jobs

    def _explain(self, state: SaliencyState, depth: int) -> Explain:
        return Explain(
            networks=state.networks,
            depth=depth,
            image=state.image,
            method=state.method,
            view=state.view,
            target=state.target,
            rather=state.rather,
            place=state.place,
            lab=self.lab,
        )

    def _judge(self, state: SaliencyState) -> Judge | str:
        """Return the verdict on what is shown, or why there is none."""
        job = Judge(self._explain(state, state.depth), max(state.block, 1))
        asked = replace(job, insist=True)
        if asked in self._asked_for:
            return asked
        if job in self._stopped:
            return "stopped"
        slow = METHODS[state.method].slow or self.lab.kind(state.networks) != "classes"
        return "slow" if slow or not state.block else job

    def present(self, state: SaliencyState, found: Mapping[Job, Any]) -> View:
        """Return the page."""
        depths = self.lab.entries[state.networks].depths if state.view == "blocks" else ()
        jobs = {depth: self._explain(state, depth) for depth in (depths or (state.depth,))}
        maps: dict[int, Found] = {depth: found[job] for depth, job in jobs.items() if job in found}
        judge = self._judge(state)
        verdict: Judged | str | None = judge if isinstance(judge, str) else found.get(judge)
        pictures = self.images.controls("image", self.lab.data(state.networks), state.image)
        return present(state, self.lab.entries, pictures, maps, verdict)

    def call_in_code(self, state: SaliencyState) -> Sequence[str]:
        """Return what explains both networks' answers to a sample photo or a test image."""
        inputs = inputs_in_code(self.lab.entries[state.networks], state.image)
        if not inputs or state.view == "weights":
            return ()
        name = "attribute" if METHODS[state.method].by == PIXELS else "class_activation_maps"
        target = f", {state.target}" if state.target is not None else ""
        if state.target is not None and state.rather is not None:
            inputs = ["from resnet_explore.analysis.explain.targets import Difference", *inputs]
            target = f", Difference({state.target}, {state.rather})"
        call = f"rx.{name}(model, image{target}, method={state.method!r})"
        return [*inputs, f"[{call} for model in (plain, residual)]"]

    def numbers(self, shown: View) -> Mapping[str, Any]:
        """Return the values of the maps that are shown, the answers, and the verdict."""
        said = shown.aside.get("verdict")
        return {**super().numbers(shown), **({"verdict": said.numbers()} if said is not None else {})}

    def arrays(self, shown: View) -> Mapping[str, Any]:
        """Return the maps of all blocks and positions of what is shown, by "<position>/<block>/<network>"."""
        found = self._runner.found()
        depths = self.lab.entries[self._state.networks].depths or (self._state.depth,)
        jobs = {depth: self._explain(self._state, depth) for depth in depths}
        return {
            "/".join(part for part in (str(depth or ""), position, block, name) if part): one.maps[block][
                0
            ].numpy()
            for depth, job in jobs.items()
            if job in found
            for position, explained in found[job].positions.items()
            for one, name in zip(explained, found[job].opened.names, strict=True)
            for block in one.maps
        }

    # --- what a person does -------------------------------------------------------------------------------

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Take an upload, a place that is asked about, and what is to be judged."""
        if name == "ask":
            self.update(place=tuple(float(at) for at in detail))
        elif name == "everywhere":
            self.update(place=())
        elif name in ("judge", "halt"):
            self._order_verdict(wanted=name == "judge")
        else:
            super().act(name, detail, buffers)

    def _order_verdict(self, wanted: bool) -> None:
        plain = Judge(self._explain(self._state, self._state.depth), max(self._state.block, 1))
        asked = replace(plain, insist=True)
        (self._stopped.discard if wanted else self._stopped.add)(plain)
        (self._asked_for.add if wanted else self._asked_for.discard)(asked)
        self.update()

    def filled_in(self) -> Mapping[str, Any]:
        """Return networks, depth, image and block of an explorer that has just been opened."""
        state, entry = self._state, self.lab.entries[self._state.networks]
        found = self._runner.found().get(self._explain(state, state.depth))
        return {
            "networks": next(iter(self.lab.entries)),
            "depth": entry.start,
            "image": self.images.usual(state.image, "", entry.data, entry.sample),
            "block": 0 if found is None else clear_block(found),
        }


def _entries(models: Any) -> dict[str, Networks]:
    """Return what the menu of networks offers."""
    if models is None:
        return usual_networks(_OFFERED)
    if isinstance(models, Mapping) and all(isinstance(one, Networks) for one in models.values()):
        if not models:
            raise ExploreError("models must hold at least one network, got none.")
        return dict(models)
    return {OWN: own_copies(own_networks(models))}
