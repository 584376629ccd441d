"""One OpenVINO core for the process: freed cores leave a broken signal stack behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rsseg.prediction.engines.openvino_core import openvino_core

SIGNALLED = """
import ctypes, faulthandler, gc, os, signal, sys, threading
from pathlib import Path

import numpy as np

from rsseg.bundle import read_bundle
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, onnx_graph
from rsseg.prediction.engines.openvino_engine import OpenVINOEngine

class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

def mapped(address):
    lines = Path("/proc/self/maps").read_text().splitlines()
    ranges = (line.split()[0].split("-") for line in lines)
    return any(int(first, 16) <= address < int(last, 16) for first, last in ranges)

faulthandler.enable()
bundle, graph = read_bundle(EMBEDDED_MODEL), onnx_graph(EMBEDDED_MODEL)
engines = [OpenVINOEngine(graph, bundle, 64, np.dtype(np.uint8), "fp32") for _ in range(3)]
engines.pop(0)
engines.pop(0)
freeing = threading.Thread(target=engines.clear)
freeing.start()
freeing.join()
gc.collect()
stack = Stack()
ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
assert mapped(stack.start), "a signal would end the process"
caught = []
signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
os.kill(os.getpid(), signal.SIGUSR1)
assert caught
"""


def test_there_is_one():
    assert openvino_core() is openvino_core()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_signals_are_survived_after_engines_were_freed_in_any_order():
    child = subprocess.run(
        [sys.executable, "-c", SIGNALLED], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
