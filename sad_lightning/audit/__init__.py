"""Whether the labels of own data help or hurt, group by group: the study of ye2021 for any data."""

from sad_lightning.audit.fold import hold_out_group

__all__ = ["hold_out_group"]
