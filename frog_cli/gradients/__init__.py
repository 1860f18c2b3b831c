"""The mathematics: gradients without backpropagation, step = -learning_rate V^T c, in small functions of tensors.

`tangents` says which V, `measurement` how the slopes along V are obtained, `aggregation` and `step_rules` what c is;
`weights`, `activities` and `points` are the spaces that tangents live in.
"""

from frog_cli import ideas
from frog_cli.gradients import aggregation, tangents
from frog_cli.gradients.activities import estimate_from_activities
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.derivatives import curvature, gradient, hessian, hessian_vector_product
from frog_cli.gradients.estimate import ForwardGradient
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.space import Estimate, SampleLoss
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.gradients.tangents import Sampler
from frog_cli.gradients.weights import backprop, estimate_from_weights
from frog_cli.modules.calls import trainable
from frog_cli.modules.requirements import CoupledSamplesWarning

__all__ = [
    "AGGREGATIONS",
    "TANGENTS",
    "CoupledSamplesWarning",
    "Estimate",
    "ForwardGradient",
    "SampleLoss",
    "SecondOrder",
    "backprop",
    "curvature",
    "estimate_from_activities",
    "estimate_from_weights",
    "estimate_second_order",
    "gradient",
    "hessian",
    "hessian_vector_product",
    "hyperplane_step",
    "line_step",
    "trainable",
]

TANGENTS: dict[str, Sampler] = {
    name: idea.function for name, idea in ideas.registered("tangents", tangents.__name__).items()
}
AGGREGATIONS: dict[str, Aggregation] = {
    name: idea.function for name, idea in ideas.registered("aggregation", aggregation.__name__).items()
}
