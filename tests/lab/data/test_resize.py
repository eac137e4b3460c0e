"""Images brought to another size a few at a time are those of all at once."""

import pytest
import torch
import torch.nn.functional as F

from mixwright.lab.data import resize
from mixwright.lab.data.resize import resized


@pytest.mark.parametrize("size", [5, 12])
@pytest.mark.parametrize("count", [0, 7])
def test_parts_are_those_of_the_whole(size: int, count: int, monkeypatch: pytest.MonkeyPatch):
    images = torch.randint(256, (7, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    wanted = F.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
    taken = list[int]()
    interpolate = resize.interpolate

    def watched(part: torch.Tensor, **options: object) -> torch.Tensor:
        taken.append(len(part))
        return interpolate(part, **options)

    monkeypatch.setattr(resize, "_MEBIBYTES", 3 * 4 * 3 * max(8, size) ** 2 / 2**20)
    monkeypatch.setattr(resize, "interpolate", watched)
    found = resized(images[:count], size)
    assert torch.equal(found, wanted[:count].round().clamp(0, 255).byte())
    assert max(taken) <= 3
