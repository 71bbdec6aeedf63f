"""Timing: how fast, how large in memory and how hungry a loaded model is, measured in the process that scored it."""
