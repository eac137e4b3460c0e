"""A card for each objective: whose it is, what it needs and what it costs. Imports no torch."""

from __future__ import annotations

from mixwright.mixers.cards import Card

_LITTLE = "small kernels"

OBJECTIVE_CARDS: dict[str, Card] = {
    "manifoldmix": Card(
        title="ManifoldMix",
        paper="Verma et al., ICML 2019",
        link="https://arxiv.org/abs/1806.05236",
        needs="model",
        cost="one pass over the features",
        note="A weighted mean of two samples at the input or at a layer drawn at random.",
    ),
    "alignmix": Card(
        title="AlignMix",
        paper="Venkataramanan et al., CVPR 2022",
        link="https://arxiv.org/abs/2103.15375",
        needs="model",
        cost="Sinkhorn iterations on the positions of the last map",
        note="A weighted mean of last features, one laid out as the other; half of the steps are "
        "plain MixUp.",
    ),
    "decoupledmix": Card(
        title="DecoupledMix",
        paper="Liu et al., NeurIPS 2023",
        link="https://arxiv.org/abs/2203.10761",
        cost="that of its mixer, and small kernels",
        note="Any mixer with a loss that sees each of the mixed classes without the others.",
    ),
    "recursivemix": Card(
        title="RecursiveMix",
        paper="Yang et al., NeurIPS 2022",
        link="https://arxiv.org/abs/2203.06844",
        needs="model",
        cost="two passes over the pixels; memory for one more batch",
        note="The mixed image of the step before, made small and pasted, and a loss that ties "
        "both views.",
    ),
    "transmix": Card(
        title="TransMix",
        paper="Chen et al., CVPR 2022",
        link="https://arxiv.org/abs/2111.09833",
        needs="model",
        cost=_LITTLE,
        note="CutMix whose labels weigh by the attention of the class token; for transformers.",
    ),
    "tokenmix": Card(
        title="TokenMix",
        paper="Liu et al., ECCV 2022",
        link="https://arxiv.org/abs/2207.08409",
        needs="model",
        cost=_LITTLE,
        forwards=1.5,
        note="Blocks of tokens of the partner, labels by activation; without offline maps half of "
        "the steps look at the unmixed images first; for transformers.",
    ),
    "tokenmixup": Card(
        title="TokenMixup",
        paper="Choi, Choi and Kim, NeurIPS 2022",
        link="https://arxiv.org/abs/2210.07562",
        needs="model",
        cost="one attention more and an assignment within the batch",
        note="Tokens of easy samples replaced by more salient ones of others, inside the network; "
        "for transformers.",
    ),
    "mixpro": Card(
        title="MixPro",
        paper="Zhao et al., ICLR 2023",
        link="https://arxiv.org/abs/2304.12043",
        needs="model",
        cost=_LITTLE,
        note="Random cells of a grid, labels between area and attention by the model's own "
        "confidence; for transformers.",
    ),
    "smmix": Card(
        title="SMMix",
        paper="Chen et al., ICCV 2023",
        link="https://arxiv.org/abs/2212.12977",
        needs="model",
        cost=_LITTLE,
        forwards=1.5,
        note="The most attended region of one image on the least attended one of another, with "
        "losses of both regions; half of the steps look at the unmixed images first; for "
        "transformers.",
    ),
    "automix": Card(
        title="AutoMix",
        paper="Liu et al., ECCV 2022",
        link="https://arxiv.org/abs/2103.13027",
        needs="model",
        cost="a block of attention on one map, twice",
        forwards=4,
        backwards=2,
        input_backwards=1,
        note="Pairs by masks of a network that learns, through an averaged teacher, to keep both "
        "labels recognisable.",
    ),
    "samix": Card(
        title="SAMix",
        paper="Li et al., 2021",
        link="https://arxiv.org/abs/2111.15454",
        needs="model",
        cost="a block of attention on one map, twice",
        forwards=4,
        backwards=2,
        input_backwards=1,
        note="AutoMix with a block that reads both images, told the share by a factor.",
    ),
    "adautomix": Card(
        title="AdAutoMix",
        paper="Qin et al., ICLR 2024",
        link="https://arxiv.org/abs/2312.11954",
        needs="model",
        cost="attentions of three images on one map, twice",
        forwards=5,
        backwards=3,
        input_backwards=1,
        note="Three images by masks of a generator that plays against the classifier; four games, "
        "the authors' code by default.",
    ),
    "meada": Card(
        title="MEADA",
        paper="Zhao et al., NeurIPS 2020",
        link="https://arxiv.org/abs/2010.08001",
        needs="model",
        dims="any",
        cost="between epochs 15 forwards and 15 backwards to the pixels for each image, twice; "
        "with four times the data a published run of 100 epochs costs 3.8 times plain training",
        note="Hard copies of all images, made by gradient ascent on the model's own loss and "
        "entropy; the data double twice.",
    ),
    "dada": Card(
        title="DADA",
        paper="Li et al., ECCV 2020",
        link="https://arxiv.org/abs/2003.03780",
        needs="model",
        cost="two image operations a sample; before the first epoch a search of 1,240 iterations, "
        "each 13 forwards' time",
        note="No mixing: pairs of image operations that a search on a small part of the images has "
        "found to help.",
    ),
    "spectral": Card(
        title="Spectral",
        paper="after Zhang et al., AAAI 2023 and MICCAI 2023",
        link="https://arxiv.org/abs/2309.01207",
        needs="model",
        cost="six Fourier transforms back, and their gradients",
        forwards=6,
        input_backwards=5,
        note="Amplitudes mixed with another image's by shares that climb the loss; phases and "
        "label stay. The mixing is ours, since the authors' is not public; mode=attack is SADA's.",
    ),
}
"""Short name, as in ``OBJECTIVES``, to card."""
