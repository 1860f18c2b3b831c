"""Gradients without backpropagation: step = -learning_rate * V c, in small functions of tensors.

`tangents` says which V, `measurement` how the slopes along V are obtained, `aggregation` what c is; `weights`,
`activities` and `points` say where the tangents live. Notation: n dimensions, k tangents, V `[k, n]` with the
tangents as rows, slopes `[k, m]`, B samples in a batch.
"""

from frog_cli.gradients.activities import estimate_from_activities
from frog_cli.gradients.aggregation import AGGREGATIONS
from frog_cli.gradients.estimate import Estimate, ForwardGradient, SampleLoss
from frog_cli.gradients.tangents import TANGENTS
from frog_cli.gradients.weights import backprop, estimate_from_regenerated_weights, estimate_from_weights
from frog_cli.modules.calls import trainable
from frog_cli.modules.requirements import CoupledSamplesWarning

__all__ = [
    "AGGREGATIONS",
    "TANGENTS",
    "CoupledSamplesWarning",
    "Estimate",
    "ForwardGradient",
    "SampleLoss",
    "backprop",
    "estimate_from_activities",
    "estimate_from_regenerated_weights",
    "estimate_from_weights",
    "trainable",
]
