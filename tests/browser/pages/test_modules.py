"""The browser's modules, function by function, in an empty page."""

import base64
import itertools
import math

import numpy as np
import pytest

from resnet_explore.widgets.browser.bundle import bundle
from resnet_explore.widgets.core.view import Prose as Anything, View, encode

# What a function returns, in what Playwright can carry; an array tells its type.
_CALL = """async ([body, given]) => {
    const said = (value) => ArrayBuffer.isView(value) ? [value.constructor.name, ...Array.from(value, Number)]
        : value instanceof ArrayBuffer ? ['bytes', ...new Uint8Array(value)]
        : Array.isArray(value) ? value.map(said)
        : value instanceof Node || value === null || typeof value !== 'object' ? value
        : Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, said(entry)]));
    return said(await new Function('modules', ...Object.keys(given), body)(window.modules, ...Object.values(given)));
}"""


@pytest.fixture(scope="module")
def blank(browser_context):
    page = browser_context.new_page()
    modules, _, _ = bundle().rpartition("export default")
    page.evaluate("(script) => { window.modules = new Function(script)(); }", f"{modules}return modules;")
    yield page
    page.close()


@pytest.fixture
def run(blank):
    """`run("return view.picked(tree, state)", tree=..., state=...)`: a module is called by its file's name."""
    names = {"view": "view", "dom": "dom", "glossary": "glossary", "table": "panels/table"}
    names |= {"inside": "panels/blueprint_inside", "row": "panels/blueprint_row", "shapes": "panels/shapes"}
    names |= {"choosing": "controls/choosing", "glide": "panels/glide", "matrices": "panels/matrices"}
    begin = "".join(f"const {name} = modules['{path}.js'];\n" for name, path in names.items())
    blank.evaluate("document.body.replaceChildren()")
    return lambda body, **given: blank.evaluate(_CALL, [begin + body, given])


# --- view.js ------------------------------------------------------------------------------------------------

NAMES = {
    "float64": "Float64Array", "float32": "Float32Array", "int32": "Int32Array", "uint32": "Uint32Array",
    "int16": "Int16Array", "uint16": "Uint16Array", "int8": "Int8Array", "uint8": "Uint8Array",
    "bool": "Uint8Array", "int64": "Float64Array", "uint64": "Float64Array",
}  # fmt: skip
# All buffers one after the other behind a single byte, as a message may bring them: at no multiple of their size.
_UNPACK = """
const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const ends = sizes.map((_, k) => sizes.slice(0, k + 1).reduce((a, b) => a + b, 1));
return view.unpacked(tree, sizes.map((size, k) => new DataView(bytes.buffer, ends[k] - size, size)));
"""


def unpacked(run, *values):
    encoded = encode(View(panels=((Anything("a", values),),)))
    text = base64.b64encode(b"\0" + b"".join(encoded.buffers)).decode()
    tree = encoded.tree["panels"][0][0]["paragraphs"]
    return run(_UNPACK, tree=tree, text=text, sizes=[len(buffer) for buffer in encoded.buffers])


@pytest.mark.parametrize("kind", NAMES)
def test_an_array_arrives_with_its_type_and_shape(run, kind):
    if kind == "bool":
        array = np.array([[True, False, True]])
    elif kind.startswith("float"):
        array = np.array([[0.1, -np.inf, np.nan], [1e-30, 1e30, -0.0]], kind)
    else:
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        array = np.array([[least, most], [0, 7]], kind)
    first, before, second = unpacked(run, array.T, "between", [np.array([], kind)])
    assert first["shape"] == list(array.T.shape)
    name, *found = first["data"]
    assert name == NAMES[kind]
    np.testing.assert_array_equal(np.array(found, float), array.T.ravel().astype(float))
    assert before == "between"
    assert second == [{"data": [NAMES[kind]], "shape": [0]}]


def test_bytes_arrive_as_bytes_and_everything_else_as_it_was(run):
    given = (b"\x89PNG", [1, None, "a", {"b": [True, 0.5]}], {})
    assert unpacked(run, *given) == [["bytes", *b"\x89PNG"], [1, None, "a", {"b": [True, 0.5]}], {}]


def test_an_array_that_cannot_be_read_is_named(run):
    with pytest.raises(Exception, match="An array of float16 can't be read here"):
        unpacked(run, np.zeros(3, "float16"))


def over(field, entries):
    return {"$over": field, "at": list(entries), "each": list(entries.values())}


@pytest.mark.parametrize(
    ("tree", "shown"),
    [
        (over("depth", {8: "a", 20: "b"}), "b"),
        (over("depth", {8: "a"}), None),
        (over("nowhere", {8: "a"}), None),
        (over("depth", {"20": "a text is no number"}), None),
        (over("depth", {20: over("kind", {"plain": 1, "residual": [2, over("on", {True: 3})]})}), [2, 3]),
        ([1, {"a": over("on", {False: 0, True: {"b": over("rate", {0.5: "half"})}})}], [1, {"a": {"b": "half"}}]),
        ({"$over": "pair", "at": [[1, 1], [1, 0]], "each": ["no", "a list by what it holds"]}, "a list by what it holds"),
        ({"$over": "none", "at": [0, None], "each": ["zero", "nothing"]}, "nothing"),
        (over("depth", {20: None}), None),
        (None, None),
        ("text", "text"),
    ],
)  # fmt: skip
def test_what_depends_on_a_field_is_picked(run, tree, shown):
    state = {"depth": 20, "kind": "residual", "on": True, "rate": 0.5, "pair": [1, 0], "none": None}
    assert run("return view.picked(tree, state)", tree=tree, state=state) == shown


def test_what_depends_on_nothing_stays_the_same_object(run):
    """A panel is updated only where its props are others, so that a slider's move costs what it changes."""
    same = run(
        """
        const data = { data: new Float64Array(3), shape: [3] }, still = { list: [1, { deep: data }] };
        const tree = { still, moving: { $over: 'depth', at: [1, 2], each: [still, { data }] } };
        const one = view.picked(tree, { depth: 1 }), two = view.picked(tree, { depth: 2 });
        return [one !== tree, one.still === still, one.moving === still, two.moving === tree.moving.each[1],
                two.moving.data === data, view.picked(still, {}) === still];
        """
    )
    assert same == [True] * 6


# --- dom.js -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        (1, 1.0, True), (1, "1", False), (0, False, False), (0, None, False), ("", None, False),
        ([], [], True), ([1, [2]], [1, [2]], True), ([1, 2], [2, 1], False), ({"a": 1}, {"a": 1}, True),
    ],
)  # fmt: skip
def test_values_of_the_state_are_compared_by_what_they_hold(run, a, b, alike):
    assert run("return [dom.same(a, b), dom.same(b, a)]", a=a, b=b) == [alike, alike]


@pytest.mark.parametrize("value", [-math.inf, -1, 0, 0.5, 2, 3, math.inf])
def test_a_value_is_kept_between_two(run, value):
    assert run("return dom.clamp(value, 0, 2)", value=value) == min(max(value, 0), 2)


def test_a_number_keeps_its_percent_sign(run):
    assert run("return dom.whole('12 % of 13 %, 5%')") == "12\u00a0% of 13\u00a0%, 5%"


def test_children_come_into_order_and_the_focused_one_keeps_its_focus(run):
    """All orders of subsets of four inputs and a new one, with the focus on each of the four."""
    orders = [order for r in (0, 2, 4) for order in itertools.permutations("abcde", r)]
    wrong = run(
        """
        const wrong = [];
        for (const order of orders) for (const focused of 'abcd') {
            const nodes = Object.fromEntries([...'abcde'].map((name) => [name, dom.control('input', '', { name })]));
            const box = dom.make('div', '', {}, ...[...'abcd'].map((name) => nodes[name]));
            document.body.replaceChildren(box);
            nodes[focused].focus();
            let lost = 0;
            nodes[focused].addEventListener('blur', () => { lost += 1; });
            dom.arrange(box, order.map((name) => nodes[name]));
            const there = [...box.childNodes].every((node, k) => node === nodes[order[k]]) && box.childNodes.length === order.length;
            const kept = !order.includes(focused) || (document.activeElement === nodes[focused] && !lost);
            if (!there || !kept) wrong.push([order.join(''), focused, there, kept]);
        }
        return wrong;
        """,
        orders=orders,
    )
    assert wrong == []


def test_children_that_stand_right_are_not_touched(run):
    moves = run(
        """
        const parts = [...'abc'].map((text) => dom.make('p', '', { textContent: text }));
        const box = dom.make('div', '', {}, ...parts), seen = [];
        const watch = new MutationObserver(() => {});
        watch.observe(box, { childList: true });
        for (const order of [[0, 1, 2], [0, 2], [0, 1, 2]]) {
            dom.arrange(box, order.map((k) => parts[k]));
            seen.push(watch.takeRecords().map((r) => [r.addedNodes.length, r.removedNodes.length]));
        }
        return seen;
        """
    )
    assert moves == [[], [[0, 1]], [[1, 0]]]


def test_controls_keep_their_keys_and_ids_are_never_twice(run):
    found = run(
        """
        const made = Array.from({ length: 200 }, () => dom.control('button', 'rx-a', { textContent: 'x' }, 'y'));
        const [one] = made;
        return [new Set(made.map((node) => node.id)).size, one.dataset.lmSuppressShortcuts, one.className, one.textContent];
        """
    )
    assert found == [200, "true", "rx-a", "xy"]


# --- glossary.js --------------------------------------------------------------------------------------------

GLOSS = {
    "logit": "Before softmax.", "logit lens": "A way to look.", "C++": "A language.", "x.y": "A dot.",
    "R²": "Explained.", "α": "The mix.", "f(x)": "A function.", "[0, 1]": "A range.", "a|b": "Or.", "$5": "Money.",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("The logit is a logit.", "logit"),
        ("Logit first", "Logit"),
        ("the LOGIT LENS", "LOGIT LENS"),
        ("logits, prelogit", None),
        ("in C++, or C", "C++"),
        ("xzy and x.y", "x.y"),
        ("xzy", None),
        ("R² of 0.9", "R²"),
        ("at α = 1", "α"),
        ("αβ", None),
        ("take f(x).", "f(x)"),
        ("in [0, 1]", "[0, 1]"),
        ("a or b", None),
        ("a|b", "a|b"),
        ("for $5", "$5"),
        ("", None),
    ],
)
def test_the_first_use_of_a_word_explains_itself(run, text, term):
    shown, terms, tips = run(
        """
        const node = dom.make('p');
        glossary.glossed(node, text, gloss);
        const terms = [...node.querySelectorAll('.rx-term')];
        return [node.textContent, terms.map((t) => t.textContent), terms.map((t) => t.dataset.tip)];
        """,
        text=text,
        gloss=GLOSS,
    )
    assert shown == text
    assert terms == ([term] if term else [])
    by_case = {word.lower(): tip for word, tip in GLOSS.items()}
    assert tips == ([by_case[term.lower()]] if term else [])


def test_a_text_that_stays_keeps_its_nodes_and_the_focus_in_it(run):
    kept = run(
        """
        const node = dom.make('p');
        document.body.append(node);
        glossary.glossed(node, 'A logit.', gloss);
        const term = node.querySelector('.rx-term');
        term.focus();
        glossary.glossed(node, 'A logit.', { ...gloss });
        const stayed = document.activeElement === term;
        glossary.glossed(node, 'A logit!', gloss);
        glossary.glossed(node, 'No gloss at all: <b>', null);
        return [stayed, node.innerHTML];
        """,
        gloss={"logit": "Before softmax."},
    )
    assert kept == [True, "No gloss at all: &lt;b&gt;"]


# --- panels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "up", "down"),
    [
        ([3, None, -1.5, 20], [-1.5, 3, 20, None], [20, 3, -1.5, None]),
        (["b10", "b9", None, "a"], ["a", "b9", "b10", None], ["b10", "b9", "a", None]),
        ([None, None], [None, None], [None, None]),
    ],
)
def test_what_is_not_known_stays_last_in_either_order(run, cells, up, down):
    sort = "return [...cells].sort((a, b) => table.compared(a, b, sign))"
    found = [run(sort, cells=cells, sign=sign) for sign in (1, -1)]
    assert found == [up, down]


def step(*sources):
    return {"from": list(sources)}


def test_shortcuts_get_the_lowest_lane_that_is_free(run):
    def lanes(*steps):
        return run("return inside.lanes(steps)", steps=list(steps))

    chain = lanes(step(-1), step(0), step(1))
    assert (chain["column"], chain["lane"], chain["runs"]) == ([0, 1, 2], [0, 0, 0], [])
    bare = lanes(step(-1), step(0), step(1, -1))  # conv, conv, +
    assert bare["lane"] == [0, 0, 0]
    assert bare["runs"] == [{"from": -1, "members": [], "to": 2, "lane": 1}]
    projected = lanes(step(-1), step(0), step(-1), step(1, 2))  # conv, conv, projection, +
    assert (projected["column"], projected["lane"]) == ([0, 1, 0, 2], [0, 0, 1, 0])
    assert projected["runs"] == [{"from": -1, "members": [2], "to": 3, "lane": 1}]
    # One skip within another: the shorter lies nearer, so that lines don't cross.
    nested = lanes(step(-1), step(0), step(1, 0), step(2), step(3, -1))
    assert {(r["from"], r["to"]): r["lane"] for r in nested["runs"]} == {(0, 2): 1, (-1, 4): 2}
    # One after the other: both have room in the first.
    apart = lanes(step(-1), step(0, -1), step(1), step(2, 1))
    assert {(r["from"], r["to"]): r["lane"] for r in apart["runs"]} == {(-1, 1): 1, (1, 3): 1}


def box(side, *sources):
    return {"shape": [8, side, side], "from": list(sources), "count": 1}


def test_boxes_stand_in_a_row_unless_maps_grow_and_shrink_all_the_time(run):
    chain = [box(side, k - 1) for k, side in enumerate((56, 56, 28, 14, 7))]
    assert run("return row.grid(boxes)", boxes=chain) == {"column": [0, 1, 2, 3, 4], "row": [0] * 5}
    swing = [box(56 if k % 2 else 28, k - 1) for k in range(18)]
    laid = run("return row.grid(boxes)", boxes=swing)
    assert laid["row"] == [1, 0] * 9, "the largest maps on top"
    assert laid["column"] == list(range(18))
    beside = [*swing, box(28, -1), box(28, -1)]  # these wait for nothing: the first columns that are free
    assert run("return row.grid(boxes)", boxes=beside)["column"][-2:] == [1, 3]


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999"), (1000, "1.00 k"), (25557032, "25.6 M"), (4.09e9, "4.09 G"), (0, "0")]
)
def test_counts_are_written_short(run, value, text):
    assert run("return row.short(value)", value=value) == text


def test_lines_and_bands_have_gaps_where_there_is_no_number(run):
    nan = math.nan
    assert run("return shapes.linePath(x, y)", x=[0, 1, 2, 3], y=[1, nan, 2.06, 3]) == "M0 1M2 2.1L3 3"
    assert run("return shapes.linePath([], [])") == ""
    band = run(
        "return shapes.bandPath(x, low, high, 0, 9)", x=[0, 1, 2, 3], low=[1, 2, nan, 4], high=[5, 99, 6, 7]
    )
    assert band == "M0 1L1 2L1 9L0 5zM-0.5 4h7V7h-7z"


# --- controls -----------------------------------------------------------------------------------------------

_PAGE = """
const page = { state: { field: at }, chosen: [], set(fields, slides = false) {
    Object.assign(this.state, fields);
    this.chosen.push([fields, slides]);
}, choose(field, value, slides) { this.set({ [field]: value }, slides); } };
const choices = values.map((value) => ({ value, label: JSON.stringify(value), tip: '', missing: '', group: '' }));
const props = { key: 'field', label: 'Field', tip: '', choices, play: false, carries: {} };
const shown = choosing[kind](page, props);
document.body.append(shown.node);
"""


@pytest.mark.parametrize(
    "values", [["a", "b", "c"], [1, 2, 3], [0.1, 0.5, 1.0], [[1, 1], [1, -1], []], [None, False, 0]]
)
def test_menus_sliders_and_tabs_choose_values_of_any_kind(run, values):
    chosen = {
        kind: run(f"{_PAGE}{act} return [before, page.chosen];", kind=kind, values=values, at=values[1])
        for kind, act in {
            "menu": "const select = shown.node.querySelector('select'), before = select.selectedIndex; select.selectedIndex = 2; select.dispatchEvent(new Event('change'));",
            "slider": "const input = shown.node.querySelector('input'), before = Number(input.value); input.value = '2'; input.dispatchEvent(new Event('input'));",
            "tabs": "const all = [...shown.node.children], before = all.findIndex((t) => t.getAttribute('aria-selected') === 'true'); all[2].click();",
        }.items()
    }
    assert chosen == {
        "menu": [1, [[{"field": values[2]}, False]]],
        "slider": [1, [[{"field": values[2]}, True]]],
        "tabs": [1, [[{"field": values[2]}, False]]],
    }


@pytest.mark.parametrize(
    ("typed", "chosen", "shown"),
    [
        ("7", [7], "7"),
        ("99", [10], "10"),
        ("-3", [1], "1"),
        ("2.5", [2.5], "2.5"),
        ("", [], "5"),
        ("1e1", [10], "10"),
    ],
)
def test_a_number_stays_within_its_bounds_and_nothing_is_no_number(run, typed, chosen, shown):
    found = run(
        """
        const chosen = [];
        const page = { state: { field: 5 }, choose(field, value) { this.state[field] = value; chosen.push(value); } };
        const { node } = choosing.number(page, { key: 'field', label: 'Field', tip: '', low: 1, high: 10, step: 0.5 });
        const input = node.querySelector('input');
        document.body.append(node);
        input.value = typed;
        input.dispatchEvent(new Event('change'));
        return [chosen, input.value];
        """,
        typed=typed,
    )
    assert found == [chosen, shown]


# --- panels/matrices.js -------------------------------------------------------------------------------------


def test_where_a_value_lies_on_a_scale_of_colours(run):
    placed = "return values.map((value) => matrices.placed(value ?? NaN, scale));"
    log = run(
        placed,
        values=[0.1, 10, 1000, 0.01, 1e5, 0, -1, None],
        scale={"low": 0.1, "high": 1e3, "scale": "log"},
    )
    assert log[:3] == pytest.approx([0, 0.5, 1])
    assert (log[3] < 0, log[4] > 1, log[5:7]) == (True, True, [-1, -1])
    assert math.isnan(log[7])
    linear = run(placed, values=[-0.02, 0, 0.25, 1, 1.1], scale={"low": 0, "high": 1, "scale": "linear"})
    assert linear == pytest.approx([0, 0, 0.25, 1, 1]), "a little below 0 is as good as 0"
