"""What may be concluded from runs, images and corruption types, and how sure it is.

Three questions, three units. Do two checkpoints differ on new images? One value per image:
``images``. Do methods differ from a baseline, for new runs? One value per run: ``block_design``,
the one to report. Is the advantage the same for all corruption types? One value per type:
``types``. Whoever asks several times corrects for it: ``dunnett``, ``multiplicity``, ``ranks``.
"""

from mixwright import _exports

_HOMES = _exports.homes(__name__)
__getattr__ = _exports.getter(__name__, _HOMES)
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return __all__
