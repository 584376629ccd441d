"""Programs of ``torch.export``: run by torch alone, without the code of the network."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from rsseg.bundle import HEADER_KEY, Bundle
from rsseg.export.probabilities import Probabilities
from rsseg.replacing import replacing

_SIDE = 128


def write_program(network: nn.Module, bundle: Bundle, out: str | Path) -> None:
    """Write a program from raw pixels to probabilities, whole or not at all.

    It takes batches of any size, and images of any size but tiny ones. In the extra file ``rsseg``
    of `torch.export.load` is the Bundle.

    Args:
        network: In evaluation mode, on the CPU.
        bundle: Describes it.
        out: Target, ``.pt2``.
    """
    # stored in the file, so not large; one image would fix the batch
    example = torch.zeros(2, len(bundle.bands), _SIDE, _SIDE)
    sizes = {axis: torch.export.Dim.DYNAMIC for axis in (0, 2, 3)}
    module = Probabilities(network, bundle.normalisation).eval()
    program = torch.export.export(module, (example,), dynamic_shapes=(sizes,))
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={HEADER_KEY: bundle.to_json()})
    with replacing(out) as unfinished:
        unfinished.write_bytes(buffer.getbuffer())
