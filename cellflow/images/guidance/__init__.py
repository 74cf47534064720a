"""Guided sampling: autoguidance by a weaker flow, and guidance by a discriminator."""
