"""The ``rsseg`` command: its subcommands, and errors in one line."""

from __future__ import annotations

import traceback

import click

from rsseg import __version__
from rsseg.errors import OptionError, RssegError

from . import (
    assemble,
    evaluate,
    export,
    helpers,
    info,
    models,
    predict,
    prepare,
    qgis,
    recipes,
    report,
    split,
    stats,
    train,
    vectorise,
    view,
)


class _Misuse(click.ClickException):
    """A value on the command line that cannot be used, in one line."""

    exit_code = 2


class _Commands(click.Group):
    """A group that prints what a user can mend as one line and exits with 1, of usage with 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (RssegError, KeyboardInterrupt) as error:
            if ctx.meta.get(helpers.VERBOSE):
                traceback.print_exc()
            reason = str(error) if isinstance(error, RssegError) else "interrupted"
            kind = _Misuse if isinstance(error, OptionError) else click.ClickException
            raise kind("; ".join([reason, *getattr(error, "__notes__", [])])) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rsseg")
def main() -> None:
    """Land-cover maps from large georeferenced scenes."""


main.add_command(predict.command)
main.add_command(assemble.command)
main.add_command(vectorise.command)
main.add_command(vectorise.command, "vectorize")
main.add_command(qgis.command)
main.add_command(view.command)
main.add_command(evaluate.command)
main.add_command(report.command)
main.add_command(info.command)
main.add_command(export.command)
main.add_command(train.command)
main.add_command(prepare.command)
main.add_command(split.command)
main.add_command(stats.command)
main.add_command(models.group)
main.add_command(recipes.group)
