"""K methods of equal shape, trained as one: a step of all members is a step of each, as if it trained alone.

Parameters and buffers are stacked along a first axis of K, the loss runs under ``vmap``, and Adam, which works
element by element, moves the stacked tensors. Each member draws its batches from its own generator. What would couple
members (a global gradient norm, a reduction over K) has no place here.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from sad_lightning.data.module import Batch, DataModule, IndexBatches
from sad_lightning.errors import InputError
from sad_lightning.methods.method import Method

_DOT = "/"  # parameter names may not hold dots


class Population(LightningModule):
    """K members, stacked.

    Args:
        members: methods of one class with equal settings; each prepared (its center fixed) beforehand.

    Raises:
        ValueError: the members differ in class or settings.
    """

    def __init__(self, members: Sequence[Method]) -> None:
        super().__init__()
        first = members[0]
        for member in members:
            if type(member) is not type(first) or member.hparams != first.hparams:
                raise ValueError("the members of a population must be of one class with equal settings")
        parameters, buffers = stack_module_state(list(members))
        self.weights = nn.ParameterDict({name.replace(".", _DOT): value for name, value in parameters.items()})
        self.state_names = tuple(buffers)
        for name, value in buffers.items():
            self.register_buffer(name.replace(".", _DOT), value)
        self.optimizer = first.optimizer
        self.stage = first.stage
        self._skeleton = (_Loss(copy.deepcopy(first)).to("meta"),)  # in a tuple: no module of ours

    def on_fit_start(self) -> None:
        """Refuse what would couple the members.

        Raises:
            InputError: the Trainer clips the global gradient norm, or scales losses as float16 needs.
        """
        if self.trainer.gradient_clip_val:
            raise InputError(
                "trainer.gradient_clip_val must be null in a population, it would clip all members at once"
            )
        if self.trainer.precision == "16-mixed":
            raise InputError(
                "trainer.precision must not be 16-mixed in a population, it scales all losses as one; use bf16-mixed"
            )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of every member: ``batch.x`` is ``(K, B, ...)``, ``batch.semi`` ``(K, B)``."""
        losses = self.losses(batch)
        self.log(f"{self.stage}/loss", losses.mean(), on_step=False, on_epoch=True, batch_size=batch.x.shape[1])
        return losses.sum()  # the gradient of each member's loss meets no other member

    def losses(self, batch: Batch) -> Tensor:
        """The loss of each member, ``(K,)``."""

        def loss(weights: dict[str, Tensor], state: dict[str, Tensor], x: Tensor, semi: Tensor) -> Tensor:
            tensors = {f"method.{name}": value for name, value in {**weights, **state}.items()}
            value: Tensor = functional_call(self._skeleton[0], tensors, (Batch(x, semi),))
            return value

        weights = {name.replace(_DOT, "."): value for name, value in self.weights.items()}
        state = {name: self.get_buffer(name.replace(".", _DOT)) for name in self.state_names}
        self._skeleton[0].train(self.training)
        result: Tensor = vmap(loss)(weights, state, batch.x, batch.semi)
        return result

    def configure_optimizers(self) -> Any:
        """The members' optimiser, on the stacked tensors."""
        return self.optimizer.configure(self.parameters())

    @torch.no_grad()
    def unstack(self, members: Sequence[Method]) -> None:
        """Hand the trained tensors back to the members that were stacked."""
        for number, member in enumerate(members):
            tensors = {name.replace(_DOT, "."): value[number] for name, value in self.weights.items()}
            tensors |= {name: self.get_buffer(name.replace(".", _DOT))[number] for name in self.state_names}
            member.load_state_dict(tensors)


class PopulationData(LightningDataModule):
    """The members' data side by side: one copy of the rows, an index table, a scaling a member.

    Args:
        members: data of equal numbers of rows and equal batch sizes, over the same array.

    Raises:
        ValueError: they differ.
    """

    def __init__(self, members: Sequence[DataModule]) -> None:
        super().__init__()
        first = members[0]
        for member in members:
            if member.x.data_ptr() != first.x.data_ptr() or len(member.rows) != len(first.rows):
                raise ValueError("the members of a population must train on equal numbers of rows of one array")
            if member.batch_size != first.batch_size:
                raise ValueError("the members of a population must have equal batch sizes")
        self.members = list(members)
        self.x = first.x
        self.rows, self.semi, self.scale, self.shift = (
            torch.stack([getattr(member, name) for member in members]) for name in ("rows", "semi", "scale", "shift")
        )

    def train_dataloader(self) -> "PopulationBatches":
        """Each member's own batches, in step."""
        return PopulationBatches([member.train_dataloader() for member in self.members])

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Turn ``(K, B)`` positions into ``(K, B, ...)`` samples, on the device."""
        for name in ("x", "rows", "semi", "scale", "shift"):
            setattr(self, name, getattr(self, name).to(batch.device))
        x = self.x[self.rows.gather(1, batch)].float()
        wide = (len(batch), *(1,) * (x.ndim - 2), -1)
        x = x * self.scale.view(wide) + self.shift.view(wide)
        return Batch(x.movedim(-1, -3) if self.x.ndim == 4 else x, self.semi.gather(1, batch))


class PopulationBatches:
    """``(K, B)`` positions: batch i of every member."""

    def __init__(self, members: list[IndexBatches]) -> None:
        self.members = members
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        for member in self.members:
            member.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.members[0])

    def __iter__(self) -> Iterator[Tensor]:
        return (torch.stack(positions) for positions in zip(*self.members, strict=True))


class _Loss(nn.Module):
    """``method.loss`` as a forward, which is what ``functional_call`` calls."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> Tensor:
        return self.method.loss(batch)
