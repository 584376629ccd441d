"""The README's table of the embedded model, from the scores in the header of its file."""

from __future__ import annotations

from rsseg.bundle import read_bundle
from rsseg.prediction.onnx_graph import EMBEDDED_MODEL


def main() -> None:
    """Print IoU and F1 by class and their means as a Markdown table."""
    bundle = read_bundle(EMBEDDED_MODEL)
    scores, history = bundle.scores, bundle.provenance
    print("| class | IoU | F1 | labelled Mpx |\n|---|---|---|---|")
    for name, row in scores["classes"].items():
        print(f"| {name} | {row['iou']:.3f} | {row['f1']:.3f} | {row['pixels'] / 1e6:.2f} |")
    print(f"| **mean** | **{scores['miou']:.3f}** | {scores['f1']:.3f} | |")
    print(f"\nPixel accuracy {scores['oa']:.3f}, kappa {scores['kappa']:.3f}.")
    print(
        f"Trained on {', '.join(history['split']['train'])}; "
        f"scored on {', '.join(history['split']['validation'])}; seed {history['seed']}; "
        f"{history['training_seconds'] / 60:.0f} minutes."
    )


if __name__ == "__main__":
    main()
