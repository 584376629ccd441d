"""What QGIS's plugin Deepness does with a raster, by numpy and ONNX Runtime alone.

``python deepness.py MODEL.onnx RASTER.npy CLASSES.npy SCORES.npy`` maps a raster ``(h, w, bands)``
and writes the class of each pixel, and the first tile's scores; runs on Python 3.8 as well.

Tiles begin at the upper left and go on beyond the lower right, where there are zeros. Each gives
its middle, and at the border of the raster all there is (plugin: tile_params.py, extent_utils.py,
preprocessing_utils.py, segmentor.py).
"""

import json
import sys

import numpy as np
import onnxruntime


def main(model, raster, classes, scores):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    told = {key: json.loads(value) for key, value in texts.items() if key != "rsseg"}
    pixels = np.load(raster)
    height, width = pixels.shape[:2]
    tile = told["tile_size"]
    half = int(tile * told["tiles_overlap"] / 100) // 2
    stride = tile - 2 * half
    rows, columns = (max(0, -(-(side - tile) // stride)) + 1 for side in (height, width))
    whole = np.zeros(((rows - 1) * stride + tile, (columns - 1) * stride + tile, pixels.shape[2]))
    whole = whole.astype(pixels.dtype)
    whole[:height, :width] = pixels
    found = np.zeros(whole.shape[:2], np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            values = process(session, told, whole[top : top + tile, left : left + tile][None])
            if row == column == 0:
                np.save(scores, values)
            values[values < told["seg_thresh"]] = 0.0
            first = [half if number else 0 for number in (row, column)]
            last = [
                tile - (half if number < count - 1 else 0)
                for number, count in ((row, rows), (column, columns))
            ]
            part = tuple(slice(a, b) for a, b in zip(first, last))  # noqa: B905
            edges = zip((top, left), first, last)  # noqa: B905 (strict comes with Python 3.10)
            target = tuple(slice(start + a, start + b) for start, a, b in edges)
            found[target] = values.argmax(axis=1)[0][part]
    np.save(classes, found[:height, :width])
    print(onnxruntime.__version__, np.__version__, sys.version.split()[0])


def process(session, told, tiles):
    (given,) = session.get_inputs()
    tiles = tiles[:, :, :, : given.shape[-3]]
    tiles = np.float32(tiles * 1.0 / 255.0)
    mean = np.array(told["standardization_mean"], np.float32)
    std = np.array(told["standardization_std"], np.float32)
    tiles = np.transpose((tiles - mean) / std, (0, 3, 1, 2))
    return session.run(None, {given.name: tiles})[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
