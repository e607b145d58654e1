"""K methods of equal shape, trained as one: each member takes the steps that it would take if it trained alone.

Parameters and buffers are stacked along a first axis of K, the loss runs under ``vmap``, and Adam, which works
element by element, moves the stacked tensors. Each member draws its batches and its noise from its own generators.
Nothing may couple the members (a global gradient norm, a reduction over K): gradients are clipped member by member.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.rnn import pad_sequence
from torch.overrides import TorchFunctionMode

from sad_lightning.data.module import Batch, DataModule, Draw, StepBatches, in_turn
from sad_lightning.data.preprocess import Scaling
from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.method import Method
from sad_lightning.methods.steps import Steps, Update, loss_and_outputs

_DOT = "/"  # parameter names may not hold dots


class Population(Steps):
    """K members, stacked.

    Args:
        members: methods of one class with equal settings, after ``Method.prepare`` (which fixes a center).

    Raises:
        ValueError: the members differ in class or settings.
        InputError: they are to train alone (``why_alone``).
    """

    def __init__(self, members: Sequence[Method]) -> None:
        super().__init__()
        first = members[0]
        for member in members:
            if type(member) is not type(first) or member.hparams != first.hparams:
                raise ValueError("the members of a population must be of one class with equal settings")
        if reason := why_alone(first):
            raise InputError(f"method: {type(first).__name__} trains alone: {reason}")
        parameters, buffers = stack_module_state(list(members))
        self.weights = nn.ParameterDict({name.replace(".", _DOT): value for name, value in parameters.items()})
        for name, value in parameters.items():
            self.weights[name.replace(".", _DOT)].requires_grad_(value.requires_grad)
        self.state_names = tuple(buffers)
        for name, value in buffers.items():
            self.register_buffer(name.replace(".", _DOT), value)
        self.optimizer, self.stage = first.optimizer, first.stage
        self._skeleton = (_Call(copy.deepcopy(first)).to("meta"),)  # in a tuple, so that it is no submodule

    @property
    def updates(self) -> tuple[Update, ...]:
        """Those of the skeleton: the method that is called with the weights of each member."""
        return self._skeleton[0].method.updates

    def on_fit_start(self) -> None:
        """Refuse a Trainer that would couple the members."""
        if self.trainer.precision == "16-mixed":
            raise InputError(
                "trainer.precision must not be 16-mixed in a population, it scales all losses as one; use bf16-mixed"
            )

    def losses(self, update: Update, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each member, ``(K,)``; ``batch.x`` is ``(K, B, ...)``, ``batch.semi`` ``(K, B)``."""
        method = self._skeleton[0].method
        unmoved, tensors = update.unmoved(method), self._tensors()
        tensors |= {name: tensors[name].detach() for name in unmoved}
        losses: tuple[Tensor, dict[str, Tensor]] = self._call(
            lambda one: loss_and_outputs(method, update, one), tensors, batch
        )
        return losses

    def solve(self, batch: Batch, outputs: Mapping[str, Tensor]) -> None:
        """Let each member solve for what has no gradient; outputs are ``(K, B)``."""
        method = self._skeleton[0].method
        own = {
            f"{part}.{name}" for part in outputs for name, _ in method.get_submodule(part).named_buffers(recurse=False)
        }

        def solve(one: Batch, outputs: Mapping[str, Tensor]) -> tuple[()]:
            method.solve(one, outputs)
            return ()

        if outputs:
            self._call(solve, {name: self.get_buffer(name.replace(".", _DOT)) for name in own}, batch, outputs)

    def metrics_of(self, update: Update, batch: Batch) -> dict[str, Tensor]:
        """The metrics of each member, ``(K,)`` by name."""
        metrics: dict[str, Tensor] = self._call(update.watch, self._tensors(), batch)
        return metrics

    def zero_share(self, gradients: list[Tensor]) -> Tensor:
        """The share of each member's gradients that is exactly zero, ``(K,)``."""
        zeros = torch.stack([(gradient == 0).flatten(start_dim=1).sum(dim=1) for gradient in gradients]).sum(dim=0)
        return zeros / sum(gradient[0].numel() for gradient in gradients)

    def clip(self, gradients: list[Tensor], largest: float) -> None:
        """Scale each member's gradients to a joint norm of at most ``largest``, in place."""
        norms = torch.stack([gradient.flatten(start_dim=1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        for gradient in gradients:
            factors = (largest / (norms + 1e-6)).clamp(max=1.0)
            gradient.mul_(factors.view(-1, *(1,) * (gradient.ndim - 1)))

    def _tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of all members, ``(K, ...)``, by their names in a member."""
        weights: dict[str, Tensor] = {name.replace(_DOT, "."): value for name, value in self.weights.items()}
        return weights | {name: self.get_buffer(name.replace(".", _DOT)) for name in self.state_names}

    def _call(self, function: Callable[..., Any], tensors: dict[str, Tensor], batch: Batch, *more: Any) -> Any:
        """Call a function of the skeleton for each member, with its batch and its slice of ``tensors`` and of ``more``.

        The tensors are the parameters and buffers that it uses; it may write to buffers in place.
        """
        skeleton = self._skeleton[0]
        if skeleton.training != self.training:
            skeleton.train(self.training)

        def one(tensors: dict[str, Tensor], x: Tensor, semi: Tensor, noise: Tensor, *more: Any) -> Any:
            named = {f"method.{name}": value for name, value in tensors.items()}
            arguments = (function, Batch(x, semi, noise, batch.epoch), *more)
            return functional_call(skeleton, named, arguments, tie_weights=False)  # ``why_alone`` lets none be tied

        device = batch.x.device.type
        mixed = _Autocast(device) if torch.is_autocast_enabled(device) else nullcontext()
        with torch.autocast(device, enabled=False), mixed:
            return vmap(one)(tensors, batch.x, batch.semi, batch.noise, *more)

    def configure_optimizers(self) -> Any:
        """The members' optimiser, on the stacked tensors."""
        return self.optimizer.configure(self.parameters())

    @torch.no_grad()
    def unstack(self, members: Sequence[Method]) -> None:
        """Load the trained tensors into the members that were stacked."""
        for number, member in enumerate(members):
            tensors = {name.replace(_DOT, "."): value[number] for name, value in self.weights.items()}
            tensors |= {name: self.get_buffer(name.replace(".", _DOT))[number] for name in self.state_names}
            member.load_state_dict(tensors)


# What a method may define in its own way: a population calls it for each member, or it is called outside of training.
_SUPPORTED = {
    "finish", "forward", "get_encoder", "loss", "needs_anomalies", "noise", "predict_step", "prepare", "score",
    "scores_are_distances", "solve", "start_from", "starts_pretrained", "train", "trains_on", "updates", "watch",
}  # fmt: skip
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def why_alone(method: Method) -> str:
    """Why a population would train the method otherwise than the Trainer does; empty where it would not."""
    own = [name for kind in type(method).__mro__ if kind not in Method.__mro__ for name in vars(kind)]
    own += [name for name, value in vars(method).items() if callable(value)]
    for name in own:
        if name not in _SUPPORTED and hasattr(Method, name) and not name.startswith("__") and name != "_abc_impl":
            return f"it has its own {name}"
    if type(method.optimizer) is not Adam:
        return f"its optimizer is a {type(method.optimizer).__name__}"
    for name, module in method.named_modules():
        if isinstance(module, nn.RNNBase):
            return "recurrent layers have no stacked form"
        if any(getattr(module, hooks) for hooks in _HOOKS) or is_parametrized(module):
            return f"{name or 'it'} has hooks"
    for name, parameter in method.named_parameters():
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            return f"{name} has hooks"
    stacked = {name for name, _ in (*method.named_parameters(), *method.named_buffers())}
    if stacked != set(method.state_dict()):
        return "its tensors are tied, or some of them are not in its checkpoint"
    return ""


class PopulationData(DataModule):
    """The data of all members: one copy of the rows, and the indices, labels and scaling of each member.

    Positions are ``(K, B)`` here, and samples ``(K, B, ...)``.

    Args:
        members: data modules over the same array, with equal numbers of steps and equal batches.

    Raises:
        ValueError: they differ.
    """

    def __init__(self, members: Sequence[DataModule]) -> None:
        first = members[0]
        for member in members:
            if member.x.data_ptr() != first.x.data_ptr() or member.x.shape != first.x.shape:
                raise ValueError("the members of a population must train on rows of one array")
            if (
                member.step_sizes != first.step_sizes
                or member.streams != first.streams
                or member.balance != first.balance
            ):
                raise ValueError("the members of a population must agree on steps an epoch, batches and streams")
        fill = None if first.fill is None else _stacked(members, "fill")  # they share a data set: all have one, or none
        scaling = Scaling(_stacked(members, "scale"), _stacked(members, "shift"), fill, first.contrast)
        # A member may have fewer rows than another; its draws never point at the padding.
        rows, semi = (pad_sequence([getattr(member, name).cpu() for member in members], batch_first=True).numpy()
                      for name in ("rows", "semi"))  # fmt: skip
        super().__init__(
            first.all_rows, scaling, rows=rows, semi=semi, scored=np.empty(0, dtype=np.int64),
            batch_size=first.batch_size, seed=first.seed,
        )  # fmt: skip
        self.members = list(members)

    def train_dataloader(self) -> "PopulationBatches":  # type: ignore[override]
        """The draws of all members, step by step."""
        return PopulationBatches([member.train_dataloader() for member in self.members])

    def gather(self, positions: Tensor) -> Batch:
        """The training samples of each member at its positions, with their labels."""
        self._move(positions.device)
        return Batch(self.samples(self.rows.gather(1, positions)), self.semi.gather(1, positions))


def _stacked(members: Sequence[DataModule], name: str) -> NDArray[np.float32]:
    """A part of the scaling of all members, ``(K, 1, ..., D)``, so that it broadcasts over rows ``(K, B, ..., D)``."""
    stacked = torch.stack([getattr(member, name).cpu() for member in members])
    return stacked.view(len(members), *(1,) * (members[0].x.ndim - 1), -1).numpy()


class PopulationBatches:
    """The draws of each step, stacked over members: ``(K, B)`` positions and their noise."""

    def __init__(self, members: list[StepBatches]) -> None:
        self.members, self.sizes = members, members[0].sizes
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        for member in self.members:
            member.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.members[0])

    def __iter__(self) -> Iterator[tuple[Draw | None, ...]]:
        yield from in_turn(self.members[0], [self._draws(number) for number in range(len(self.sizes))])

    def _draws(self, number: int) -> Iterator[Draw]:
        orders = [member.order(number) for member in self.members]
        mixing = zip(*(m.partners(number, order) for m, order in zip(self.members, orders, strict=True)), strict=True)
        positions, partners, shares = (torch.stack(list(parts), dim=1) for parts in (orders, *mixing))
        noises: Iterator[Tensor] = repeat(torch.empty(*positions.shape[1:], 0))
        if self.members[0].noise:
            noises = map(torch.stack, zip(*(member.noises(number) for member in self.members), strict=True))
        return map(Draw, positions, noises, partners, shares)


class _Autocast(TorchFunctionMode):
    """The rules of autocast for the layers of these networks, which ``vmap`` does not apply.

    Linear layers and convolutions run in the low precision. BatchNorm has no rule for low precision under ``vmap``: it
    runs in float32 and its output is rounded to the precision of its input, as when it runs alone.
    """

    _LOW = (torch.nn.functional.linear, torch.conv2d, torch.conv_transpose2d)

    def __init__(self, device: str) -> None:
        super().__init__()
        self.dtype = torch.get_autocast_dtype(device)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self._LOW:
            args = [arg.to(self.dtype) if isinstance(arg, Tensor) and arg.is_floating_point() else arg for arg in args]
        if func is torch.nn.functional.batch_norm:
            return func(args[0].float(), *args[1:], **(kwargs or {})).to(args[0].dtype)
        return func(*args, **(kwargs or {}))


class _Call(nn.Module):
    """Wraps a method so that ``functional_call``, which only calls ``forward``, can call any function of it."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)
