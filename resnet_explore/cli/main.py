"""The `resnet-explore` command. Rooms are imported inside the commands, so that --help answers at once."""

import argparse
import contextlib
import functools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from resnet_explore import __version__
from resnet_explore.cli import judge, lab, landscapes, lesions, probes, saliency, site
from resnet_explore.cli.arguments import count, counts, numbers, port, positive, words
from resnet_explore.errors import ExploreError

PROG = "resnet-explore"
_SWEEP_FIELDS = (
    *("dataset", "root", "family", "depths", "kinds", "seeds", "epochs", "width", "batch_size", "schedule"),
    *("lr", "momentum", "weight_decay", "label_smoothing", "augment", "precision", "skip_scale"),
    *("size", "eval_images", "keep_steps", "accelerator", "skip_unreadable"),
)
_THEIRS = f"`{PROG} info` also takes torchvision's other networks by name, such as vgg19."
# Exit statuses: some files were left out; argparse's own for a mistake; the shell's for Ctrl-C.
PARTLY, MISTAKE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; a mistake is one sentence on stderr, never a traceback."""
    parser = _parser()
    options, extra = parser.parse_known_args(arguments)
    if extra and options.command is not open_lab:
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    options.jupyter_arguments = [argument for argument in extra if argument != "--"]
    try:
        status = options.command(options) or 0
        sys.stdout.flush()
    except ExploreError as error:
        print(f"{PROG}: {_as_options(str(error))}", file=sys.stderr)
        return MISTAKE
    except BrokenPipeError:  # whoever read our output has seen enough, as in `resnet-explore list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(options.when_interrupted(options), file=sys.stderr)
        return INTERRUPTED
    return status


def _as_options(sentence: str) -> str:
    """Name in the words of the command what a function's mistake calls by its arguments."""
    said = sentence.replace("pass skip_unreadable=True", "add --skip-unreadable")
    said = re.sub(r'load_dataset\("folder", root="(.*?)"\)', rf"`{PROG} sweep folder --root \1`", said)
    return said.replace("choose another folder as out", "choose another folder with --out")


def open_lab(options: argparse.Namespace) -> None:
    """Copy the notebooks where needed, say what happened in a line, and serve them in JupyterLab."""
    folder = options.dir or Path.cwd()
    copied = lab.prepare(folder)
    if copied is None:
        print(f"The notebooks lie in {folder.resolve() / 'notebooks'}, in the source tree itself.")
    else:
        print(f"The notebooks lie in {copied.folder.resolve()} ({len(copied.written)} copied or updated).")
        if copied.kept:
            print(f"Kept as you changed them: {', '.join(copied.kept)} (delete one to get ours again).")
    if options.present and not options.copy_only:
        print("Shown for a lecture hall: F9 shows the code and hides it again.")
    sys.stdout.flush()
    if not options.copy_only:
        lab.run_jupyter(folder, options.port, options.jupyter_arguments, options.present)


def show_info(options: argparse.Namespace) -> None:
    """Print the table of parameters, multiply-adds and layers of each named model."""
    import resnet_explore as rx
    from resnet_explore.models.peers import open_network

    for name in options.names:
        model, size = open_network(name)
        if options.size:
            size = (*size[:-2], options.size, options.size)
        found = rx.describe(model, size)
        print(
            f"{name}: {found.depth} layers, {found.parameters:,} parameters, "
            f"{found.macs:,} multiply-adds for an image of {'×'.join(map(str, size[1:]))}\n\n{found}\n"
        )
    print(
        "activations: what a part keeps for the backward pass in training, mostly its own input; each tensor "
        "counts once, the image itself never."
    )


def list_names(options: argparse.Namespace) -> None:
    """Print the names of models that match a pattern, one a line."""
    import resnet_explore as rx

    names = rx.list_models(options.pattern)
    if not names:
        raise ExploreError(
            f"No model's name matches {options.pattern!r}; `{PROG} list` shows them all. {_THEIRS}"
        )
    print("\n".join(names))
    if sys.stdout.isatty():  # for a person, not in a pipe
        print(_THEIRS, file=sys.stderr)


def run_sweep(options: argparse.Namespace) -> None:
    """Train what is missing of a sweep, with a live table, or where there is none a line for each epoch."""
    import resnet_explore as rx
    from resnet_explore.cli.terminal import LiveTable
    from resnet_explore.training.plan import RECIPE
    from resnet_explore.training.sweep import settled

    given = vars(options)
    fields = {name: given[name] for name in _SWEEP_FIELDS if given[name] is not None}
    # A recipe's single value is that value, so that a sweep is the same however it was written.
    fields |= {n: v[0] for n, v in fields.items() if n in RECIPE and len(v) == 1}
    sweep, out = rx.Sweep(**fields), _out(options)
    say: Callable[[str], None]
    show: Callable[[Any], None]
    if sys.stdout.isatty():
        live = LiveTable(settled(sweep, out).runs(), sys.stdout)
        live.draw("Starting")
        say, show = live.say, live.take
    else:
        say = functools.partial(print, flush=True)
        show = functools.partial(_print_epochs, _epochs_in(out))
    with _executor(options) as executor:
        table = rx.run_sweep(
            sweep, out=out, executor=executor, progress=show, began=lambda data: say(f"Training on {data}.")
        )
    if os.environ.get("RANK", "0") == "0":  # under torchrun one speaks for all
        print(_outcome(table, len(sweep.runs()), out))


def _outcome(table: Any, total: int, out: Path) -> str:
    """Say that a sweep is done, or how much of it is where it was stopped and how to go on."""
    done = table.loc[table["epoch"] == table["epochs"], "run"].nunique() if len(table) else 0
    if done < total:
        return f"Stopped: {done} of {total} runs are finished in {out}; the same command goes on from there."
    return f"All {total} runs are in {out}; `resnet_explore.collect({str(out)!r})` gives them as one table."


def _epochs_in(out: Path) -> dict[str, int]:
    """Return how many epochs each run in a folder has finished."""
    from resnet_explore.training.runs import RunFolder

    return {path.parent.name: len(RunFolder(path.parent).rows()) for path in out.glob("*/config.json")}


def _print_epochs(earlier: Mapping[str, int], progress: Any) -> None:
    """Print a line for each epoch that has ended since the last call; of those done earlier, for the last."""
    first = progress.epochs_done - len(progress.rows) + 1
    for done, row in enumerate(progress.rows, start=first):
        before = earlier.get(row["run"], 0)
        if row["epoch"] < before:
            continue
        name = f"{row['kind']}-{row['depth']}"
        print(
            f"{done:>4}/{progress.epochs_total}  {name:<13} seed {row['seed']}  "
            f"epoch {row['epoch']:>3}/{row['epochs']}  train error {row['train_error']:6.2f} %  "
            f"test error {row['test_error']:6.2f} %{'  done earlier' if row['epoch'] == before else ''}",
            flush=True,
        )


def _executor(options: argparse.Namespace) -> contextlib.AbstractContextManager[Executor | None]:
    from resnet_explore.training import executors

    if options.dask is not None:
        return executors.dask(options.dask)
    if options.jobs is None:
        return contextlib.nullcontext()
    return executors.processes(options.jobs, options.accelerator or "auto")


def show_status(options: argparse.Namespace) -> None:
    """Print how far each run of a sweep is."""
    from resnet_explore.cli.terminal import summary, table
    from resnet_explore.training.status import status

    rows = list(status(options.runs))
    print("\n".join([*table(rows), "", f"{options.runs}: {summary(rows)}"]))


def write_table(options: argparse.Namespace) -> None:
    """Write the epochs, or the layers, of all runs below a folder as one table."""
    import resnet_explore as rx

    suffix = options.table.suffix
    if suffix not in (".csv", ".parquet"):
        raise ExploreError(
            f"A table is written as .csv or .parquet, not as {suffix or 'a file without suffix'}."
        )
    found = (rx.collect_layers if options.layers else rx.collect)(options.runs)
    try:
        options.table.parent.mkdir(parents=True, exist_ok=True)
        write = found.to_csv if suffix == ".csv" else found.to_parquet
        write(options.table, index=False)
    except OSError as error:
        raise ExploreError(f"{options.table} can't be written ({error.strerror}).") from None
    print(f"{len(found):,} rows of {found['run'].nunique()} runs are in {options.table}.")


def make_record(options: argparse.Namespace) -> None:
    """Make a small record of finished sweeps: tables, half-precision weights of one seed, their origin."""
    from resnet_explore.training.commands import command_of
    from resnet_explore.training.record import Provenance, record
    from resnet_explore.training.summary import summarize, to_markdown

    sources = [Provenance(runs, command_of(runs), options.root) for runs in options.runs]
    try:
        table = record(sources, options.dest, options.data, options.seed, options.finished_only, options.add)
    except OSError as error:
        raise ExploreError(f"The record can't be written to {options.dest} ({error.strerror}).") from None
    print(to_markdown(summarize(table)))
    print(f"{table['run'].nunique()} runs are recorded in {options.dest}.")


def write_heatmaps(options: argparse.Namespace) -> int:
    """Write heatmaps of images, a line for each; a file that can't be read is told of on stderr.

    Returns the exit status, PARTLY if there was one.
    """
    failed = False
    for line in saliency.explain_files(options):
        print(line.text, file=sys.stderr if line.failed else sys.stdout, flush=True)
        failed = failed or line.failed
    return PARTLY if failed else 0


def _out(options: argparse.Namespace) -> Path:
    return options.out or Path("runs") / Path(options.dataset).name


def _sweep_interrupted(options: argparse.Namespace) -> str:
    return f"Stopped. Finished epochs are kept in {_out(options)}; the same command goes on from there."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        allow_abbrev=False,
        description="See what a skip connection does: plain and residual networks side by side, in Jupyter.",
    )
    parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int | None], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(command=run, when_interrupted=lambda _: "Stopped.")
        return sub

    sub = command("lab", open_lab, "Open the notebooks in JupyterLab.")
    sub.usage = (
        f"{PROG} lab [-h] [--dir DIR] [--port PORT] [--copy-only] [--present] [JUPYTERLAB'S OWN OPTIONS ...]"
    )
    sub.add_argument("--dir", type=Path, help="where to copy the notebooks to (default: this folder)")
    sub.add_argument("--port", type=port, default=8888, help="first port to try (default: %(default)s)")
    sub.add_argument("--copy-only", action="store_true", help="copy the notebooks and stop")
    sub.add_argument(
        "--present",
        action="store_true",
        help="for a lecture hall: large, the code hidden until F9, no side bars",
    )

    sub = command("info", show_info, "Print parameters, multiply-adds and layers of models.")
    sub.add_argument(
        "names", nargs="+", metavar="NAME", help="such as resnet50, cifar_plain56, or torchvision's vgg19"
    )
    sub.add_argument(
        "--size",
        type=positive,
        help="image height and width (default: 224; for CIFAR models 32, for clips 112 or 224)",
    )

    sub = command("list", list_names, f"List the models' names. {_THEIRS}")
    sub.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help='such as "cifar_*"')

    sub = command(
        "sweep", run_sweep, "Train twins of several depths; run again, it does only what is missing."
    )
    sub.set_defaults(when_interrupted=_sweep_interrupted)
    sub.add_argument(
        "dataset",
        nargs="?",
        default="digits",
        help="digits, cifar10, imagenette, or your images: folder --root DIR (default: %(default)s)",
    )
    sub.add_argument("--depths", type=counts, metavar="8,20,...", help="depths: 6n+2; of imagenet 18 to 152")
    sub.add_argument("--kinds", type=words, metavar="plain,residual", help="which of the twins")
    sub.add_argument("--seeds", type=counts, metavar="0,1,...", help="one run for each seed")
    sub.add_argument("--root", help="where the data lie (default: downloaded to the cache)")
    sub.add_argument(
        "--skip-unreadable", action="store_true", default=None, help="leave out images that can't be read"
    )
    sub.add_argument("--size", type=positive, help="height and width that images are brought to")
    sub.add_argument("--family", help="cifar or imagenet (default: cifar)")
    sub.add_argument("--eval-images", type=count, help="images for an epoch's errors (default: 2000)")
    sub.add_argument("--keep-steps", type=counts, metavar="0,10", help="also keep the weights before these")
    sub.add_argument(
        "--accelerator", help="cpu, cuda, mps (Apple chips), or auto: a GPU if there is one (default: auto)"
    )
    recipe = sub.add_argument_group("the recipe", "Each may be a list, as in --lr 0.04,0.1: all are tried.")
    recipe.add_argument("--epochs", type=counts, help="passes over the training images (default: 8)")
    recipe.add_argument("--width", type=counts, help="channels of the first stage (default: 8)")
    recipe.add_argument("--batch-size", type=counts, help="images in a step (default: 64)")
    recipe.add_argument(
        "--schedule", type=words, help="one-cycle, or steps as in He et al. 2015 (default: one-cycle)"
    )
    recipe.add_argument("--lr", type=numbers, help="the learning rate's peak (default: 0.04)")
    recipe.add_argument("--momentum", type=numbers, help="of SGD (default: 0.9)")
    recipe.add_argument("--weight-decay", type=numbers, help="of SGD (default: 1e-4)")
    recipe.add_argument("--label-smoothing", type=numbers, help="of the loss that is trained (default: 0)")
    recipe.add_argument("--augment", type=words, help="none, crop or zoom; both also mirror (default: none)")
    recipe.add_argument(
        "--precision", type=words, help="fp32, bf16, or auto: bf16 where it is fast (default: auto)"
    )
    recipe.add_argument(
        "--skip-scale",
        type=words,
        metavar="A,B,...",
        help="factor on every skip in training, such as 0.5, 1-then-0-after-4 (epochs), or 1-to-0-by-8, "
        "slowly (default: 1)",
    )
    sub.add_argument("--out", type=Path, help="folder of the runs (default: runs/DATASET)")
    where = sub.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs", type=positive, help="processes at a time (default: one for each core or GPU)"
    )
    where.add_argument(
        "--dask", metavar="ADDRESS", help="a scheduler, tcp://host:port, whose workers see the same folders"
    )

    sub = command(
        "saliency", write_heatmaps, "Write heatmaps of images: where a network looked, block by block."
    )
    saliency.add_arguments(sub)

    sub = command("judge", judge.judge_data, "Judge on a data set which heatmaps are better than chance.")
    sub.set_defaults(when_interrupted=judge.interrupted)
    judge.add_arguments(sub)

    sub = command(
        "lesions",
        lesions.study_lesions,
        "Delete, reorder and scale blocks of trained twins, and count errors.",
    )
    sub.set_defaults(when_interrupted=lesions.interrupted)
    lesions.add_arguments(sub)

    sub = command(
        "probes",
        probes.train_probes,
        "Fit linear probes behind each block of trained twins, and count what they read.",
    )
    sub.set_defaults(when_interrupted=probes.interrupted)
    probes.add_arguments(sub)

    sub = command(
        "landscapes",
        landscapes.measure_landscapes,
        "Measure planes through the weights of trained twins, and how sharply the loss bends there.",
    )
    sub.set_defaults(when_interrupted=landscapes.interrupted)
    landscapes.add_arguments(sub)

    sub = command("site", site.write_site, "Write a static site: everything that works without Python.")
    sub.set_defaults(when_interrupted=site.interrupted)
    site.add_arguments(sub)

    sub = command("status", show_status, "Print how far each run of a sweep is, also while it goes on.")
    sub.add_argument("runs", type=Path, metavar="RUNS", help="the sweep's folder")

    sub = command("collect", write_table, "Write all epochs of all runs as one table.")
    sub.add_argument("runs", type=Path, metavar="RUNS", help="the sweep's folder, or a record's")
    sub.add_argument("table", type=Path, metavar="TABLE", help="the file to write: .csv or .parquet")
    sub.add_argument("--layers", action="store_true", help="gradients and responses of layers instead")

    sub = command("record", make_record, "Make a small record, as it ships in data/, of finished sweeps.")
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUNS", help="the sweeps' folders")
    sub.add_argument("dest", type=Path, metavar="DEST", help="the folder to write")
    sub.add_argument("--root", help="where the data lay, if not downloaded: named in the record")
    sub.add_argument("--data", default="", help="what they were trained on, in words")
    sub.add_argument("--seed", type=count, default=0, help="whose weights to keep (default: %(default)s)")
    sub.add_argument("--finished-only", action="store_true", help="leave out runs that are not finished yet")
    sub.add_argument("--add", action="store_true", help="keep what DEST records already, and add to it")
    return parser
