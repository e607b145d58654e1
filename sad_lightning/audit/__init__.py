"""Whether the labels of a person's own data help or hurt, group by group (ye2021 for everyone)."""

from sad_lightning.audit.fold import hold_out_group

__all__ = ["hold_out_group"]
