"""What an objective is: how a model learns from a batch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from torch import Generator, Tensor
from torch.nn import Linear, Module

from mixwright.arguments import check_choice, check_unit
from mixwright.mixers.cards import Card
from mixwright.mixers.combine import needs_partner, self_flips, views_of, with_flips
from mixwright.mixers.mixer import Mixer
from mixwright.outputs import take_logits
from mixwright.plan import MixPlan


@dataclass(frozen=True, slots=True)
class Losses:
    """What one step of an objective gives.

    Attributes:
        total: 0-d, what is differentiated.
        terms: named 0-d parts of ``total``, for the record.
        logits: ``(B, K)`` of the images that the model saw, for metrics.
        plan: how these images were mixed; None where they were not.
        labels: labels of the plan's pool where that is not the batch; None where it is.
        diagnostics: named 0-d numbers worth watching that are no parts of ``total``.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    logits: Tensor
    plan: MixPlan | None = None
    labels: Tensor | None = None
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


class Objective(Module):
    """How a model learns from mixing; subclasses define ``forward``.

    An objective may own parameters (heads, a mask network) and a teacher. Training wraps
    model and objective in one module and makes one backward for all players.

    Attributes:
        alternates: whether some steps leave parameters without a gradient, which DDP has to know.
            What ``Losses`` holds beside ``total`` must then carry no graph to a player that rests;
            logits are detached by the loop.
        card: what ``mixwright list`` and the docs say of it; None for objectives without.
        presets: sets of options by name, each to be had whole by ``preset``.
    """

    alternates: bool = False
    _looked: bool = False  # whether a batch was found to be in [0, 1]
    card: ClassVar[Card | None] = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Make the module ready for fields: what ``@dataclass`` writes calls no ``__init__``.

        A setting that may be a module (``criterion``, a mixer) must have no class attribute, which
        would hide it: give it ``field(default_factory=...)``.
        """
        del args, options
        made = super().__new__(cls)
        Module.__init__(made)
        return made

    @classmethod
    def preset(cls, name: str, **options: Any) -> Self:
        """Make one with all options of a preset; ``options`` win over those.

        Raises:
            ValueError: there is no preset of that name.
        """
        check_choice(cls.__name__, "preset", name, tuple(cls.presets))
        return cls(**{**cls.presets[name], **options})

    def build(self, model: Module, num_classes: int) -> None:
        """Make heads, teacher or generator; called once, before the optimiser is made."""

    def check_unit(self, images: Tensor) -> None:
        """Refuse images outside [0, 1]; on an accelerator, where reading waits, the first only."""
        if images.device.type == "cpu" or not self._looked:
            check_unit(type(self).__name__, images)
            self._looked = True

    def forward(
        self,
        model: Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """Run the model on a batch and say what is to be minimised.

        Args:
            model: the classifier, images to logits ``(B, K)``.
            images: ``(B, C, H, W)`` floating in [0, 1].
            labels: ``(B,)`` int64 or ``(B, K)`` floating.
            generator: CPU generator, the source of all randomness.
            progress: share of training that is done, in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def extra_repr(self) -> str:
        """Show the settings that the constructor takes, and the mixer that is made of them."""
        names = dict.fromkeys((*inspect.signature(type(self)).parameters, "mixer"))
        return ", ".join(f"{name}={vars(self)[name]!r}" for name in names if name in vars(self))

    def param_groups(self, recipe: Any) -> list[dict[str, Any]]:
        """Return parameter groups that the optimiser gets beside the model's.

        Args:
            recipe: the run's ``training.Recipe``.

        Returns:
            Dictionaries with ``params`` and what ``training.build_optimizer`` knows: ``name``,
            ``optimizer`` ("sgd", "adamw" or "lamb"), ``lr``, ``min_lr``, ``warmup``,
            ``weight_decay``, ``momentum``, ...; by default one of all own parameters that want a
            gradient, and none if there are none.
        """
        del recipe
        own = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": own}] if own else []

    def after_step(self, model: Module) -> None:
        """Do what follows an optimiser step, such as moving a teacher."""

    def on_epoch_start(self, data: Any) -> Any:
        """Do what precedes an epoch, such as adding samples to the data.

        It is called before every epoch, in all processes alike, also in the first after a run was
        resumed. What it added earlier belongs into the objective's state (a buffer, or
        ``get_extra_state``): from that and the run's own data it makes the same set again. There
        is no generator here, and torch's global one differs between processes: draw from a stream
        of your own that all processes share.

        Args:
            data: the run's own ``data.Dataset``, the same in each epoch.

        Returns:
            The data set to learn from in this epoch, the same in each process; None for the run's
            own. Return the same object while it does not change: another one is moved to the
            device again.
        """

    def needs_partner(self) -> bool:
        """Return whether images are mixed with others of their batch, so that one alone is not.

        Training refuses such an objective where all its batches are of one image. By default it is
        what ``mixer`` and ``otherwise`` do (see ``mixers.combine.needs_partner``).
        """
        return any(needs_partner(mixer) for mixer in self._mixers().values())

    def views_wanted(self) -> int:
        """Return how many augmented views of each image a batch holds.

        With V views, ``forward`` is given V B images and labels, first views first. By default
        ``mixer`` decides (see ``mixers.combine.views_of``).
        """
        mixer = self._mixers().get("mixer")
        return 1 if mixer is None else views_of(mixer)

    def allow_flips(self, allowed: bool) -> dict[str, bool]:
        """Say whether the data may be mirrored, to mixers that leave it open; before training.

        Return what every mixer does that mirrors images of itself, for the record; see
        ``mixers.combine.with_flips``.
        """
        found: dict[str, bool] = {}
        for name, mixer in self._mixers().items():
            told = with_flips(mixer, allowed)
            if told is not mixer:
                setattr(self, name, told)
            found |= {f"{owner}.self_flip": flips for owner, flips in self_flips(told).items()}
        return found

    def _logits(self, model: Module, images: Tensor) -> Tensor:
        """Run a classifier on images and take the logits out of what it returns."""
        return take_logits(model(images), who=type(self).__name__, count=len(images))

    def _mixers(self) -> dict[str, Mixer]:
        """The mixers among its settings, by attribute."""
        named = {name: getattr(self, name, None) for name in ("mixer", "otherwise")}
        return {name: mixer for name, mixer in named.items() if isinstance(mixer, Mixer)}

    def mixed_heads(self) -> dict[str, Linear]:
        """Return second last layers for the model, which learn from mixed images.

        By name: ``"raw"`` is the model's, which takes what enters the model's own last layer, and
        ``"teacher"`` that of ``own_teacher``; empty where there are none, or none learns. A run is
        evaluated with them too.
        """
        return {}

    def own_head_learns(self) -> bool:
        """Return whether the model's own last layer learns.

        Where it does not, a run is evaluated with ``mixed_heads`` alone.
        """
        return True

    def before_evaluation(self, batches: Any) -> None:
        """Do what precedes an evaluation, such as measuring a teacher's running statistics.

        ``batches`` are unmixed training images of this process and their labels, to be gone through
        once.
        """

    def own_teacher(self) -> Module | None:
        """Return a classifier of its own that is evaluated beside the model; or None."""
        return None

    def trained_mixer(self) -> Any:
        """Return what was learned about mixing, as a mixer to use anywhere; or None."""
        return None

    def compiled_parts(self) -> tuple[Module, ...]:
        """Return the modules that ``torch.compile`` is worth using on, beside the model."""
        return ()

    def warnings(self, means: Mapping[str, float], *, progress: float) -> tuple[str, ...]:
        """Return sentences on what has gone wrong, and what to do, judged by the means of an epoch.

        ``means`` holds ``loss``, ``accuracy`` and those of ``Losses.terms`` and ``diagnostics``.
        """
        del means, progress
        return ()
