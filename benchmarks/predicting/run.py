"""One run of one program over one scene, in a process of its own; prints a JSON object.

``python run.py PROGRAM NETWORK FOLDER SCENE OUT BATCH``: FOLDER has the weights and the ONNX graph
that ``benchmarks/predict.py`` made. What is timed is the call with the network in memory: reading,
forward passes, blending and writing, but no imports.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
import rasterio

WINDOW, OVERLAP = 512, 128
STRIDE = WINDOW - OVERLAP


def main() -> None:
    """Time one program."""
    program, network, folder, scene, out, batch = sys.argv[1:]
    call = PROGRAMS[program](network, Path(folder), Path(scene), Path(out), int(batch))
    began = time.perf_counter()
    more = call() or {}
    seconds = more.pop("seconds", time.perf_counter() - began)
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"seconds": seconds, "peak_mb": int(peak.split()[1]) / 1024, **more}))


Call = Callable[[], dict[str, float] | None]


def ours(network: str, folder: Path, scene: Path, out: Path, batch: int) -> Call:
    """`rsseg.prediction.predict`."""
    from rsseg.prediction import PredictOptions, predict
    from rsseg.prediction.predict import load_engine, plan

    low = _low_precision() if out.stem != "reference" else "fp32"
    blend = {"blend": "uniform"} if out.stem == "reference" else {"overlap": OVERLAP}
    options = PredictOptions(engine="openvino", precision=low, overwrite=True, **blend)
    if network == "mst":
        given = {}
    else:
        bundle = _bundle(folder)
        given = {"bundle": bundle, "network": networks.load(network, folder / f"{network}.pt")}
    # libraries, and what is made once for a network: its graph, what bf16 shifts its logits by
    load_engine(plan(scene, options=options, **given), given.get("network"))

    def call() -> dict[str, float]:
        result = predict(scene, out, options=options, **given)
        return {
            "forward_share": result.forward_seconds / result.pipeline_seconds,
            "finish_seconds": result.finish_seconds,
            "startup_seconds": result.startup_seconds,
        }

    return call


def bare(network: str, folder: Path, scene: Path, out: Path, batch: int) -> Call:
    """Our engine's forward passes over the same windows, which lie in memory."""
    from rsseg.bundle import read_bundle
    from rsseg.geo.tiling import Tiling
    from rsseg.prediction.onnx_graph import EMBEDDED_MODEL, network_graph, onnx_graph
    from rsseg.prediction.openvino_engine import OpenVINOEngine

    with rasterio.open(scene) as dataset:
        pixels = dataset.read()
    tiling = Tiling(*pixels.shape[1:], WINDOW, STRIDE)
    windows = [
        pixels[:, r : r + WINDOW, c : c + WINDOW] for r in tiling.rows for c in tiling.columns
    ]
    if network == "mst":
        bundle, graph = read_bundle(EMBEDDED_MODEL), onnx_graph(EMBEDDED_MODEL)
    else:
        from rsseg.prediction.identity import identity_of

        bundle, module = _bundle(folder), networks.load(network, folder / f"{network}.pt")
        graph = network_graph(module, bundle, WINDOW, identity_of(None, module, bundle))
    engine = OpenVINOEngine(graph, bundle, WINDOW, pixels.dtype, _low_precision())
    engine(windows[0][None])

    def call() -> dict[str, float]:
        before = engine.seconds
        for window in windows:
            engine(window[None])
        return {"seconds": engine.seconds - before}

    return call


def geoai(network: str, folder: Path, scene: Path, out: Path, batch: int) -> Call:
    """`geoai.inference.predict_geotiff`."""
    from geoai.inference import predict_geotiff

    module = _from_bytes(network, folder)
    return lambda: (
        predict_geotiff(
            module,
            str(scene),
            str(out),
            tile_size=WINDOW,
            overlap=OVERLAP,
            batch_size=batch,
            num_classes=_classes(folder, network),
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


def terratorch(network: str, folder: Path, scene: Path, out: Path, batch: int) -> Call:
    """`terratorch.tasks.tiled_inference`, which takes the scene as one tensor."""
    import torch
    from terratorch.tasks.tiled_inference import tiled_inference

    module = _from_bytes(network, folder)

    def call() -> None:
        with rasterio.open(scene) as dataset:
            image = torch.from_numpy(dataset.read().astype(np.float32) / 255)[None]
            profile = dataset.profile
        with torch.no_grad():
            scores = tiled_inference(
                module, image, crop=WINDOW, stride=STRIDE, delta=8, batch_size=batch
            )
        _write(out, scores[0].argmax(dim=0).numpy(), profile)

    return call


def rastervision(network: str, folder: Path, scene: Path, out: Path, batch: int) -> Call:
    """The calls of Raster Vision's `predict_scene_ss`, with smooth labels."""
    import torch
    from rastervision.core.data import ClassConfig, SemanticSegmentationLabels
    from rastervision.pytorch_learner import SemanticSegmentationSlidingWindowGeoDataset
    from torch.utils.data import DataLoader

    module, classes = _from_bytes(network, folder), _classes(folder, network)
    names = [f"class {number}" for number in range(classes)]

    def call() -> None:
        config = ClassConfig(names=names, null_class=names[0])
        dataset = SemanticSegmentationSlidingWindowGeoDataset.from_uris(
            class_config=config, image_uri=str(scene), size=WINDOW, stride=STRIDE
        )

        def predictions():
            with torch.inference_mode():
                for images, _ in DataLoader(dataset, batch_size=batch):
                    yield from module(images).numpy()

        labels = SemanticSegmentationLabels.from_predictions(
            dataset.windows,
            predictions(),
            extent=dataset.scene.extent,
            num_classes=classes,
            smooth=True,
        )
        transformer = dataset.scene.raster_source.crs_transformer
        labels.save(str(out.with_suffix("")), crs_transformer=transformer, class_config=config)

    return call


def habitat(network: str, folder: Path, scene: Path, out: Path, batch: int) -> Call:
    """`habitat_mapper`'s processor on ONNX Runtime; its overlap is always half a window."""
    from habitat_mapper.config import ModelConfig
    from habitat_mapper.model import ONNXModel
    from habitat_mapper.processing import ImageProcessor

    graph = folder / f"{network}.onnx"
    config = ModelConfig(
        name=f"rsseg-{network}",
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
        ONNXModel(config), crop_size=WINDOW, batch_size=batch, blur_kernel_size=1, quiet=True
    )
    return lambda: processor.run(scene, out)


PROGRAMS = {
    "ours": ours,
    "bare": bare,
    "geoai": geoai,
    "terratorch": terratorch,
    "rastervision": rastervision,
    "habitat": habitat,
}


def _from_bytes(network: str, folder: Path) -> networks.FromBytes:
    scaling = json.loads((folder / "scaling.json").read_text())[network]
    module = networks.load(network, folder / f"{network}.pt")
    return networks.FromBytes(module, scaling["mean"], scaling["std"]).eval()


def _classes(folder: Path, network: str) -> int:
    return json.loads((folder / "scaling.json").read_text())[network]["classes"]


def _bundle(folder: Path):
    from rsseg.bundle import Bundle

    return Bundle.from_json((folder / "bundle.json").read_text())


def _low_precision() -> str:
    from rsseg.prediction.openvino_engine import has_bf16

    return "bf16" if has_bf16() else "fp32"


def _write(out: Path, codes: np.ndarray, profile: dict) -> None:
    wanted = {"count": 1, "dtype": "uint8", "compress": "lzw", "nodata": None}
    with rasterio.open(out, "w", **profile | wanted) as target:
        target.write(codes.astype(np.uint8), 1)


if __name__ == "__main__":
    main()
