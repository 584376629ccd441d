import inspect
import pickle
import re

import pytest

from rsseg import errors


def _all_errors():
    found = [errors.RssegError]
    for known in found:
        found += known.__subclasses__()
    return [known for known in found if known.__module__ == "rsseg.errors"]


def test_docstring_draws_the_tree():
    parents, drawn = [], {}
    for line in inspect.getdoc(errors).splitlines():
        match = re.match(r"((?:\|   |    )*)(?:[|`]-- )?([A-Z]\w+)(?:\s{2,}|$)", line)
        if match and hasattr(errors, match[2]):
            depth = line.index(match[2]) // 4
            parents[depth:] = [match[2]]
            drawn[match[2]] = parents[depth - 1] if depth else None
    real = {
        known.__name__: None if known is errors.RssegError else known.__bases__[0].__name__
        for known in _all_errors()
    }
    assert drawn == real


def test_builtin_kin_are_caught_as_builtins():
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.MissingExtra, ImportError)


def test_a_sentence_says_what_expected_got_and_remedy():
    error = errors.SceneError("a.tif\n  is odd", expected=3, got=0, remedy="mend it")
    assert str(error) == "a.tif is odd, expected 3, got 0; mend it"
    assert str(errors.SceneError("a.tif is odd")) == "a.tif is odd"
    assert str(errors.MissingExtra("torch", "torch")).endswith("pip install 'rsseg[torch]'")


@pytest.mark.parametrize("kind", [k for k in _all_errors() if k is not errors.MissingExtra])
def test_errors_come_back_from_worker_processes(kind):
    error = kind("it broke", expected=1, got=2, remedy="mend it")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (kind, str(error))
