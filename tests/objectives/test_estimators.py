from __future__ import annotations

import torch

from frog_cli.objectives import estimators
from frog_cli.settings.requests import train_request


def test_cone_gets_its_angle():
    settings = train_request(["tangents=cone", "tangents.angle=30", "gradient.k=3"]).runs[0]
    method = estimators.forward_gradient(settings.gradient, settings.tangents)
    V = method.tangents((3, 8), torch.Generator().manual_seed(0), torch.float64)
    cosine = torch.nn.functional.cosine_similarity(V[1:], V[:1])
    torch.testing.assert_close(cosine, torch.full((2,), 3**0.5 / 2).double())
