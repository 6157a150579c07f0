"""Fits models: the loop, optimizers, schedules, losses, checkpoints, out-of-fold fits."""
