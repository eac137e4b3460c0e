"""What is known of published weights beside their values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Classes of published weights, and the statistics that they expect, per channel."""

    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def scale(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and deviation for images of so many channels.

        Where these are not as many as the weights have learned from, each gets the average.
        """
        if channels == len(self.mean):
            return self.mean, self.std
        mean, std = sum(self.mean) / len(self.mean), sum(self.std) / len(self.std)
        return (mean,) * channels, (std,) * channels
