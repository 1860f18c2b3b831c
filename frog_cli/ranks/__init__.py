"""Ranks: the processes that train one network together, on torch.distributed."""
