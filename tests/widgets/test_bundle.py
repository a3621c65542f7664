"""The one script that is made of the browser's modules, and what it refuses."""

import pytest

from resnet_explore.widgets.browser.bundle import STYLE, BundleError, bundle


def made(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.js"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return bundle("page.js", folder)


def test_modules_come_once_and_before_who_imports_them(tmp_path):
    script = made(
        tmp_path,
        page='import { a, b as c } from "./parts/a.js";\nimport { d } from "./d.js";\nexport let e = a;\n',
        parts__a='import { d } from "../d.js";\nexport function a() { d(); }\nexport async function b() {}\n',
        d="export const d = 1;\n",
    )
    order = [script.index(f'modules["{name}.js"] = ') for name in ("d", "parts/a", "page")]
    assert order == sorted(order)
    assert script.count('modules["d.js"] = ') == 1
    assert 'const { a, b: c } = modules["parts/a.js"];' in script
    assert "return { a, b };" in script
    assert script.endswith('export default modules["page.js"];\n')


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"page": 'import { a } from "./a.js";\n'}, "page.js imports a.js, which is not there."),
        (
            {
                "page": 'import { a } from "./a.js";\n',
                "a": 'import { b } from "./page.js";\nexport const a = 1;\n',
            },
            "page.js imports a.js imports page.js: a cycle.",
        ),
        (
            {"page": 'import { a } from "./b.js";\n', "b": "const a = 1;\nexport const b = a;\n"},
            "page.js imports a from b.js, which does not export it.",
        ),
        ({"page": "export default 3;\n"}, "page.js has a line that is not understood: export default 3;"),
        (
            {"page": 'import * as all from "./b.js";\n'},
            'page.js has a line that is not understood: import \\* as all from "./b.js";',
        ),
        (
            {"page": 'import { a } from "d3";\n'},
            "page.js imports d3: only files of this folder can be imported.",
        ),
        (
            {"page": 'import { a } from "../a.js";\n'},
            "page.js imports ../a.js, which is outside of the folder.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, files, sentence):
    with pytest.raises(BundleError, match=sentence):
        made(tmp_path, **files)


def test_the_style_holds_no_container_queries():
    """In Chromium 156 what is new in one has no size in cells that JupyterLab had put away."""
    style = STYLE.read_text()
    assert "@container" not in style
    assert "container-type" not in style
