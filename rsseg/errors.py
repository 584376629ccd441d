"""Every error a user can cause, as one sentence: what is wrong, expected, got, and the remedy.

RssegError
|-- SceneError          a scene cannot be opened or read
|   `-- BandError       the bands asked for are not the bands there
|-- GridMismatch        two rasters do not lie on the same grid
|-- LegendError         classes, codes or colours contradict each other
|-- BundleError         a model file is not one of ours, or its header is damaged
|-- CatalogueError      a table of labelled scenes is wrong
|-- RecipeError         a training recipe is wrong
|-- TrainingError       training cannot go on
|-- ClusterError        the workers of a cluster cannot do their work
|-- OptionError         a value given by the user cannot be used
|-- OutputError         an output cannot be written, or is already there
|   `-- PlanChanged     the unfinished run in the parts folder was another run
`-- MissingExtra        an optional dependency is not installed
"""


class RssegError(Exception):
    """Base of all errors meant for the person at the keyboard.

    Args:
        wrong: What is wrong, with the name of the file or option.
        expected: What would have been right.
        got: What was found instead.
        remedy: What to do about it.
    """

    def __init__(
        self,
        wrong: str,
        *,
        expected: object = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        clauses = [wrong]
        if expected is not None:
            clauses.append(f"expected {expected}")
        if got is not None:
            clauses.append(f"got {got}")
        sentence = ", ".join(clauses)
        if remedy:
            sentence += f"; {remedy}"
        super().__init__(" ".join(sentence.split()))


class SceneError(RssegError):
    """A scene cannot be opened or read."""


class BandError(SceneError):
    """The bands asked for are not the bands there."""


class GridMismatch(RssegError):
    """Two rasters do not lie on the same grid."""


class LegendError(RssegError):
    """Classes, codes or colours contradict each other."""


class BundleError(RssegError):
    """A model file is not one of ours, or its header is damaged."""


class CatalogueError(RssegError):
    """A table of labelled scenes is wrong."""


class RecipeError(RssegError):
    """A training recipe is wrong."""


class TrainingError(RssegError):
    """Training cannot go on."""


class ClusterError(RssegError):
    """The workers of a cluster cannot do their work."""


class OptionError(RssegError, ValueError):
    """A value given by the user cannot be used."""


class OutputError(RssegError):
    """An output cannot be written, or is already there."""


class PlanChanged(OutputError):
    """The unfinished run in the parts folder was another run."""


class MissingExtra(RssegError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed", remedy=f"pip install 'rsseg[{extra}]'")
