"""Networks on a CPU through OpenVINO, from an ONNX graph and without torch."""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13
from openvino.preprocess import PrePostProcessor

from rsseg.bundle import Bundle
from rsseg.errors import BundleError
from rsseg.prediction.engines.compiled import compiled_name, keep_compiled, read_compiled
from rsseg.prediction.engines.openvino_core import openvino_core

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
        graph: ONNX file, or OpenVINO's own ``.xml``, to what the bundle says.
        bundle: Gives bands, classes, output, and the scaling of raw values into what it takes.
        window: Side of the windows, pixels.
        dtype: Type of the raw windows.
        precision: ``fp32``, ``bf16``, or ``int8`` for a quantised graph, what is left of which
            runs in bf16 where the CPU has it.
        shift: Added to the logits ``(K,)``, see `rsseg.prediction.engines.rounding`.
        identity: Hash of the weights. Where it is known, what is compiled is kept in the cache.
        streams: Threads that may call it at once, each with a request and its share of the cores.

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
        shift: npt.NDArray[np.float32] | None = None,
        identity: str | None = None,
        streams: int = 1,
    ) -> None:
        self.precision, self.streams = precision, streams
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._dtype = dtype if dtype in _TYPES else np.dtype(np.float32)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": _hint(precision),
        }
        name = None
        if identity is not None and graph.is_file():
            moved = None if shift is None else shift.tolist()
            about = [identity, bundle.to_json(), window, self._dtype.name, precision, moved]
            name = compiled_name(graph, [*about, streams, *_machine()])
        compiled = None if name is None else _kept(name, settings)
        if compiled is None:
            model = _read(graph, bundle, window)
            model = _from_raw_to_probabilities(model, bundle, self._dtype, shift)
            compiled = openvino_core().compile_model(model, "CPU", settings)
            if name is not None:
                with suppress(RuntimeError):  # of a graph that cannot be exported
                    compiled.export_model(stream := io.BytesIO())
                    keep_compiled(name, stream.getbuffer())
        self._compiled = compiled
        self._shape = tuple(compiled.output(0).shape)
        self._of_thread = threading.local()

    def __call__(self, windows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities ``(N, K, h, w)`` of raw windows ``(N, B, h, w)``."""
        windows = np.ascontiguousarray(windows, self._dtype)
        slot: _Slot | None = getattr(self._of_thread, "slot", None)
        if slot is None:
            request = self._compiled.create_infer_request()
            slot = self._of_thread.slot = _Slot(request, self._shape, self.streams + 1)
        began = time.perf_counter()
        if len(windows) == 1:
            scores = slot.forward(windows)
        else:
            scores = np.empty((len(windows), *self._shape[1:]), np.float32)
            for own, window in zip(scores, windows, strict=True):
                own[...] = slot.forward(window[None])[0]
        with self._lock:
            self.seconds += (time.perf_counter() - began) / self.streams
        return scores

    def to_device(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array itself."""
        return array

    def to_host(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array itself."""
        return array


def has_bf16() -> bool:
    """Whether this CPU computes in bfloat16."""
    capabilities = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class _Slot:
    """What one thread computes with: a request, and results that it uses in turn.

    Args:
        request: Of the compiled graph.
        shape: Of a result.
        count: Results that are good at the same time.
    """

    def __init__(self, request: openvino.InferRequest, shape: tuple[int, ...], count: int) -> None:
        self._request = request
        self._results = deque(np.empty(shape, np.float32) for _ in range(count))

    def forward(self, window: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities of a window; good until so many others are computed."""
        result = self._results[0]
        self._results.rotate(-1)
        self._request.set_output_tensor(0, openvino.Tensor(result, shared_memory=True))
        # shared, else Python gets a copy of the scores that no one looks at
        self._request.infer([window], share_inputs=True, share_outputs=True)
        return result


def _hint(precision: str) -> openvino.Type:
    low = precision == "bf16" or (precision == "int8" and has_bf16())
    return openvino.Type.bf16 if low else openvino.Type.f32


def _machine() -> list[str]:
    """What decides how a graph is compiled, of this machine."""
    core = openvino_core()
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [openvino.get_version(), core.get_property("CPU", "FULL_DEVICE_NAME"), *abilities]


def _kept(name: str, settings: dict[str, Any]) -> openvino.CompiledModel | None:
    """A graph that was compiled before; None if there is none, or OpenVINO does not take it."""
    kept = read_compiled(name)
    if kept is None:
        return None
    try:
        return openvino_core().import_model(io.BytesIO(kept), "CPU", settings)
    except RuntimeError:
        return None


def _read(graph: Path, bundle: Bundle, window: int) -> openvino.Model:
    """A graph for single windows of this side, checked against the bundle."""
    try:
        model = openvino_core().read_model(graph)
        sides = [side for side in model.input(0).partial_shape[2:] if side.is_static]
        if any(side.get_length() != window for side in sides):
            raise BundleError(
                f"the graph {graph} takes windows of {sides[0].get_length()} pixels only",
                got=window,
                remedy="leave out --tile-size",
            )
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
    return model


def _from_raw_to_probabilities(
    model: openvino.Model,
    bundle: Bundle,
    dtype: np.dtype[Any],
    shift: npt.NDArray[np.float32] | None,
) -> openvino.Model:
    scores = model.get_results()[0].input_value(0)
    if bundle.output == "logits":
        scores = opset13.softmax(scores, axis=1).output(0)
    if shift is not None:
        # of logits it would be added to the bias of the last layer, and rounded as that is
        moved = opset13.multiply(scores, opset13.constant(np.exp(shift)[None, :, None, None]))
        total = opset13.reduce_sum(moved, opset13.constant([1]), keep_dims=True)
        scores = opset13.divide(moved, total).output(0)
    model = openvino.Model([scores], model.get_parameters())
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
