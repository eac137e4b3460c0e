"""AdAutoMix: several images mixed by a generator that plays against the classifier."""

from __future__ import annotations

import collections.abc
import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.nn import Linear, Module

from mixwright.arguments import check_number, check_whole
from mixwright.masknets import MaskGenerator, mask_numbers
from mixwright.mixers.cards import Card
from mixwright.mixers.sources import Of, Sources, draw_count, masked_plan, shares_plan
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.games import Game, GameName, scale_grad
from mixwright.objectives.learning import Learning
from mixwright.objectives.momentum import Look
from mixwright.objectives.objective import Losses
from mixwright.plan import MixPlan


@dataclass(kw_only=True, eq=False, repr=False)
class AdAutoMix(Learning):
    """Mix two to five images by masks of a generator, which the classifier makes ever harder work.

    The generator (``masknets.MaskGenerator``) reads the averaged teacher's features of N images and
    gives N masks. The student learns from the mixture, from whole images and from plain mixtures
    of the same images; the generator from the teacher, by ``game``: its loss on the mixture, and
    the cosine between its logits of the mixture and of the images that are in it.

    ``game="official"`` is what the authors' code does and what all their published curves come
    from. It differs from the paper in sign, in who is asked and in time; see ``Game.named``.
    What is evaluated in their tables is the teacher (``own_teacher``), not the student, whose
    learning rate does not end near 0 there: on CIFAR-100 their cosine falls from 0.1 to a floor of
    0.05 (0.08 in the log of ResNeXt-50), which ``min_lr`` of a run sets. It is 1e-4 for
    transformers and ConvNeXt, and 0 on ImageNet and most other sets.

    The preset ``"paper"`` (``AdAutoMix.preset("paper")``, METHOD ``adautomix:preset=paper``) is the
    game of the paper and with it what the paper says, or leaves out, beside it:
    ``encode_lam=True`` (it always puts shares beside features), ``rectify=False`` (its queries and
    keys are linear), ``margin=0`` (it names none), and the teacher's momentum rising from 0.999 to
    1 from the first step on (``momentum_end=1``, ``momentum_hold=0``, ``momentum_warmup=False``).
    ``game="paper"`` alone changes the game and nothing else. No figures were published of either.

    Settings that the learned mixers share are those of ``objectives.learning.Learning``.

    Args:
        game: ``"official"``, ``"paper"``, ``"averaged"`` or ``"cooperative"``.
        sources: N, from 2; two numbers for N drawn evenly between them in each step.
        beta: weight of the teacher's loss against the cosine's, in [0, 1].
        balance: weight of plain mixtures against whole images in the student's loss, in [0, 1];
            the paper's alpha.
        margin_of: whose share decides about ``margin``: the ``"largest"``, or that of the
            ``"first"`` image, as in the authors' code for N >= 3.
        clean: whether the student learns from whole images. Without it the model's own last layer
            learns nothing: our own loop evaluates ``head`` then, on what enters that layer, and
            so should yours (``mixed_heads``).
        plain: whether it learns from plain mixtures; None: for N >= 3 and in the game of the
            paper, as the authors. Where there are none by this rule and ``plain`` asks for none,
            whole images weigh 1.
        mixed: whether it learns from the generator's mixtures.
        judged: whether the generator follows the teacher's loss.
        cosine: whether it follows the cosine.
        student_steps: batches for the student, in a row, before those of the generator (T1).
        generator_steps: batches for the generator (T2); with 1 and 1 both learn from every one.
        encode_lam: whether the generator reads the shares; the paper says so, the authors' runs
            on CIFAR-100 and Tiny-ImageNet do not.
        rectify: whether keys and queries pass a ReLU, as in the authors' code; the paper has none.
        norm: whether they pass a batch normalisation first, as in the run on ImageNet.

    Raises:
        ValueError: see ``objectives.learning.Learning``; or the student has nothing to learn from.

    Example:
        >>> conv = [torch.nn.Conv2d(i, o, 3, 2, padding=1) for i, o in ((3, 8), (8, 8), (8, 16))]
        >>> stages = [torch.nn.Sequential(c, torch.nn.BatchNorm2d(c.out_channels)) for c in conv]
        >>> model = torch.nn.Sequential(*stages, torch.nn.Flatten(), torch.nn.Linear(16 * 16, 5))
        >>> objective = AdAutoMix(game="paper", image_size=32)
        >>> objective.build(model, 5)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> sorted(losses.terms)
        ['clean', 'cosine', 'mixed', 'plain', 'teacher']

    Source: Qin et al., "Adversarial AutoMixup", ICLR 2024, arXiv:2312.11954; code in
    JinXins/Adversarial-AutoMixup.

    Departs from their code in the teacher's running statistics (``statistics="official"`` is
    theirs), in its momentum at the beginning (``momentum_warmup=False``), in the margin
    (``margin_of="first"``), and in the partners of pairs, who there may be the sample itself.
    Alternating steps (``student_steps``, ``generator_steps``) go on to the next batch, where
    Algorithm 1 stays with one.

    Departs from the paper, in every game and in the preset, as their code does: whole and mixed
    images have a last layer each, where the paper has one classifier; maps are enlarged before the
    softmax over the images, where its Eq. 6 enlarges what the softmax gave; and the cosine is that
    of the logits, where it speaks of features.
    """

    card = Card(
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
        labels="share",
        formula="lam_1 .. lam_N ~ Beta(alpha, alpha), divided by their sum\n"
        "z_1 .. z_N = the teacher's features\n"
        "M_1 .. M_N = generator(z_1 .. z_N), of sum 1 at each pixel\n"
        "x~ = sum over n of M_n x_n\n"
        "y~ = sum over n of lam_n y_n\n"
        "the student lowers its loss on x~; the generator raises it, held by the teacher's loss "
        "and a cosine",
        limits="Four plain steps a step, the dearest here, and a game whose two sides can drift "
        "apart; code and paper play different games. In our record its students were where MixUp's "
        "are. Published figures are of the teacher, from a learning rate that does not end near 0.",
        cites=("qin2024adautomix",),
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "game": "paper",
            "encode_lam": True,
            "rectify": False,
            "margin": 0.0,
            "momentum_end": 1.0,
            "momentum_hold": 0.0,
            "momentum_warmup": False,
        }
    }

    game: GameName = "official"
    sources: Sources = 3
    beta: float = 0.3
    balance: float = 0.5
    alpha: float = 1.0
    margin: float = 0.03
    margin_of: Of = "largest"
    clean: bool = True
    plain: bool | None = None
    mixed: bool = True
    judged: bool = True
    cosine: bool = True
    student_steps: int = 1
    generator_steps: int = 1
    mask_weight: float = 0.0
    encode_lam: bool = False
    rectify: bool = True
    norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("AdAutoMix", "beta", self.beta, high=1.0)
        check_number("AdAutoMix", "balance", self.balance, high=1.0)
        check_whole("AdAutoMix", "student_steps", self.student_steps, low=1)
        check_whole("AdAutoMix", "generator_steps", self.generator_steps, low=1)
        fewest = self.sources if isinstance(self.sources, int) else self.sources[0]
        if not (self.clean or self._uses_plain_mixtures(fewest) or self.mixed):
            raise ValueError(
                "AdAutoMix: clean, plain and mixed are all off; expected the student to learn from "
                "something. Switch one of them on."
            )
        both_always = (self.student_steps, self.generator_steps) == (1, 1)
        self.alternates = not (both_always and self.clean and self.mixed)

    def make_network(self, channels: int) -> MaskGenerator:
        """See ``Learning.make_network``."""
        return MaskGenerator(
            channels,
            encode_lam=self.encode_lam,
            activation="relu" if self.rectify else None,
            norm=self.norm,
            upsample=self.upsample,
        )

    def forward(
        self,
        model: Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """See ``Objective.forward``."""
        players = self.begin(model, images, labels, progress)
        game, turn = Game.named(self.game, self.beta), self._turn()
        look = players.teacher.look(images, players.layer)
        count = draw_count(self.sources, generator=generator)
        index, lam = self.draw(images, count, generator=generator)
        mixture = self._mixture(
            images, look, index, lam, margin=self.margin, learned=game.shared and turn.generator
        )
        terms, diagnostics = dict[str, Tensor](), dict[str, Tensor]()
        logits, shown = None, True  # whether the logits are of mixed images
        if turn.student:
            shown = self.mixed or self._uses_plain_mixtures(count)
            terms, logits = self._student_loss(model, images, labels, mixture, factor=game.student)
            diagnostics = {"mixed loss": terms["mixed"]} if self.mixed else {}
        if turn.generator:
            own = mixture
            if not game.shared:
                index, other = self.draw(images, count, generator=generator)
                lam = other if count == 2 else lam
                own = self._mixture(images, look, index, lam, margin=0.0, learned=True)
            elif not turn.student and self.mixed:
                # The student rests in this step, but the generator climbs its loss: the gradient
                # passes through the frozen student and turns its sign on the way to the masks.
                with frozen(model, players.head):
                    _, (adversarial_logits,) = self.student(
                        model, None, [scale_grad(mixture.images, game.student)]
                    )
                terms["mixed"] = mixture.plan.loss(self.criterion, adversarial_logits, labels)
            generator_terms, teacher_logits, generator_diagnostics = self._generator_loss(
                labels, look, own, game.factors(turn.number)
            )
            terms, diagnostics = terms | generator_terms, diagnostics | generator_diagnostics
            if logits is None:
                logits, mixture = teacher_logits, own
        self.settle(count)
        assert logits is not None
        return Losses(
            torch.stack(list(terms.values())).sum(),
            {name: term.detach() for name, term in terms.items()},
            logits,
            mixture.plan if shown else None,
            diagnostics={name: value.detach() for name, value in diagnostics.items()}
            | mask_numbers(mixture.mask, mixture.lam),
        )

    def warnings(self, means: Mapping[str, float], *, progress: float) -> tuple[str, ...]:
        """See ``Objective.warnings``; looks at the masks, and whether the generator runs away."""
        found = super().warnings(means, progress=progress)
        chance = math.log(max(2, self._classes))
        student, teacher = means.get("mixed loss", 0.0), means.get("teacher loss", math.inf)
        fair = isinstance(self.criterion, CrossEntropy)  # whose chance is ln K
        if fair and progress > 0.1 and student > 1.05 * chance and teacher < chance:
            found += (
                f"the generator runs away: the student's loss on its mixtures is {student:.2f}, "
                f"above chance ({chance:.2f}), while the teacher's is {teacher:.2f}. Raise beta, "
                "lower mask_lr, or give the student more steps (student_steps).",
            )
        return found

    def mixed_heads(self) -> dict[str, Linear]:
        """See ``Objective.mixed_heads``; none where the student sees no mixture at all."""
        plain = self.balance > 0 and any(map(self._uses_plain_mixtures, self._counts()))
        return super().mixed_heads() if self.mixed or plain else {}

    def own_head_learns(self) -> bool:
        """See ``Objective.own_head_learns``: from whole images alone."""
        return self.clean and any(self._clean_weight(count) > 0 for count in self._counts())

    def _counts(self) -> range:
        """Numbers of images that may be mixed."""
        low, high = (self.sources,) * 2 if isinstance(self.sources, int) else self.sources
        return range(low, high + 1)

    def _clean_weight(self, count: int) -> float:
        """Weight of whole images in the student's loss."""
        balanced = self._uses_plain_mixtures(count) or self._plain_by_default(count)
        return 1 - self.balance if balanced else 1.0

    def _plain_by_default(self, count: int) -> bool:
        """Whether the authors train on plain mixtures of so many images."""
        return count > 2 or self.game == "paper"

    def _uses_plain_mixtures(self, count: int) -> bool:
        return self._plain_by_default(count) if self.plain is None else self.plain

    def _turn(self) -> Turn:
        """Return who moves in this step."""
        step = self.steps - 1
        if (self.student_steps, self.generator_steps) == (1, 1):
            return Turn(student=True, generator=True, number=step)
        rounds, place = divmod(step, self.student_steps + self.generator_steps)
        late = place - self.student_steps
        return Turn(
            student=late < 0,
            generator=late >= 0,
            number=rounds * self.generator_steps + max(0, late),
        )

    def _mixture(
        self,
        images: Tensor,
        look: Look,
        index: Tensor,
        lam: Tensor,
        *,
        margin: float,
        learned: bool,
    ) -> Mixture:
        """Make masks and mix by them; the graph is kept where the generator learns from it."""
        with contextlib.nullcontext() if learned else torch.no_grad():
            size = (images.shape[2], images.shape[3])
            mask = self.players().network(look.features[index], lam, size=size)
            plan = masked_plan(index, lam, mask, margin=margin, of=self.margin_of)
            return Mixture(index, lam, mask, plan, plan.images(images))

    def _student_loss(
        self, model: Module, images: Tensor, labels: Tensor, mixture: Mixture, *, factor: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return what the student minimises, and its logits of the mixture."""
        count = mixture.lam.shape[1]
        use_plain_mixtures = self._uses_plain_mixtures(count)
        plain = shares_plan(mixture.index, mixture.lam)
        mixes = [plain.images(images)] if use_plain_mixtures else []
        # One mixture for both players in the games that share it: the student goes down its loss,
        # what comes back through the images to the generator is multiplied by ``factor``.
        mixes += [scale_grad(mixture.images, factor)] if self.mixed else []
        own, logits = self.student(model, images if self.clean else None, mixes)
        terms = dict[str, Tensor]()
        if own is not None:
            terms["clean"] = self._clean_weight(count) * self.criterion(own, labels).mean()
        if use_plain_mixtures:
            terms["plain"] = self.balance * plain.loss(self.criterion, logits[0], labels)
        if self.mixed:
            terms["mixed"] = mixture.plan.loss(self.criterion, logits[-1], labels)
        last = logits[-1] if logits else own
        assert last is not None
        return terms, last

    def _generator_loss(
        self, labels: Tensor, look: Look, own: Mixture, factors: tuple[float, float]
    ) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
        """Return what the generator follows, the teacher's logits, and diagnostics."""
        assert look.logits is not None
        logits = self.players().teacher.judge(own.images)
        loss = own.plan.loss(self.criterion, logits, labels)
        cosine = cosine_similarity(look.logits[own.index], logits, own.lam)
        terms = {
            "teacher": (factors[0] if self.judged else 0.0) * loss,
            "cosine": (factors[1] if self.cosine else 0.0) * cosine,
        }
        if self.mask_weight:
            terms["mask"] = self.mask_weight * self.mask_penalty(own.mask, own.lam)
        return terms, logits, {"teacher loss": loss, "likeness": cosine}


@dataclass(frozen=True)
class Turn:
    """Who learns in a step."""

    student: bool
    generator: bool
    number: int  # of the generator's step, from 0


@dataclass(frozen=True)
class Mixture:
    """Images mixed by the generator's masks."""

    index: Tensor  # (B, N) int64
    lam: Tensor  # (B, N) float32
    mask: Tensor  # (B, N, H, W) float32, what the generator gave
    plan: MixPlan  # made of them
    images: Tensor  # (B, C, H, W)


def cosine_similarity(clean: Tensor, mixed: Tensor, lam: Tensor) -> Tensor:
    """Return the cosine between the logits of a mixture and of the images in it, 0-d in [-1, 1].

    Logits are ``(B, N, K)`` and ``(B, K)``; the mean over the batch, weighted by shares ``(B, N)``.

    Example:
        >>> clean = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
        >>> cosine_similarity(clean, torch.tensor([[3.0, 0.0]]), torch.tensor([[0.25, 0.75]]))
        tensor(0.2500)
    """
    each = F.cosine_similarity(clean.float(), mixed.float()[:, None], dim=2, eps=1e-8)
    return (lam * each).sum(dim=1).mean()


@contextlib.contextmanager
def frozen(*modules: Module) -> collections.abc.Generator[None]:
    """Let no gradient reach the parameters in forwards made inside."""
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
