"""A trained network of masks as a mixer: frozen, saved, loaded, with the encoder that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import Module

from mixwright.arguments import MissingModelError, check_arguments, check_number, check_whole
from mixwright.checkpoint import load_checkpoint
from mixwright.masknets import MaskNet
from mixwright.mixers.hub import file_on_hub, on_hub
from mixwright.mixers.mixer import Per, check_batch, check_step
from mixwright.mixers.mixer_file import (
    arguments_in_file,
    in_a_file,
    mixer_of_run,
    mixer_path,
    write_mixer,
)
from mixwright.mixers.pair_mixer import singleton_plan
from mixwright.mixers.sources import Of, Sources, draw_count, draw_sources, masked_plan
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.taps import bare, deep_copy, evaluating, named_layer, tapping
from mixwright.taps.sites import map_of

_NAME = "LearnedMixer"
_M = TypeVar("_M", bound=Module)


class LearnedMixer(Module):
    """Mix by the masks of a trained network, which learns no more.

    The encoder looks at the unmixed batch, the network makes masks of what one of its layers
    gives, and labels weigh by the shares that were drawn. It costs one forward of the encoder a
    batch, up to its end, and no backward. ``AutoMix``, ``SAMix`` and ``AdAutoMix`` give one by
    ``trained_mixer()``; ``load_mixer`` reads one from a run or a file.

    Encoder and network are copied, kept in float32, and stay without gradients and in evaluation
    mode whatever mode an owner is in: batch normalisation takes its running statistics, where
    training took those of each batch. They go to the images' device with the first batch of it.

    Args:
        encoder: the network whose features the masks are made of; wrappers of DDP and
            ``torch.compile`` are looked through. None to look through the ``model`` that is
            given to ``plan``, which should then be much like the one it was trained with.
        network: gives the masks.
        layer: name of the layer whose map, or tokens, the network reads.
        sources: N, images in a mixture, at least 2; or ``(low, high)``, both included, one draw a
            batch.
        alpha: of the shares, at least 0; see ``draw_sources``.
        per: ``"batch"``, one draw of shares a batch, as it was trained; or ``"sample"``.
        margin: in [0, 0.5]; see ``masked_plan``.
        margin_of: ``"largest"`` or ``"first"``; see ``masked_plan``.
        about: plain values that are saved with it: ``encoder``, how the encoder is rebuilt, and
            ``recipe``, how it was trained. ``load_mixer`` sees to that.

    Raises:
        ValueError: an argument is out of range, the encoder has no such layer, or the network is
            none of masks or cannot mix so many sources.

    Example:
        >>> from mixwright.masknets import MixBlock
        >>> encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
        >>> mixer = LearnedMixer(encoder, MixBlock(8), layer="0")
        >>> rng = torch.Generator().manual_seed(0)
        >>> mixer.plan(torch.rand(4, 3, 32, 32), generator=rng)
        MixPlan(B=4, N=2, mask=DenseMask, pool=4, device=cpu)

    Source: SAMix-P, Li et al. 2021, arXiv:2111.15454, where a trained network serves as a policy.
    """

    @check_arguments
    def __init__(
        self,
        encoder: Module | None,
        network: MaskNet,
        *,
        layer: str,
        sources: Sources = 2,
        alpha: float = 1.0,
        per: Per = "batch",
        margin: float = 0.0,
        margin_of: Of = "largest",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        _check_sources(sources, network)
        check_number(_NAME, "alpha", alpha)
        check_number(_NAME, "margin", margin, high=0.5)
        if encoder is not None:
            named_layer(encoder, layer)
        self.encoder = None if encoder is None else _frozen(bare(encoder))
        self.network = _frozen(network)
        self.layer = layer
        self.sources = sources
        self.alpha, self.margin = alpha, margin
        self.per: Per = per
        self.margin_of: Of = margin_of
        self.about: dict[str, Any] = dict(about or {})
        self.train(False)

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; labels are not read, the model only where there is no encoder.

        Images are in the scale that the encoder learned with, [0, 1] in our loop; of any size that
        it takes. A batch of one is left as it is.

        Raises:
            ValueError: there is neither encoder nor model, the model has no such layer, or images
                are not ``(B, C, H, W)``.
        """
        check_step(_NAME, images, generator=generator, model=model)
        check_batch(_NAME, images, labels, dims=2)
        encoder = model if self.encoder is None else self.encoder
        if encoder is None:
            raise MissingModelError(
                f"{_NAME}: model missing, and it has no encoder of its own; expected one of them.",
                f"make it with {_NAME}(encoder, ...)",
            )
        if len(images) == 1:
            return singleton_plan(images)
        self._follow(images)
        with drawing(images):
            count = draw_count(self.sources, generator=generator)
            index, lam = draw_sources(
                len(images),
                count,
                alpha=self.alpha,
                device=images.device,
                generator=generator,
                per=self.per,
            )
            features = _features(bare(encoder), images, self.layer)
            with evaluating(self.network):
                mask = self.network(features[index], lam, size=(images.shape[2], images.shape[3]))
            return masked_plan(index, lam, mask, margin=self.margin, of=self.margin_of)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        encoder: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> str | None:
        """Save as models of the Hugging Face hub are: weights, config and a card, in a folder.

        Args:
            folder: made where it is missing. A card, ``README.md``, that you wrote or changed
                stays.
            encoder: how the encoder is rebuilt, as ``save_mixer`` takes it.
            options: those of ``huggingface_hub.ModelHubMixin.save_pretrained``, such as
                ``push_to_hub=True``.

        Raises:
            ValueError: see ``save_mixer``.
            ImportError: huggingface_hub, of the extra ``hub``, is missing or too old.
        """
        return on_hub(self, encoder).save_pretrained(folder, **options)

    def push_to_hub(
        self, repo_id: str, *, encoder: Mapping[str, Any] | None = None, **options: Any
    ) -> str:
        """Upload what ``save_pretrained`` saves; see ``huggingface_hub.ModelHubMixin.push_to_hub``.

        Args:
            repo_id: the repository, ``owner/name``.
            encoder: how the encoder is rebuilt, as ``save_mixer`` takes it.
            options: such as ``private=True``, ``token`` and ``branch``.

        Returns:
            address of the commit.
        """
        return on_hub(self, encoder).push_to_hub(repo_id, **options)

    @staticmethod
    def from_pretrained(
        name: str | Path, *, encoder: Module | None = None, trust: bool = False, **options: Any
    ) -> LearnedMixer:
        """Read what ``save_pretrained`` saved, from a folder or the Hugging Face hub.

        No code of the repository runs, as with ``load_mixer``.

        Args:
            name: a folder, or a repository, ``owner/name``.
            encoder: as ``load_mixer`` takes it; so is ``trust``.
            options: those of ``huggingface_hub.ModelHubMixin.from_pretrained``, such as
                ``revision`` and ``local_files_only``.

        Returns:
            the mixer, on the CPU.

        Raises:
            ValueError: there is no such folder or repository, it holds no learned mixer, or see
                ``load_mixer``.
            ImportError: huggingface_hub, of the extra ``hub``, is missing or too old.
        """
        return load_mixer(file_on_hub(name, **options), encoder, trust=trust)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever is asked for."""
        del mode
        return super().train(False)

    def __repr__(self) -> str:
        """Show the settings, not the layers inside."""
        encoder = "None" if self.encoder is None else type(self.encoder).__name__
        return (
            f"{_NAME}({encoder}, {type(self.network).__name__}, layer={self.layer!r}, "
            f"sources={self.sources}, alpha={self.alpha:g}, per={self.per!r}, "
            f"margin={self.margin:g}, margin_of={self.margin_of!r})"
        )

    def _follow(self, images: Tensor) -> None:
        """Go to the images' device: inside ``OneOf`` no owner's ``.to(...)`` gets here."""
        weight = next(self.parameters(), None)
        if weight is not None and weight.device != images.device:
            self.to(images.device)


@check_arguments
def save_mixer(
    mixer: LearnedMixer, path: str | Path, *, encoder: Mapping[str, Any] | None = None
) -> None:
    """Write a trained mixer to a file, whole or not at all: network, encoder and settings.

    Args:
        mixer: what ``objective.trained_mixer()`` or ``load_mixer`` gave.
        path: file to write or replace, such as ``generator.pt``; its folder exists.
        encoder: how the encoder is rebuilt: ``name``, ``num_classes``, ``image_size`` and
            ``channels`` as ``build_model`` of the extra ``lab`` takes them, and ``mean`` and
            ``std`` where it is wrapped in ``Normalised``. None for what the mixer knows of
            itself, which it does where a run was read; otherwise ``load_mixer`` will want the
            architecture.

    Raises:
        ValueError: the mixer is no ``LearnedMixer``, ``encoder`` builds another network than its
            encoder, the network's settings are no plain values, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> from mixwright.masknets import MixBlock
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.LazyLinear(5))
        >>> _ = net(torch.rand(1, 3, 16, 16))  # its last layer takes its shape
        >>> mixer = LearnedMixer(net, MixBlock(8), layer="0")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_mixer(mixer, f"{folder}/generator.pt")
        ...     same = load_mixer(f"{folder}/generator.pt", encoder=net)
        >>> same.layer
        '0'
    """
    if not isinstance(mixer, LearnedMixer):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"save_mixer: mixer is a {type(mixer).__name__}; expected a LearnedMixer, which "
            "objective.trained_mixer() gives. Mixers that learned nothing need no file."
        )
    write_mixer(mixer, Path(path), encoder)


@check_arguments
def load_mixer(
    path: str | Path, encoder: nn.Module | None = None, *, trust: bool = False
) -> LearnedMixer:
    """Read a trained mixer, frozen, to mix with in any loop.

    Args:
        path: a file that ``save_mixer`` wrote; or the folder of a run whose method learns a
            mixer, or its ``last.pt``.
        encoder: the architecture of the encoder, where it is a model of your own that cannot be
            rebuilt by name; of a run, the model that was trained. It is copied, and the saved
            weights go into the copy.
        trust: import the modules of a class and of a network of yours that a run was trained
            with, which runs their code. Without it both are taken from modules that are imported
            already.

    Returns:
        the mixer, on the CPU; it goes to the device of the images it is given.

    Raises:
        ValueError: there is no such file; it is damaged or foreign, or its method learns no mixer
            or is of a module that is not imported; ``encoder`` is missing or the weights do not
            fit it; or the extra ``lab`` is missing, for a run or an encoder that has a name only.

    Example:
        >>> load_mixer("nowhere.pt")
        Traceback (most recent call last):
        ...
        mixwright.checkpoint.CheckpointError: load_mixer: there is no nowhere.pt; ...
    """
    file = mixer_path(Path(path))
    state = load_checkpoint(file)
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, to be replaced
        if in_a_file(state):
            return LearnedMixer(**arguments_in_file(file, state, encoder, trust=trust))
        mixer: LearnedMixer = mixer_of_run(file, state, encoder, trust=trust)
    if encoder is not None:  # it may be anything: only what was rebuilt by name can be again
        mixer.about["encoder"] = None
    return mixer


def _features(encoder: Module, images: Tensor, layer: str) -> Tensor:
    """Give the map of a layer, ``(B, c, h, w)`` float32; leaves no trace on the encoder."""
    weight = next((p for p in encoder.parameters() if p.is_floating_point()), None)
    dtype = torch.float32 if weight is None else weight.dtype
    with evaluating(encoder), tapping(encoder, layer, copied=True) as tap:
        encoder(images.to(dtype, copy=True))  # networks may write into what they get
    return map_of(encoder, tap.value, images).float()


def _frozen(module: _M) -> _M:
    """Copy a module, in float32 and without gradients."""
    return deep_copy(module).float().requires_grad_(False)


MOST_SOURCES = 100
"""Of one image: each takes the memory of a batch."""


def _check_sources(sources: Sources, network: MaskNet) -> None:
    """Refuse numbers of sources that cannot be, or of which a network gives no masks."""
    low, high = sources if isinstance(sources, tuple) else (sources, sources)
    check_whole(_NAME, "sources", low, low=2)
    check_whole(_NAME, "sources", high, low=low, high=MOST_SOURCES)
    if network.sources is not None and not low == high == network.sources:
        raise ValueError(
            f"{_NAME}: sources is {low if low == high else sources!r}; expected {network.sources}: "
            f"{type(network).__name__} makes masks of so many images only."
        )
