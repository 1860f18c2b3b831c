"""Ideas: tangents, aggregations, step rules, functions, models, data sets, each a decorated function with options.

`from frog_cli import ideas` and `@ideas.tangents` register one's own; frog's own are registered in the same way.
"""

from frog_cli.ideas.registry import aggregation, data, function, model, registered, step_rule, tangents, trait

__all__ = ["aggregation", "data", "function", "model", "registered", "step_rule", "tangents", "trait"]
