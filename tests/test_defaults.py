"""Defaults that users rely on, written out: a result made by a name alone is made with these."""

from __future__ import annotations

import inspect

import pytest

from mixwright import MIXERS, OBJECTIVES

# Every option that has another default than COMMON; a method's row goes on where it is indented.
DEFAULTS = """
mixup alpha=1.0
cutmix alpha=1.0 box=official minmax=None
cutout length=0.5 holes=1 fill=0.0
fmix alpha=1.0 decay=3.0 max_soft=0.0 spectrum=isotropic reformulate=False
gridmix alpha=1.0 variant=lattice holes=(2,6) hole_aspect=1.0 crop_area=(0.5,1.0)
  crop_aspect=(0.5,2.0) phase=False cells=4 lam_range=None
hmix alpha=1.0 ratio=0.5
gmix alpha=1.0 calibrate=False
agmix alpha=1.0 q_max=0.95 rotate=True variant=gmix normalise_area=True
miamix methods=(MixUp,CutMix,FMix,GridMix,AGMix) weights=(2.0,1.0,1.0,1.0,1.0) alpha=1.0 k_max=2
  layers=None p_self=0.1 p_smooth=0.5 p_rotate=0.25 p_shear=0.25 merge=sequential views=1
  self_flip=None
resizemix scope=(0.1,0.8) law=uniform alpha=1.0 interpolation=nearest placement=fit
smoothmix sigma=(0.25,0.5) invert_labels=False
saliencymix alpha=1.0 saliency=gradient
attentivecutmix top_k=None alpha=2.0 grid=7 teacher=None teacher_size=None saliency=features
snapmix beta=5.0 official_same_label=False saliency=cam
puzzlemix alpha=1.0 n_labels=3 beta=1.2 gamma=0.5 eta=0.2 neigh_size=4 t_eps=0.8 t_size=None
  blocks=(2,4,8,16) transport=True iterations=300 saliency=gradient std=None
comixup group=20 block=4 beta=0.32 gamma=1.0 tau=0.83 eta=0.05 omega=0.001 alpha=2.0 iters=4
  set_resolve=True half_labels=True saliency=gradient
saliencygrafting grid=8 temperature=1.0 alpha=1.0 saliency=gradient
guidedmixup saliency=spectral blur=7 sigma=3.0 pairing=greedy
mixed mixer=None clean=0.0
manifoldmix alpha=2.0 layers=None
alignmix alpha=2.0 eps=0.1 iters=100 solver=annealed p_input=0.5 layer=None
decoupledmix mixer=None eta=0.1 mode=both threshold=0.5 power=None
recursivemix alpha=0.5 omega=0.1 interpolation=nearest share_head=False per=batch reset=True
  layer=None
transmix alpha=1.0 p=0.8 otherwise=None layer=None resize=nearest
tokenmix teacher=None lam=0.5 p=0.5 otherwise=None patch=None kind=block smoothing=0.0
tokenmixup mixer=None horizontal=True vertical=False layer=None vertical_layer=2 tau=0.2 rho=0.005
  lambda_s=0.001 kappa=None stop_score_gradient=False official_mask=False
mixpro alpha=1.0 patch=None p=0.5 otherwise=None pal=True pal_detach=True smoothing=0.1 layer=None
smmix sides=(0.25,0.75) p=0.5 otherwise=None regions=1.0 consistency=1.0 layer=None
automix alpha=2.0 margin=0.08 mask_weight=0.1 mask_loss=l1 upsample=nearest layer=None
  image_size=None per=batch momentum=0.999 momentum_end=0.999999 momentum_hold=0.1
  momentum_warmup=True statistics=clean mask_lr=None mask_min_lr=None batched=False
  mask_tolerance=0.1 mask_anneal=False encode_lam=False
samix alpha=2.0 margin=0.08 mask_weight=0.1 mask_loss=l1+variance upsample=bilinear layer=None
  image_size=None per=batch momentum=0.999 momentum_end=0.999999 momentum_hold=0.1
  momentum_warmup=True statistics=clean mask_lr=None mask_min_lr=None batched=False
  mask_tolerance=0.1 mask_anneal=False eta=0.5 residual=0.25 dropout=0.0
adautomix sources=3 margin_of=largest alpha=1.0 margin=0.03 mask_weight=0.0 mask_loss=l1+variance
  upsample=bilinear layer=None image_size=None per=batch momentum=0.999 momentum_end=0.999999
  momentum_hold=0.1 momentum_warmup=True statistics=clean mask_lr=None mask_min_lr=None
  batched=False game=official beta=0.3 balance=0.5 clean=True plain=None mixed=True judged=True
  cosine=True student_steps=1 generator_steps=1 encode_lam=False rectify=True norm=False
meada steps=15 lr=20.0 gamma=1.0 eta=10.0 every=10 rounds=2 online=None
dada search_epochs=20 search_size=4000 policies=25 batch_size=32 lr=0.1 weight_decay=0.0005
  policy_lr=0.005 order=second seed=0
spectral mode=mix steps=5 step=0.08 views=1 consistency=None sensitivity=None gain=4.0
  brightness=0.6 scale=sample
"""
COMMON = {"lam": "None", "per": "sample", "pairing": "cycle"}
IMAGES_ARE_ENOUGH = {
    "mixup", "cutmix", "cutout", "fmix", "gridmix", "hmix", "gmix", "agmix", "miamix", "resizemix",
    "smoothmix", "guidedmixup", "mixed", "decoupledmix",
}  # fmt: skip
ROWS = dict(row.split(" ", 1) for row in DEFAULTS.strip().replace("\n  ", " ").splitlines())


def _text(default: object) -> str:
    if isinstance(default, tuple):
        return f"({','.join(map(_text, default))})"
    return type(default).__name__ if hasattr(default, "plan") else str(default)


@pytest.mark.parametrize("name", MIXERS | OBJECTIVES)
def test_defaults_are_those_written_here(name: str) -> None:
    parameters = inspect.signature((MIXERS | OBJECTIVES)[name]).parameters
    found = {option: _text(one.default) for option, one in parameters.items()}
    found.pop("criterion", None)  # None and a new CrossEntropy are one
    written = dict(word.split("=") for word in ROWS[name].split())
    assert found == {option: COMMON[option] for option in COMMON if option in found} | written


def test_cards_say_which_methods_look_at_a_model() -> None:
    for name, cls in (MIXERS | OBJECTIVES).items():
        if cls.card is not None:
            assert cls.card.needs == ("images" if name in IMAGES_ARE_ENOUGH else "model"), name
