"""How good a map is, as numbers; numpy alone.

- `confusion`: scores of summed pixels
- `boundary`: scores of the borders between classes
- `accuracy`: what a sample of points says about a whole map
- `parts`: what the three share
"""

from rsseg.metrics.accuracy import stratified_accuracy
from rsseg.metrics.boundary import BoundaryCounts, boundary_scores, eroded, require_distance
from rsseg.metrics.confusion import ConfusionMatrix

__all__ = [
    "BoundaryCounts",
    "ConfusionMatrix",
    "boundary_scores",
    "eroded",
    "require_distance",
    "stratified_accuracy",
]
