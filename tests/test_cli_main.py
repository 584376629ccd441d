"""The command itself: instant help, one-line errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rsseg import __version__
from rsseg.errors import OptionError, SceneError
from rsseg_cli.main import main

HEAVY = [
    "torch",
    "rasterio",
    "numpy",
    "openvino",
    "distributed",
    "dask",
    "lightning",
    "pydantic",
    "yaml",
    "rich",
]
CALLS = [["--help"], ["--version"], *([name, "--help"] for name in sorted(main.commands))]


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from rsseg_cli.main import main\n"
        f"main({arguments}, standalone_mode=False)\n"
        f"heavy = set({HEAVY}) & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert child.stderr == ""
    assert child.returncode == 0
    assert child.stdout


def test_the_commands_are_there() -> None:
    assert {
        "predict",
        "vectorise",
        "vectorize",
        "info",
        "train",
        "prepare",
        "models",
        "evaluate",
    } <= set(main.commands)
    assert main.commands["vectorize"] is main.commands["vectorise"]


def _commands(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Commands by what is typed; those of groups with the group's name before."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= _commands(command, f"{prefix}{name} ")
        else:
            found[prefix + name] = command
    return found


@pytest.mark.parametrize("name", sorted(_commands(main)))
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = _commands(main)[name]
    assert command.help
    assert command.get_short_help_str().endswith("."), "cut off in the list of commands"
    names = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--quiet", "--verbose"} <= names
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


def test_the_script_is_installed() -> None:
    script = Path(sys.executable).with_name("rsseg")
    child = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert __version__ in child.stdout


@pytest.mark.parametrize("arguments", [["fly"], ["--fly"], ["info"], ["info", "--fly", "a.tif"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr


def test_an_error_is_one_line_and_verbose_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise SceneError("it broke\nin two", remedy="mend it")

    monkeypatch.setattr("rsseg.describe.describe", fail)
    result = CliRunner().invoke(main, ["info", "a.tif"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: it broke in two; mend it\n"
    result = CliRunner().invoke(main, ["info", "a.tif", "--verbose"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("Error: it broke in two; mend it\n")


def test_a_value_that_cannot_be_used_is_one_line_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: str) -> None:
        raise OptionError("too large", expected="1", got=2)

    monkeypatch.setattr("rsseg.describe.describe", refuse)
    result = CliRunner().invoke(main, ["info", "a.tif"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: too large, expected 1, got 2\n"


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rsseg.describe.describe", interrupt)
    result = CliRunner().invoke(main, ["info", "a.tif"])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: interrupted\n")


def test_a_mistake_of_ours_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(path: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rsseg.describe.describe", stumble)
    result = CliRunner().invoke(main, ["info", "a.tif"])
    assert isinstance(result.exception, ZeroDivisionError)
