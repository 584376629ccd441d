"""Networks on a CPU through OpenVINO, from an ONNX graph and without torch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13
from openvino.preprocess import PrePostProcessor

from rsseg.bundle import Bundle
from rsseg.errors import BundleError
from rsseg.prediction.openvino_core import openvino_core

_TYPES = {
    np.dtype(name): getattr(openvino.Type, short)
    for name, short in (
        ("uint8", "u8"),
        ("int8", "i8"),
        ("uint16", "u16"),
        ("int16", "i16"),
        ("uint32", "u32"),
        ("int32", "i32"),
        ("float32", "f32"),
    )
}


class OpenVINOEngine:
    """One network compiled for single windows: batch 1 keeps its activations in the caches.

    Args:
        graph: ONNX file, or OpenVINO's own ``.xml``, from normalised images to logits.
        bundle: Gives bands, classes and normalisation.
        window: Side of the windows, pixels.
        dtype: Type of the raw windows.
        precision: ``fp32``, ``bf16``, or ``int8`` for a quantised graph, what is left of which
            runs in bf16 where the CPU has it.

    Raises:
        BundleError: If the graph cannot be read or does not fit the bundle.
    """

    name = "openvino"
    device = "cpu"
    batch = 1

    def __init__(
        self,
        graph: Path,
        bundle: Bundle,
        window: int,
        dtype: np.dtype[Any],
        precision: str,
    ) -> None:
        self.precision, self.seconds = precision, 0.0
        self._dtype = dtype if dtype in _TYPES else np.dtype(np.float32)
        core = openvino_core()
        try:
            model = core.read_model(graph)
            model.reshape([1, len(bundle.bands), window, window])
        except RuntimeError as error:
            raise BundleError(f"the graph {graph} cannot be used: {error}") from error
        classes = model.output(0).shape[1]
        if classes != len(bundle.legend):
            raise BundleError(
                f"the graph {graph} does not fit its legend",
                expected=f"{len(bundle.legend)} classes",
                got=classes,
            )
        self._compiled = core.compile_model(
            _from_raw_to_probabilities(model, bundle, self._dtype),
            "CPU",
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _hint(precision)},
        )
        self._request = self._compiled.create_infer_request()
        shape = tuple(self._compiled.output(0).shape)
        # two, so that the scores of one window can be blended while the next is computed
        self._results = [np.empty(shape, np.float32) for _ in range(2)]
        self._tensors = [openvino.Tensor(each, shared_memory=True) for each in self._results]
        self._turn = 0

    def __call__(self, windows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities ``(N, K, h, w)`` of raw windows ``(N, B, h, w)``."""
        windows = windows.astype(self._dtype, copy=False)
        if len(windows) == 1:
            return self._forward(windows)
        return np.concatenate(
            [self._forward(windows[i : i + 1]).copy() for i in range(len(windows))]
        )

    def to_device(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array itself."""
        return array

    def to_host(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array itself."""
        return array

    def _forward(self, window: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        began, turn = time.perf_counter(), self._turn
        self._turn = 1 - turn
        self._request.set_output_tensor(0, self._tensors[turn])
        self._request.infer([np.ascontiguousarray(window)], share_inputs=True)
        self.seconds += time.perf_counter() - began
        return self._results[turn]


def has_bf16() -> bool:
    """Whether this CPU computes in bfloat16."""
    capabilities = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


def _hint(precision: str) -> openvino.Type:
    low = precision == "bf16" or (precision == "int8" and has_bf16())
    return openvino.Type.bf16 if low else openvino.Type.f32


def _from_raw_to_probabilities(
    model: openvino.Model, bundle: Bundle, dtype: np.dtype[Any]
) -> openvino.Model:
    logits = model.get_results()[0].input_value(0)
    softmax = opset13.softmax(logits, axis=1)
    model = openvino.Model([softmax], model.get_parameters())
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(_TYPES[dtype]).set_layout(openvino.Layout("NCHW"))
    scaling = bundle.normalisation
    scale = [s * d for s, d in zip(scaling.scale, scaling.std, strict=True)]
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(
        scaling.raw_mean.tolist()
    ).scale(scale)
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    steps.output().tensor().set_element_type(openvino.Type.f32)
    return steps.build()
