"""An explorer: a state, jobs that compute what it needs, and a function from state to view."""

import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets as t

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.browser.bundle import STYLE, bundle
from resnet_explore.widgets.core.baked import LIMIT_MB, baked_page
from resnet_explore.widgets.core.files import formats_of, panels_of, save_view, written
from resnet_explore.widgets.core.guess import Guesses, Question
from resnet_explore.widgets.core.runner import Job, Runner
from resnet_explore.widgets.core.state import changed, traits_of, values_of
from resnet_explore.widgets.core.still import show_with_still
from resnet_explore.widgets.core.view import SCHEMA, View, encode, encode_aside, settled
from resnet_explore.widgets.core.words import listed

# One for all explorers: two that are linked would otherwise wait for each other.
_STATES = threading.RLock()


class Explorer(anywidget.AnyWidget):
    """One widget that holds a whole page. Subclasses say what it computes and what it shows.

    State    a frozen dataclass of plain values; its fields are keyword arguments and traits of the explorer
    plan     what has to be computed for a state
    present  what is on the page for a state and what has been computed of it

    All of the state can be set, observed and linked: `explorer.depth = 56`, `explorer.observe(f, "depth")`,
    `ipywidgets.link((a, "depth"), (b, "depth"))`. A change that can't be shown raises `ExploreError`, changes
    nothing and is said on the page.

    guess  True to be asked before the first picture is shown; answers are kept in "runs/guesses.jsonl", or in
           the file that `guess` names, which a class may share
    """

    State: ClassVar[type]
    # {field: the values that `to_html` bakes, None for all}
    bakes: ClassVar[Mapping[str, Sequence[Any] | None]] = {}
    keep_most: ClassVar[int] = 32  # so many results are kept that the present state does not need

    _esm = bundle()
    _css = STYLE

    _view: Any = t.Dict().tag(sync=True)
    _aside: Any = t.Dict().tag(sync=True)
    _code = t.Unicode("").tag(sync=True)
    _call = t.Unicode("").tag(sync=True)  # with {depth} in the place of the depth, which a slider moves
    _busy = t.Unicode("").tag(sync=True)
    _problem = t.Unicode("").tag(sync=True)
    # The page counts what a person chooses, {field: [count, value]}, and hears up to which count that was
    # known when fields were set here: an older answer must not undo a younger choice.
    _said: Any = t.Dict().tag(sync=True, echo_update=False)
    _heard = t.Int(0).tag(sync=True)
    # The page sets it once: so messages get a thread of their own and don't wait for the cell to end.
    _opened = t.Int(0).tag(sync=True)
    # What the page was told of its questions, {key: answer, None for one that was skipped}, and how often
    # each answer was given in all, {key: {answer: count}}.
    _guessed: Any = t.Dict().tag(sync=True)
    _counts: Any = t.Dict().tag(sync=True)
    _name = t.Unicode("").tag(sync=True)  # by which the page knows the still picture beside it

    def __init_subclass__(cls, **more: Any) -> None:
        if "State" in cls.__dict__:
            for name, trait in traits_of(cls.State).items():
                if hasattr(Explorer, name) or name in ("guess", "guesses"):
                    raise TypeError(
                        f"A field of a state can't be called {name}: explorers have one of their own."
                    )
                setattr(cls, name, trait)
                trait.class_init(cls, name)
        super().__init_subclass__(**more)

    def __init__(self, *, guess: bool | str | Path = False, **arguments: Any) -> None:
        self._guess, self.guesses = guess, Guesses.opened(guess)
        self._runner = Runner(self._publish, self._failed, self._tell, self.keep_most)
        self._count = 0
        self._quiet = False  # whether a refusal is not said on the page
        self._sent: dict[str, Any] = {}
        self._last: Any = None  # the last state whose picture was there
        self._setting = threading.get_ident()  # of the thread that may set traits without asking, 0 for none
        names = frozenset(arguments)
        self._state = self.settle(changed(self.State(), arguments), names)
        self._jobs = tuple(self.plan(self._state))
        super().__init__(**values_of(self._state))
        self._setting = 0
        self.on_msg(self._hear)
        with _STATES:
            self._name = self.model_id or ""
            self._runner.ask(self._jobs)
            self._publish()

    # --- what subclasses say ------------------------------------------------------------------------------

    def settle(self, state: Any, names: frozenset[str]) -> Any:
        """Return a state that fits together: fields that were not among `names` may follow those that were.

        Raises `ExploreError` for a value that there is not.
        """
        return state

    def plan(self, state: Any) -> Sequence[Job]:
        """Return what has to be computed for a state, most urgent first. Pure and cheap.

        Asked again whenever something has arrived: what comes next may depend on it, as on data that were
        fetched.
        """
        return ()

    def present(self, state: Any, found: Mapping[Job, Any]) -> View:
        """Return the page for a state, with what has been computed so far. Pure.

        A view whose `panels` is None leaves the picture that stands, dimmed, until there is a new one.
        """
        raise NotImplementedError

    def arrived(self, state: Any, found: Mapping[Job, Any]) -> Any:
        """Return the state with what it leaves open settled by what has been computed, such as a last block.

        Pure, and at rest once it has been followed: `arrived(arrived(s, f), f) == arrived(s, f)`.
        """
        return state

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Do what a button, an upload or a panel asks for, by its key. Raises `ExploreError` to refuse."""

    def retreat(self, job: Job) -> Any:
        """Return the state to go back to when a job of the present state has failed, None to stay."""
        return self._last

    # --- what everybody may call --------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """The whole state, a frozen dataclass."""
        with _STATES:
            return self._state

    def held(self) -> AbstractContextManager[object]:
        """Return a lock: while a thread has it, no other changes the state."""
        return _STATES

    def update(self, **changes: Any) -> None:
        """Change several fields of the state together.

        Raises `ExploreError` where the change can't be shown; the state is then as it was.
        """
        with _STATES:
            try:
                state = self.settle(changed(self._state, changes), frozenset(changes))
                jobs = tuple(self.plan(state))
            except ExploreError as problem:
                if not self._quiet:
                    self._problem = str(problem)
                raise
            self._problem = ""
            self._take(state, jobs)
            self._publish()

    def attempt(self, **changes: Any) -> bool:
        """Change several fields together if that can be shown; False, and nothing said, where it can't."""
        with _STATES:
            self._quiet = True
            try:
                self.update(**changes)
            except ExploreError:
                return False
            finally:
                self._quiet = False
            return True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all that the state needs is computed and shown; False if that takes longer.

        Raises `ExploreError` in an observer: what is computed is shown after observers have been told.
        """
        if _STATES._is_owned():  # type: ignore[attr-defined]
            raise ExploreError("An observer can't wait for an explorer: it would wait for itself.")
        return self._runner.wait(seconds)

    def close(self) -> None:
        """Take the explorer off the page and stop what it computes."""
        if hasattr(self, "_runner"):  # else it was refused before it had begun
            self._runner.stop()
        super().close()

    @property
    def code(self) -> str:
        """The Python that opens what is shown now: a cell that runs as it stands.

        Where it needs something that was given, such as a network or a photo, a comment says what.
        """
        steps = self._steps()
        notes = [f"# {note}" for note in self.notes_in_code()]
        show = ["explorer"] if len(steps) > 1 else []
        return "\n".join(["import resnet_explore as rx", "", *notes, *steps, *show])

    def _steps(self) -> list[str]:
        """Return the statements that open what is shown."""
        between, context = self.steps_in_code(), self.given_in_code()
        first = {**values_of(self.State()), **self.filled_in()}
        state = [
            f"{name}={value!r}" for name, value in values_of(self._state).items() if value != first[name]
        ]
        if not between:
            return [f"rx.{type(self).__name__}({', '.join([*context, *state])})"]
        last = [f"explorer.update({', '.join(state)})"] if state else []
        return [f"explorer = rx.{type(self).__name__}({', '.join(context)})", *between, *last]

    def context_in_code(self) -> Sequence[str]:
        """Return the arguments beside the state, as they stand in `code`; `x=x` for what can't be written."""
        return ()

    def given_in_code(self) -> Sequence[str]:
        """Return all arguments beside the state, as they stand in `code`."""
        asked = [] if self._guess is False else [f"guess={_written(self._guess)}"]
        return [*self.context_in_code(), *asked]

    def filled_in(self) -> Mapping[str, Any]:
        """Return what a new explorer makes of the defaults, so that `code` needs not state it."""
        return {}

    def steps_in_code(self) -> Sequence[str]:
        """Return statements on `explorer` that show what no field can say; they come before the state's."""
        return ()

    def notes_in_code(self) -> Sequence[str]:
        """Return what is to be said of `code`."""
        arguments = (argument.partition("=") for argument in self.context_in_code())
        given = [name for name, _, value in arguments if name == value]
        return [f"{listed(given)}: what you gave, under the same name."] if given else []

    @property
    def call(self) -> str:
        """The Python behind the numbers that are shown, without any explorer; "" where there is none.

        A cell that runs as it stands.
        """
        values = values_of(self._state)
        return re.sub(r"\{(\w+)\}", lambda found: repr(values[found[1]]), self.call_of(self._state))

    def call_of(self, state: Any) -> str:
        """Return `call` for any state, with {depth} in the place of the depth, which a slider moves."""
        lines = self.call_in_code(state)
        return "\n".join(["import resnet_explore as rx", *lines]) if lines else ""

    def call_in_code(self, state: Any) -> Sequence[str]:
        """Return the statements behind what a state shows, below an import; the last is an expression.

        `{depth}` stands for the field of that name, as Python writes it, where it differs with a slider.
        """
        return ()

    @property
    def page(self) -> View:
        """What is on the page now."""
        with _STATES:
            return self.presented(self._state, self._runner.found())

    def presented(self, state: Any, found: Mapping[Job, Any]) -> View:
        """Return the page for a state, with its question only where the reader wants to be asked."""
        view = self.present(state, found)
        asked = settled(view.question, state)
        if asked is None or self._guess is not False or asked.insists:
            return view
        return replace(view, question=None)

    @property
    def open_question(self) -> Question | None:
        """What the reader is asked now, in place of the picture; None where nothing is."""
        with _STATES:
            asked: Question | None = settled(self.page.question, self._state)
        return None if asked is None or asked.key in self._guessed else asked

    def settled_page(self) -> View:
        """Return what is on the page now, at the place where its sliders stand."""
        with _STATES:
            return settled(self.page, self._state)

    @property
    def problem(self) -> str:
        """What the page says could not be done, "" if nothing."""
        return str(self._problem)

    def save(self, path: str | Path) -> Path:
        """Write what is shown, with its headline and conditions, and return where it lies.

        The ending says how: .png, .svg or .pdf for the picture, .csv for its numbers, .npz for its arrays.
        """
        return written(Path(path), self.file(Path(path).suffix))

    def to_html(
        self,
        path: str | Path,
        *,
        limit_mb: float = LIMIT_MB,
        say: Callable[[str], Any] = print,
        **fixed: Any,
    ) -> Path:
        """Write a page that shows the explorer without Python and network, and return where it lies.

        Sliders, tabs, pointer and keys work as here, and saving of PNG, SVG, and a CSV of charts, tables,
        matrices and surfaces.
        Menus work as far as their answers are baked into the page; the rest is greyed.

        Parameters
        ----------
        path : where the page is written, such as "page.html"
        limit_mb : megabytes that it may have
        say : is told how large it is, before it is written
        **fixed : fields of the state: a value, which a menu on the page can't change but a slider that needs
            no Python still can; or a list of all values that are baked, as in
            `method=["grad_cam", "layercam"]`, of which the first is shown at first. A value that is a list
            itself, such as the blocks that are out, stands in one: `deleted=[(), (5,)]`

        Raises
        ------
        ExploreError
            For a field or value that there is not, for a page above the limit, and for a file that can't be
            written.
        """
        page, views = baked_page(self, fixed)
        size = len(page.encode()) / 1e6
        if size > limit_mb:
            raise ExploreError(
                f"The page would have {size:.1f} MB in {views} views, more than limit_mb={limit_mb:g}: "
                "fix a field or list fewer of its values, or allow more."
            )
        say(f"{path}: {size:.1f} MB, {views} view{'s' * (views != 1)}")
        return written(Path(path), page.encode())

    def numbers(self, shown: View) -> Mapping[str, Iterable[Mapping[str, Any]]]:
        """Return the tables that a .csv holds of what is shown: rows by the panels' keys."""
        return {panel.key: panel.numbers() for panel in panels_of(shown)}

    def arrays(self, shown: View) -> Mapping[str, Any]:
        """Return the arrays that a .npz holds of what is shown, by name."""
        return {name: array for panel in panels_of(shown) for name, array in panel.arrays().items()}

    def unused(self, state: Any) -> Collection[str]:
        """Return fields that the view of a state does not depend on, such as what another tab is about."""
        return ()

    def worth_baking(self, state: Any) -> bool:
        """Whether a page without Python holds the view of a state that `bakes` allows."""
        return True

    def settled_from(self, before: Any, changes: Mapping[str, Any]) -> Any:
        """Return the state that changes would lead to from another state than the present one."""
        with _STATES:
            present, self._state = self._state, before  # which `settle` may look at
            try:
                return self.settle(changed(before, changes), frozenset(changes))
            finally:
                self._state = present

    def _ipython_display_(self) -> None:
        show_with_still(self)

    # --- how it goes ----------------------------------------------------------------------------------------

    def _state_value(self, name: str) -> Any:
        return getattr(self._state, name)

    def _take(self, state: Any, jobs: tuple[Job, ...], again: bool = True) -> None:
        """Make a state that is known to be good the present one, and compute what it needs.

        again  whether what has failed or was stopped is tried once more
        """
        with self.hold_sync(), self.hold_trait_notifications():
            self._state, self._jobs = state, jobs
            self._setting = threading.get_ident()
            try:
                self._listen()
                for name, value in values_of(state).items():
                    setattr(self, name, value)
            finally:
                self._setting = 0
        self._runner.ask(self._jobs, again)

    def _listen(self) -> None:
        self._heard = max([self._heard, *(count for count, _ in self._said.values())])

    def _publish(self) -> None:
        """Show the present state with all that has been computed of it: nothing stale can come through."""
        with _STATES:
            found = self._runner.found()
            state = self.arrived(self._state, found)
            jobs = tuple(self.plan(state))
            if (state, jobs) != (self._state, self._jobs):
                self._take(state, jobs, again=False)
                found = self._runner.found()
            view = self.presented(state, found)
            self._learn(settled(view.question, state))
            if view.panels is not None:
                self._last = state
            self._code, self._call = self.code, self.call_of(state)
            encoded = encode(view)
            values = values_of(state)
            sent = {
                "schema": SCHEMA,
                "fields": list(values),
                "made_for": {name: values[name] for name in values if name not in encoded.local},
                "formats": formats_of(view),
                "tree": encoded.tree,
                "buffers": encoded.buffers,
            }
            if sent != self._sent:  # what the page has already it needs not get again
                self._sent = sent
                self._count += 1
                self._view = {"count": self._count, **sent}
            beside = encode_aside(view)
            self._aside = {"tree": beside.tree, "buffers": beside.buffers}

    def _learn(self, asked: Question | None) -> None:
        """Remember a question, and tell the page what others have answered."""
        if asked is not None:
            self.guesses.learn(asked)
            if asked.key not in self._counts:
                self._counts = {**self._counts, asked.key: self.guesses.counts(asked.key)}

    def _take_guess(self, key: str, answer: Any) -> None:
        """Keep an answer, and tell the page how often each was given."""
        asked = self.guesses.questions.get(key)
        if asked is None or answer not in [choice.value for choice in asked.choices]:
            raise ExploreError(f"There is no answer {answer!r:.60} to the question {key!r:.60}.")
        problem = self.guesses.add(key, answer)
        with _STATES:
            self._counts = {**self._counts, key: self.guesses.counts(key)}
            self._problem = problem

    def _failed(self, job: Job, sentence: str) -> None:
        with _STATES:
            if job not in self._jobs:
                return
            back = self.retreat(job)
            if back is not None and back != self._state:
                self._take(back, tuple(self.plan(back)))
                sentence += " Still showing what was there before."
            self._problem = sentence
            self._publish()

    def _tell(self) -> None:
        with _STATES:
            self._busy = self._runner.sentence

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the page says; what can't be shown is taken back there.

        Choices that were made while the kernel was busy come together: those that go without the others stay.
        """
        given = {name: sync_data[name] for name in sync_data if name in _names(self.State)}
        others = {name: value for name, value in sync_data.items() if name not in given}
        with _STATES:
            said, known = others.get("_said", {}), self._said
            if said:
                others["_said"] = _latest(known, said)
            if others:
                super().set_state(others)
            changes = {
                name: value
                for name, value in given.items()
                if not _is_late(value, said.get(name), known.get(name))
            }
            if changes:
                self._take_over(changes)
            self._listen()
            # What is here as before is no change here, but it is one on the page, which has set it otherwise.
            other = [name for name, value in given.items() if not _alike(value, self._state_value(name))]
            if other:
                self.send_state(other)

    def _take_over(self, changes: dict[str, Any]) -> None:
        refused = None
        with self._lock_property(**changes):
            try:
                self.update(**changes)
            except ExploreError:
                for name, value in changes.items():
                    try:
                        self.update(**{name: value})
                    except ExploreError as problem:
                        refused = str(problem)
        if refused is not None:
            self._problem = refused

    def _hear(self, _widget: Any, content: Any, buffers: Sequence[memoryview]) -> None:
        name, detail = content.get("act"), content.get("detail")
        try:
            if name == "here?":
                self.send({"here": True})
            elif name == "stop":
                self._stop()
            else:
                self._catch_up(content.get("said") or {})
                with _STATES:
                    self._problem = ""
                if name == "save":
                    self._send_file(str(detail), content.get("page"))
                elif name == "guess":
                    self._take_guess(*detail)
                else:
                    self.act(name, detail, buffers)
        except ExploreError as problem:
            with _STATES:
                self._problem = str(problem)

    def _catch_up(self, said: Mapping[str, Any]) -> None:
        """Take over what the person has chosen and the page has had no answer to.

        The page's changes may still be on their way; what has come already may have been set otherwise since.
        """
        if said:
            self.set_state({"_said": said, **{name: value for name, (_, value) in said.items()}})

    def _send_file(self, suffix: str, page: Any) -> None:
        """Send a file to the page that asked for it; a notebook may show an explorer twice."""
        self.send({"file": f"{_snake(type(self).__name__)}{suffix}", "page": page}, [self.file(suffix)])

    def file(self, suffix: str) -> bytes:
        """Return what `save` writes, for an ending such as ".png"."""
        code = "; ".join(self._steps())
        return save_view(self.settled_page(), suffix, code, self.numbers, self.arrays)

    def _stop(self) -> None:
        """Stop what is computed and go back to what was there before, or stay with what is there already."""
        with _STATES:
            if self._last is None or self._last == self._state:
                self._runner.halt()
            else:
                self._take(self._last, tuple(self.plan(self._last)))
                self._publish()


def _names(state: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(state))


def _latest(*choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return of each field what was chosen last, {field: [count, value]}."""
    latest: dict[str, Any] = {}
    for name, entry in (item for each in choices for item in each.items()):
        if name not in latest or entry[0] > latest[name][0]:
            latest[name] = entry
    return latest


def _is_late(value: Any, said: Any, known: Any) -> bool:
    """Whether a choice is known already, from a button that was pressed after it and came before it."""
    return bool(said and known) and said[0] <= known[0] and value == said[1]


def _alike(value: Any, here: Any) -> bool:
    """Whether a value of the state is what the page has said, which knows lists only."""
    return json.dumps(value) == json.dumps(here)


def _written(guess: bool | str | Path) -> str:
    return repr(guess if isinstance(guess, bool) else str(guess))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
