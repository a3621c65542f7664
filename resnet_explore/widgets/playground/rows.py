"""The menus by which networks are chosen; each entry is the whole race with one thing changed."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.training.entrants import KINDS, Entrant, read_entrant, usual_norm
from resnet_explore.widgets.core.view import Button, Choice, Group, Menu, More, Part
from resnet_explore.widgets.playground import captions

DEPTHS = (8, 14, 20, 32, 44, 56)
MOST = 4
_STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0)
_PLAIN = {"skip": 1.0, "branch": 1.0, "shortcut": "padding", "gate": "none", "bias": 0.0, "dropout": 0.0}

Skips = tuple[float | None, ...]


def first_skips(networks: Sequence[str]) -> Skips:
    """Return the factors on each network's skips as its text says, None for a plain one."""
    return tuple(None if e.kind == "plain" else e.skip for e in map(read_entrant, networks))


@functools.lru_cache(32)  # asked for with every picture
def network_rows(networks: tuple[str, ...], skips: Skips) -> tuple[Part, ...]:
    """Return a row for each network; `skips` are the factors that they have now."""
    return tuple(_row(networks, skips, k) for k in range(len(networks)))


def _row(networks: tuple[str, ...], skips: Skips, k: int) -> Group:
    entrant = read_entrant(networks[k])
    kinds = {kind: _of_kind(entrant, kind) for kind in KINDS}
    depths = {str(d): replace(entrant, depth=d) for d in sorted({*DEPTHS, entrant.depth})}
    # Menus of one field stand in groups of their own: the page knows parts of a group by kind and field.
    parts = (
        _menu(networks, k, captions.network_label(k), captions.KINDS, kinds),
        _menu(networks, k, "layers", {d: d for d in depths}, depths),
        Group("skips", (_skips_menu(entrant, networks, skips, k),)),
        _more(networks, k, entrant),
    )
    return Group(f"network-{k}", parts)


def _of_kind(entrant: Entrant, kind: str) -> Entrant:
    if kind == "plain":  # which has nothing of what lives on skips
        return replace(entrant, kind=kind, **_PLAIN)  # type: ignore[arg-type]
    return replace(entrant, kind=kind)


def _menu(
    networks: tuple[str, ...], k: int, label: str, words: Mapping[str, str], options: Mapping[str, Entrant]
) -> Group:
    choices = []
    for key, entrant in options.items():
        changed = (*networks[:k], str(entrant), *networks[k + 1 :])
        choices.append(Choice(changed, words[key], missing=_missing(entrant, networks, k)))
    return Group(label, (Menu("networks", label, tuple(choices)),))


def _missing(entrant: Entrant, networks: tuple[str, ...], k: int) -> str:
    """Say why a network can't take a place in the race, "" where it can."""
    if str(entrant) in (*networks[:k], *networks[k + 1 :]):
        return captions.TWICE
    try:
        read_entrant(str(entrant))
    except ExploreError as problem:
        return str(problem)
    return ""


def _skips_menu(entrant: Entrant, networks: tuple[str, ...], skips: Skips, k: int) -> Menu:
    first = first_skips(networks)
    own: list[float | None] = [*_STRENGTHS, *([entrant.skip] if entrant.skip not in _STRENGTHS else [])]
    own.sort(key=lambda factor: -(factor or 0.0))
    options = [None, *own] if entrant.kind == "plain" else own
    if skips[k] not in options:
        options.append(skips[k])
    choices = []
    for factor in options:
        changed = (*skips[:k], factor, *skips[k + 1 :])
        choices.append(Choice(() if changed == first else changed, captions.skips_words(factor)))
    return Menu("skips", "skips", tuple(choices), captions.SKIPS_TIP)


def _more(networks: tuple[str, ...], k: int, entrant: Entrant) -> More:
    inits = {init: replace(entrant, init=init, norm=_norm_for(entrant, init)) for init in captions.INITS}
    menus: list[Part] = [
        _menu(networks, k, "norm", captions.NORMS, _each(entrant, "norm", captions.NORMS)),
        _menu(networks, k, "start", captions.INITS, inits),
        _menu(networks, k, "order", captions.ORDERS, _each(entrant, "order", captions.ORDERS)),
    ]
    if entrant.kind == "residual":
        menus.append(_shortcuts(networks, k, entrant))
    widths = {"0": replace(entrant, width=0)}
    widths |= {str(w): replace(entrant, width=w) for w in sorted({4, 8, 16, 32, entrant.width} - {0})}
    menus.append(_menu(networks, k, "width", captions.width_words(widths), widths))
    lonely = captions.LAST_ONE if len(networks) == 1 else ""
    menus.append(Button(f"remove-{k}", captions.REMOVE, missing=lonely))
    said = str(entrant).split()[1:]
    return More("more", tuple(menus), captions.more_label(said))


def _each(entrant: Entrant, field: str, words: Mapping[str, str]) -> dict[str, Entrant]:
    changes: list[dict[str, Any]] = [{field: value} for value in words]
    return {value: replace(entrant, **change) for value, change in zip(words, changes, strict=True)}


def _norm_for(entrant: Entrant, init: str) -> str:
    """Return the norm that goes with a start: none with some, with the others what was there."""
    if usual_norm(init) == "none":
        return "none"
    return usual_norm(init) if usual_norm(entrant.init) == "none" else entrant.norm


def _shortcuts(networks: tuple[str, ...], k: int, entrant: Entrant) -> Group:
    plain = replace(entrant, **_PLAIN)  # type: ignore[arg-type]
    options = {key: replace(plain, **change) for key, (_, change) in captions.SHORTCUTS.items()}
    words = {key: words for key, (words, _) in captions.SHORTCUTS.items()}
    if entrant not in options.values():
        options["own"], words["own"] = entrant, captions.OWN_SHORTCUT
    return _menu(networks, k, "shortcut", words, options)


def one_more(networks: Sequence[str]) -> tuple[str, ...]:
    """Return the networks with one more, of a depth and kind that is not there yet."""
    last = read_entrant(networks[-1])
    for depth in (20, *DEPTHS):
        for kind in (last.kind, *KINDS):
            added = str(_of_kind(replace(last, depth=depth), kind))
            if added not in networks:
                return (*networks, added)
    raise ExploreError(captions.NO_MORE)
