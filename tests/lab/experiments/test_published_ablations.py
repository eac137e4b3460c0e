"""The rows of AdAutoMix's ablations as METHOD texts: which terms each has, with which weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.models.build import build_model
from mixwright.objectives import AdAutoMix
from mixwright.objectives.criteria import CrossEntropy

PAGE = Path(__file__).parents[3] / "docs" / "learned-mixers.md"
ROWS = re.findall(
    r"^\| [^|]* \| `(adautomix:game=paper[^`]*)` \| [0-9.]+ \|$", PAGE.read_text(), re.M
)

# Row by row: weights of whole images, plain mixtures, the generator's mixtures (L_amce of the
# student), the teacher's loss and the cosine, as the headings of Table 8 add them up. The generator
# climbs the first and is held by the last two, so that the sign of the cosine is that of what it
# minimises: it keeps mixtures near their images.
WEIGHTS = (
    (0.0, 0.0, 1.0, 0.0, 0.0),
    (0.5, 0.0, 1.0, 0.0, 0.0),
    (0.5, 0.5, 1.0, 0.0, 0.0),
    (0.5, 0.5, 1.0, 0.3, 0.0),
    (0.5, 0.5, 1.0, 0.3, -0.7),
)


def test_the_page_lists_all_rows() -> None:
    assert len(ROWS) == len(WEIGHTS)


@pytest.mark.parametrize(("text", "weights"), [*zip(ROWS, WEIGHTS, strict=False)])
def test_rows_have_the_weights_of_the_table(text: str, weights: tuple[float, ...]) -> None:
    method = parse_method(text)
    objective = method.objective(CrossEntropy())
    assert isinstance(objective, AdAutoMix)
    torch.manual_seed(0)
    model = build_model("smallconv", num_classes=4, image_size=16)
    objective.build(model, 4)
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8) % 4
    generator = torch.Generator().manual_seed(0)
    losses = objective(model, images, labels, generator=generator, progress=0.0)
    clean, plain, mixed, teacher, cosine = weights
    assert set(losses.terms) == {
        *(["clean"] if clean else []), *(["plain"] if plain else []), "mixed", "teacher", "cosine",
    }  # fmt: skip
    if clean:
        assert losses.terms["clean"] == pytest.approx(
            clean * cross_entropy(model(images), labels).item(), rel=1e-5
        )
    if plain:
        assert 0.3 < float(losses.terms["plain"]) / plain < 3  # near ln 4 before it has learned
    assert 0.3 < float(losses.terms["mixed"]) / mixed < 3
    assert losses.terms["teacher"] == pytest.approx(
        teacher * float(losses.diagnostics["teacher loss"]), rel=1e-5
    )
    assert losses.terms["cosine"] == pytest.approx(
        cosine * float(losses.diagnostics["likeness"]), rel=1e-5
    )
    # Without whole images the layer for mixed ones is the only one that learns.
    assert objective.own_head_learns() == (clean > 0)
    assert objective.mixed_heads()
