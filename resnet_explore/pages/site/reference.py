"""The reference: every public name with its signature and what its docstring says."""

import inspect
import re
import typing
from collections.abc import Iterator
from html import escape
from typing import Any

import resnet_explore as rx
from resnet_explore.pages.site.docstrings import docstring_html, inline
from resnet_explore.widgets.core.explorer import Explorer

_PUBLIC: frozenset[str] = frozenset(vars(rx)["__all__"])
# What each room offers, in the order in which one meets them.
_ROOMS = {
    "widgets": "Explorers",
    "models": "Networks",
    "inputs": "Images",
    "analysis": "Measurements",
    "training": "Training",
    "exercises": "Exercises",
    "errors": "Errors",
}
_OF_ALL = ("state", "update", "wait", "code", "page", "save", "to_html", "close")  # of each explorer
_WIDE = 88  # characters of a signature on one line


def public() -> dict[str, list[str]]:
    """Return the public names by heading."""
    found: dict[str, list[str]] = {title: [] for title in _ROOMS.values()}
    for name in sorted(_PUBLIC, key=str.casefold):
        room = getattr(rx, name).__module__.split(".")[1]
        found[_ROOMS[room]].append(name)
    return found


def reference_html() -> str:
    """Return the body of the reference page."""
    groups = public()
    html = "<h1>Reference</h1>\n<p>All public names, from their docstrings. In code: "
    html += "<code>import resnet_explore as rx</code>.</p>\n"
    for title, names in groups.items():
        links = "".join(f'<li><a href="#{name}"><code>{name}</code></a></li>' for name in names)
        html += f'<p><b>{escape(title)}</b></p>\n<ul class="names">{links}</ul>\n'
    for title, names in groups.items():
        html += f'<h2 id="{title.lower()}">{escape(title)}</h2>\n'
        if title == "Explorers":
            html += _explorers()
        html += "".join(map(_named, names))
    return f'<div class="reference">\n{html}</div>'


def _link(text: str) -> str | None:
    name = text.removeprefix("rx.").partition("(")[0].partition(".")[0]
    return f"#{name}" if name in _PUBLIC else None


def _named(name: str) -> str:
    """Return the entry of a public name."""
    thing = getattr(rx, name)
    kind = "class" if inspect.isclass(thing) else ""
    html = f'<h3 class="name-of" id="{name}">'
    html += f'<span class="kind">{kind}</span>{name}</h3>\n' if kind else f"{name}</h3>\n"
    if signed := signature(thing, name):
        html += f'<pre tabindex="0" role="group" aria-label="Signature"><code>{escape(signed)}</code></pre>\n'
    html += docstring_html(inspect.getdoc(thing) or "", _link)
    if kind:
        return html + "".join(_member(thing, member) for member in _members(thing))
    return html + _result(thing)


def signature(thing: Any, name: str) -> str:
    """Return how something is called, on several lines where it is long; "" where it can't be told."""
    try:
        found = inspect.signature(thing)
    except ValueError:
        return ""
    parts = [_readable(str(each)) for each in found.parameters.values() if each.name != "self"]
    kinds = [each.kind for each in found.parameters.values() if each.name != "self"]
    first = next((i for i, kind in enumerate(kinds) if kind is inspect.Parameter.KEYWORD_ONLY), None)
    if first is not None and inspect.Parameter.VAR_POSITIONAL not in kinds:
        parts.insert(first, "*")
    back = found.return_annotation
    gives = "" if back in (inspect.Signature.empty, None, "None") else f" -> {_annotation(back)}"
    if len(name) + len(", ".join(parts)) + len(gives) < _WIDE:
        return f"{name}({', '.join(parts)}){gives}"
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){gives}"])


def _annotation(back: Any) -> str:
    return _readable(back if isinstance(back, str) else inspect.formatannotation(back))


def _readable(text: str) -> str:
    """Return a parameter without the modules that its types are from, and without addresses in memory."""
    text = re.sub(r"<function .*? at 0x[0-9a-f]+>", "...", text)
    text = re.sub(r"<built-in function (\w+)>", r"\1", text)
    text = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])", "", text)
    return re.sub(r"(?<=[:>] )'([^']*)'", r"\1", text)


def _members(kind: type, inherited: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield methods and properties that say what they are; an explorer's hooks are its own matter."""
    for name, member in vars(kind).items():
        hook = issubclass(kind, Explorer) and hasattr(Explorer, name) and not inherited
        if name[0] != "_" and not hook and _documented(member):
            yield name, member


def _documented(member: Any) -> str | None:
    function = getattr(member, "__func__", member)
    if inspect.isfunction(function) or isinstance(member, property):
        return inspect.getdoc(member)
    return None


def _member(kind: type, member: tuple[str, Any]) -> str:
    name, thing = member
    function = getattr(thing, "__func__", thing)
    shown = name if isinstance(thing, property) else signature(function, name).replace("(cls, ", "(")
    shown = shown.replace("(cls)", "()")
    text = docstring_html(inspect.getdoc(thing) or "", _link)
    return f'<div class="result"><p class="signed"><code>{escape(f".{shown}")}</code></p>\n{text}</div>\n'


def _result(function: Any) -> str:
    """Say of a function's result what its class says, unless that has a place of its own."""
    try:
        back = typing.get_type_hints(function).get("return")
    except (NameError, TypeError):
        return ""
    if not inspect.isclass(back) or not back.__module__.startswith("resnet_explore"):
        return ""
    if back.__name__ in _PUBLIC:
        return ""
    text = inspect.getdoc(back) or ""
    members = "".join(_member(back, member) for member in _members(back))
    return (
        f"<details><summary>What it returns: <code>{back.__name__}</code></summary>\n"
        f'<div class="result">{docstring_html(text, _link)}</div>{members}</details>\n'
    )


def _explorers() -> str:
    """Say what all explorers have in common."""
    said = (
        "Each explorer is one widget. What can be chosen in it is an attribute, which can be set and "
        "observed: `explorer.depth = 56`. All of them have these:"
    )
    return f"<p>{inline(said, _link)}</p>\n" + "".join(
        _member(Explorer, (name, vars(Explorer)[name])) for name in _OF_ALL
    )
