"""Experiments that do not work yet, as plain files, run again on each new model."""
