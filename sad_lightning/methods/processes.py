"""The batch of a step in a distributed run, of which each of n processes has every n-th row."""

import torch
from torch import Tensor, distributed


def gather(values: Tensor) -> Tensor:
    """The values of all rows of a batch, ``(B, ...)`` in its order, from the ``(b, ...)`` that each process has.

    One process may have a row more than another. Without other processes these are the values themselves. If each
    process computes one loss of all rows, the mean of their gradients is that of one process.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    world, count = distributed.get_world_size(), torch.tensor(len(values), device=values.device)
    distributed.all_reduce(count)
    rows = int(count)
    padded = torch.cat([values, values[:1].expand(-(-rows // world) - len(values), *values.shape[1:])])
    if padded.requires_grad:
        padded.register_hook(lambda gradient: gradient * (rows / len(values)))  # type: ignore[no-untyped-call]
    parts = [torch.empty_like(padded) for _ in range(world)]
    distributed.all_gather(parts, padded.detach())
    parts[distributed.get_rank()] = padded
    return torch.stack(parts, dim=1).flatten(end_dim=1)[:rows]
