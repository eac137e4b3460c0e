"""Models that cannot be judged are refused before anything long begins."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.evaluation.validation import (
    ModelMisfitError,
    validate_model,
    validate_normalisation,
)
from mixwright.lab.models.normalised import Normalised

MEAN, STD = (0.5,), (0.05,)


class Bright(nn.Module):
    """Tells bright from dark by the sign of its input, as a normalised network would."""

    def forward(self, x: Tensor) -> Tensor:
        # Far from 0 it is lost: outside the scale it was made for it guesses class 0.
        level = x.mean(dim=(1, 2, 3))
        known = (level.abs() < 3) & (level.abs() > 0.3)
        return torch.stack([(level < 0) | ~known, (level > 0) & known], dim=1).float()


def pictures() -> tuple[Tensor, Tensor]:
    labels = torch.arange(40) % 2
    return (0.45 + 0.1 * labels.float()).view(-1, 1, 1, 1).expand(-1, 1, 4, 4), labels


def door(model: nn.Module) -> None:
    images, labels = pictures()
    validate_normalisation(model, images, labels, mean=MEAN, std=STD, name="net")


def test_a_model_that_normalises_once_passes() -> None:
    door(Normalised(Bright(), MEAN, STD))


def test_missing_normalisation_is_named() -> None:
    with pytest.raises(ModelMisfitError, match=r"normalisation is missing.*--normalise data"):
        door(Bright())


def test_doubled_normalisation_is_named_by_what_it_costs() -> None:
    hidden = nn.Sequential(Normalised(Normalised(Bright(), MEAN, STD), MEAN, STD))
    with pytest.raises(ModelMisfitError, match="normalisation is doubled"):
        door(hidden)


def test_doubled_normalisation_is_named_by_structure() -> None:
    with pytest.raises(ModelMisfitError, match="normalises twice"):
        door(Normalised(Normalised(nn.Flatten(), MEAN, STD), MEAN, STD))


def test_images_go_through_in_parts_as_large_as_was_said() -> None:
    sizes: list[int] = []

    class Counting(Bright):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            return super().forward(x)

    images, labels = pictures()
    model = Normalised(Counting(), MEAN, STD)
    validate_normalisation(model, images, labels, mean=MEAN, std=STD, name="net", batch_size=16)
    assert max(sizes) == 16
    assert sum(sizes) == 3 * 40


def test_a_model_that_guesses_is_not_accused() -> None:
    class Guess(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(int(x.sum() * 1000) % 1000)
            return torch.randn(len(x), 2, generator=generator)

    door(Guess())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), "cannot take images of 1 x 4 x 4"),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), "tells 3 classes apart, the data has 2"),
    ],
)
def test_sizes_and_classes_that_do_not_fit(model: nn.Module, said: str) -> None:
    images, labels = pictures()
    with pytest.raises(ModelMisfitError, match=said):
        validate_model(model, images, labels, num_classes=2, name="net")


def test_logits_that_are_not_finite_and_labels_that_name_no_class() -> None:
    images, labels = pictures()
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(ValueError, match=r"1 of 40 labels are outside \[0, 2\)"):
        validate_model(model, images, labels.clone().index_fill_(0, torch.tensor([3]), 7),
                    num_classes=2, name="net")  # fmt: skip
    nn.init.constant_(model[1].weight, torch.nan)
    with pytest.raises(ValueError, match="NaN or infinite"):
        validate_model(model, images, labels, num_classes=2, name="net")
