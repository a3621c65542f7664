"""One script made of the ES modules of this folder, for anywidget and for pages without a kernel.

A notebook has no address for a second file, offline least of all, so a widget's script can import nothing.
Each module becomes a function that is called once, in the order of imports, and returns what it exports.
"""

import functools
import re
from pathlib import Path, PurePosixPath

HERE = Path(__file__).parent
STYLE = HERE / "style.css"
ENTRY = "page.js"

_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"([^"]+)";[ \t]*$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|const|let|class)\s+([\w$]+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


class BundleError(Exception):
    """The modules don't fit each other; a mistake of whoever writes them."""


@functools.cache
def bundle(entry: str = ENTRY, folder: Path = HERE) -> str:
    """Return an ES module that exports by default what `entry` exports, with all that it imports inside.

    Only `import { a, b as c } from "./file.js";` and `export function | const | let | class` are understood.

    Raises `BundleError` for a cycle, a file that is missing, a name that is not exported, any other import or
    export.
    """
    order: dict[str, str] = {}
    _add(entry, folder, order, ())
    body = "\n".join(order.values())
    return f"const modules = {{}};\n{body}\nexport default modules[{_quoted(entry)}];\n"


def exports(name: str, folder: Path = HERE) -> set[str]:
    """Return the names that a module exports."""
    return set(_EXPORT.findall((folder / name).read_text(encoding="utf-8")))


def _add(name: str, folder: Path, order: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise BundleError(" imports ".join([*above[above.index(name) :], name]) + ": a cycle.")
    if name in order:
        return
    if not (folder / name).is_file():
        raise BundleError(f"{above[-1] if above else 'The entry'} imports {name}, which is not there.")
    source = (folder / name).read_text(encoding="utf-8")

    def imported(found: re.Match[str]) -> str:
        names, path = found.groups()
        other = _resolved(name, path)
        _add(other, folder, order, (*above, name))
        pairs = [pair.split(" as ") for pair in map(str.strip, names.split(",")) if pair]
        missing = sorted({pair[0].strip() for pair in pairs} - exports(other, folder))
        if missing:
            raise BundleError(f"{name} imports {', '.join(missing)} from {other}, which does not export it.")
        inside = ", ".join(": ".join(part.strip() for part in pair) for pair in pairs)
        return f"const {{ {inside} }} = modules[{_quoted(other)}];"

    text = _IMPORT.sub(imported, source)
    names = _EXPORT.findall(text)
    text = _EXPORT.sub("", text)
    other = _OTHER.search(text)
    if other:
        raise BundleError(f"{name} has a line that is not understood: {other[0]}")
    order[name] = f"modules[{_quoted(name)}] = (() => {{\n{text}\nreturn {{ {', '.join(names)} }};\n}})();"


def _resolved(importer: str, path: str) -> str:
    """Return a module's place in the folder: "panels/chart.js" for "./chart.js" out of "panels/table.js"."""
    if not path.startswith("."):
        raise BundleError(f"{importer} imports {path}: only files of this folder can be imported.")
    parts: list[str] = []
    for part in (PurePosixPath(importer).parent / path).parts:
        if part == "..":
            if not parts:
                raise BundleError(f"{importer} imports {path}, which is outside of the folder.")
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _quoted(name: str) -> str:
    return f'"{name}"'
