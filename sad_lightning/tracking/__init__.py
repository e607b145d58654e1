"""Loggers of experiments."""
