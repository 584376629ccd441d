"""From a scene and a model to a class map: ``predict`` and its parts.

The tool has the name of its module, so it is imported at once: else ``rsseg.prediction.predict``
would be the module to whoever imports a part of it first. Engines are still loaded when used.
"""

from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.scenes import predict_scenes
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.predict import predict
from rsseg.prediction.result import PredictResult

__all__ = ["PredictOptions", "PredictResult", "SceneOutcome", "predict", "predict_scenes"]
