from __future__ import annotations

import pytest
import torch

from frog_cli.errors import RequestError
from frog_cli.objectives import estimators
from frog_cli.settings.requests import train_request


def test_cone_gets_its_angle():
    settings = train_request(["tangents=cone", "tangents.angle=30", "gradient.k=3"]).runs[0]
    method = estimators.forward_gradient(settings.gradient, settings.tangents)
    V = method.tangents((3, 8), torch.Generator().manual_seed(0), torch.float64)
    cosine = torch.nn.functional.cosine_similarity(V[1:], V[:1])
    torch.testing.assert_close(cosine, torch.full((2,), 3**0.5 / 2).double())


def test_tangents_that_are_not_where_their_generator_is_are_refused_by_the_device(tmp_path):
    (tmp_path / "ideas.py").write_text(
        "import torch\nfrom frog_cli import ideas\n\n\n@ideas.tangents\ndef elsewhere(shape, generator, dtype):\n"
        "    'On another device.'\n    return torch.empty(shape, dtype=dtype, device='meta')\n"
    )
    run = train_request([f"ideas=[{tmp_path / 'ideas.py'}]", "tangents=elsewhere", "gradient.k=2"]).runs[0]
    with pytest.raises(RequestError, match=r"must be made on cpu, where their generator is, not on meta; torch\.randn"):
        estimators.sampler(run.tangents)((2, 4), torch.Generator(), torch.float64)
