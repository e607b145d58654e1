"""Cells that train in a second."""

SHORT = ("split.normal_class=0", "trainer.max_epochs=2", "optimizer.milestones=[1]", "pretrain.epochs=2")
