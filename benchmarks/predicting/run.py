"""One run of one program over one scene, in a process of its own; prints a JSON object.

``python run.py PROGRAM NETWORK FOLDER SCENE OUT BATCH OVERLAP``: FOLDER has the weights and the
ONNX graph that ``benchmarks/predict.py`` made. What is timed is the call with the network in
memory: reading, forward passes, blending and writing, but no imports. Ours loads its compiled graph
within that time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np
import rasterio

WINDOW = 512
COMPARED = 2560
"""Side of what the reference shows at most, pixels: it has nine times the windows."""
TERRATORCH_CROP = 8
"""Pixels that TerraTorch drops at each border of a window."""


@dataclass(frozen=True)
class Job:
    """What a program is to do.

    Args:
        network: One of `networks.NAMES`.
        folder: Where its weights are.
        scene: What is mapped.
        out: The class raster to write.
        batch: Windows of a forward pass.
        overlap: Pixels that neighbouring windows share; habitat-mapper's is always half.
    """

    network: str
    folder: Path
    scene: Path
    out: Path
    batch: int
    overlap: int

    @property
    def stride(self) -> int:
        """From one window to the next, pixels."""
        return WINDOW - self.overlap


def main() -> None:
    """Time one program."""
    program, network, folder, scene, out, batch, overlap = sys.argv[1:]
    job = Job(network, Path(folder), Path(scene), Path(out), int(batch), int(overlap))
    call = PROGRAMS[program](job)
    began = time.perf_counter()
    more = call() or {}
    seconds = more.pop("seconds", time.perf_counter() - began)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"seconds": seconds, "peak_mb": int(peak.split()[1]) / 1024, **more}))


Call = Callable[[], dict[str, float] | None]


def ours(job: Job) -> Call:
    """`rsseg.prediction.predict`, in bf16 where the CPU has it."""
    return _ours(job, overlap=job.overlap, precision=_low_precision())


def reference(job: Job) -> Call:
    """What all are compared with, of the upper left: windows at a third of their side, in fp32."""
    with rasterio.open(job.scene) as dataset:
        side = min(COMPARED, dataset.width - WINDOW)
        left, top = dataset.transform * (0, 0)
        right, bottom = dataset.transform * (side, side)
    return _ours(
        job,
        blend="uniform",
        precision="fp32",
        bbox=(left, bottom, right, top),
        confidence=job.out.with_name("margin.tif"),
        confidence_kind="margin",
    )


def bare(job: Job) -> Call:
    """Our engine's forward passes over the same windows, which lie in memory."""
    from rsseg.geo.tiling import Tiling
    from rsseg.prediction import PredictOptions
    from rsseg.prediction.predict import load_engine, plan

    options = PredictOptions(engine="openvino", precision=_low_precision())
    given = _given(job)
    engine = load_engine(plan(job.scene, options=options, **given), given.get("network"))
    with rasterio.open(job.scene) as dataset:
        pixels = dataset.read()
    tiling = Tiling(*pixels.shape[1:], WINDOW, job.stride)
    windows = [
        pixels[:, r : r + WINDOW, c : c + WINDOW] for r in tiling.rows for c in tiling.columns
    ]
    engine(windows[0][None])

    def call() -> dict[str, float]:
        before = engine.seconds
        with ThreadPoolExecutor(engine.streams) as pool:
            for _ in pool.map(lambda window: engine(window[None]).shape, windows):
                pass
        return {"seconds": engine.seconds - before}

    return call


def geoai(job: Job) -> Call:
    """`geoai.inference.predict_geotiff`."""
    from geoai.inference import predict_geotiff

    module = _from_bytes(job)
    return lambda: (
        predict_geotiff(
            module,
            str(job.scene),
            str(job.out),
            tile_size=WINDOW,
            overlap=job.overlap,
            batch_size=job.batch,
            num_classes=_classes(job),
            output_dtype="uint8",
            output_nodata=255,
            blend_mode="spline",
            preprocess_fn=lambda tile: tile / 255,
            postprocess_fn=lambda scores: scores.argmax(axis=0).astype(np.uint8),
            device="cpu",
            verbose=False,
        )
        and None
    )


def terratorch(job: Job) -> Call:
    """`terratorch.tasks.tiled_inference`, which takes the scene as one tensor."""
    import torch
    from terratorch.tasks.tiled_inference import tiled_inference

    module = _from_bytes(job)

    def call() -> None:
        with rasterio.open(job.scene) as dataset:
            image = torch.from_numpy(dataset.read().astype(np.float32) / 255)[None]
            profile = dataset.profile
        with torch.no_grad():
            scores = tiled_inference(
                module,
                image,
                crop=WINDOW,
                stride=job.stride,
                delta=TERRATORCH_CROP,
                batch_size=job.batch,
            )
        _write(job.out, scores[0].argmax(dim=0).numpy(), profile)

    return call


def rastervision(job: Job) -> Call:
    """The calls of Raster Vision's `predict_scene_ss`, with smooth labels."""
    import torch
    from rastervision.core.data import ClassConfig, SemanticSegmentationLabels
    from rastervision.pytorch_learner import SemanticSegmentationSlidingWindowGeoDataset
    from torch.utils.data import DataLoader

    module, classes = _from_bytes(job), _classes(job)
    names = [f"class {number}" for number in range(classes)]

    def call() -> None:
        config = ClassConfig(names=names, null_class=names[0])
        dataset = SemanticSegmentationSlidingWindowGeoDataset.from_uris(
            class_config=config, image_uri=str(job.scene), size=WINDOW, stride=job.stride
        )

        def predictions():
            with torch.inference_mode():
                for images, _ in DataLoader(dataset, batch_size=job.batch):
                    yield from module(images).numpy()

        labels = SemanticSegmentationLabels.from_predictions(
            dataset.windows,
            predictions(),
            extent=dataset.scene.extent,
            num_classes=classes,
            smooth=True,
        )
        transformer = dataset.scene.raster_source.crs_transformer
        folder = str(job.out.with_suffix(""))
        labels.save(folder, crs_transformer=transformer, class_config=config)

    return call


def habitat(job: Job) -> Call:
    """`habitat_mapper`'s processor on ONNX Runtime; its overlap is always half a window."""
    from habitat_mapper.config import ModelConfig
    from habitat_mapper.model import ONNXModel
    from habitat_mapper.processing import ImageProcessor

    graph = job.folder / f"{job.network}.onnx"
    config = ModelConfig(
        name=f"rsseg-{job.network}",
        revision="20200101",
        dependencies=[str(graph)],
        model_filename=graph.name,
        activation=None,
        normalization=None,
        mean=None,
        std=None,
        max_pixel_value=255.0,
    )
    processor = ImageProcessor.from_model(
        ONNXModel(config), crop_size=WINDOW, batch_size=job.batch, blur_kernel_size=1, quiet=True
    )
    return lambda: processor.run(job.scene, job.out)


PROGRAMS = {
    "ours": ours,
    "bare": bare,
    "reference": reference,
    "geoai": geoai,
    "terratorch": terratorch,
    "rastervision": rastervision,
    "habitat": habitat,
}


def _ours(job: Job, **choices: Any) -> Call:
    from rsseg.prediction import PredictOptions, predict
    from rsseg.prediction.predict import load_engine, plan

    options = PredictOptions(engine="openvino", overwrite=True, **choices)
    given = _given(job)
    # libraries, and what is made once for a network
    load_engine(plan(job.scene, options=options, **given), given.get("network"))

    def call() -> dict[str, float]:
        result = predict(job.scene, job.out, options=options, **given)
        return {
            "forward_share": result.forward_seconds / result.pipeline_seconds,
            "finish_seconds": result.finish_seconds,
            "startup_seconds": result.startup_seconds,
        }

    return call


def _given(job: Job) -> dict[str, Any]:
    """Bundle and network for ours; none for the embedded model."""
    if job.network == "mst":
        return {}
    from rsseg.bundle import Bundle

    bundle = Bundle.from_json((job.folder / "bundle.json").read_text())
    network = networks.load(job.network, job.folder / f"{job.network}.pt")
    return {"bundle": bundle, "network": network}


def _from_bytes(job: Job) -> networks.FromBytes:
    scaling = json.loads((job.folder / "scaling.json").read_text())[job.network]
    module = networks.load(job.network, job.folder / f"{job.network}.pt")
    return networks.FromBytes(module, scaling["mean"], scaling["std"]).eval()


def _classes(job: Job) -> int:
    return json.loads((job.folder / "scaling.json").read_text())[job.network]["classes"]


def _low_precision() -> str:
    from rsseg.prediction.engines.openvino_engine import has_bf16

    return "bf16" if has_bf16() else "fp32"


def _write(out: Path, codes: np.ndarray, profile: dict) -> None:
    wanted = {"count": 1, "dtype": "uint8", "compress": "lzw", "nodata": None}
    with rasterio.open(out, "w", **profile | wanted) as target:
        target.write(codes.astype(np.uint8), 1)


if __name__ == "__main__":
    main()
