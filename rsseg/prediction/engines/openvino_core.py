"""The one OpenVINO core of a process."""

from __future__ import annotations

from functools import cache

import openvino


@cache
def openvino_core() -> openvino.Core:
    """The core, made at the first call and never freed.

    The CPU plugin of a core puts a signal stack of its own under the thread that makes it. When
    several cores are freed in the order they were made, or one in another thread, the stack that
    stays in place is no longer mapped, and the next signal that Python handles (Ctrl-C, the end
    of a child process) ends the process with a segmentation fault.
    """
    return openvino.Core()
