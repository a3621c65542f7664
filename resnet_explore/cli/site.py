"""`resnet-explore site`: everything as a static site, for any web host."""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder to write, or a site to replace")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="build only these explorers, such as degradation; the pages of the others say so",
    )


def interrupted(options: argparse.Namespace) -> str:
    """Return what to say after Ctrl-C."""
    return f"Stopped. Nothing was written to {options.dir}."


def write_site(options: argparse.Namespace) -> None:
    """Build the site, a line for each page; in a terminal another one says what is being computed."""
    from resnet_explore.cli.terminal import StatusLine
    from resnet_explore.pages.site.build import build_site

    with StatusLine(sys.stdout) as line:
        build_site(options.dir, options.only, line.say, line.hint)
        line.say(f"The site is in {options.dir}; `python -m http.server -d {options.dir}` serves it here.")
