"""Who is mixed, where, and how much of each label: decided once, applied to everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor

from mixwright.constants import steps
from mixwright.masks.blocks import area_mean
from mixwright.masks.mask_forms import Box, DenseMask, MaskForm
from mixwright.masks.mask_ops import all_planes
from mixwright.outputs import Output
from mixwright.plan.autograd import outside_inference
from mixwright.plan.blending import blend
from mixwright.plan.checking import (
    check_choice_of_rows,
    check_dtype,
    check_kinds,
    check_mask,
    check_sizes,
    check_values,
    warn_of_classes,
)
from mixwright.plan.joining import joined
from mixwright.plan.labelling import (
    as_labels,
    class_count,
    known_labels,
    mixed_loss,
    mixed_rows,
    mixed_targets,
    one_hot_classes,
    pair_weights,
    weighted_accuracy,
)
from mixwright.precision import without_autocast
from mixwright.tensors import check_tensor
from mixwright.warps import Warp


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, init=False, repr=False)
class MixPlan:
    """The record of one mixed batch: B outputs, N sources each.

    ``images[b] = sum_n mask[b, n] * warp_n(pool[index[b, n]])`` and
    ``target[b] = sum_n weight[b, n] * label[index[b, n]]``. Images, labels, loss, metrics and
    pictures all follow from it, so they cannot disagree.

    Attributes:
        index: ``(B, N)`` int64, rows of the pool. Column 0 is the sample itself where a method has
            a base. -1 is the null source, a constant fill without label.
        weight: ``(B, N)`` float32, share of each source's label, at least 0; rows sum to 1 unless
            the method says otherwise.
        mask_form: the masks in the form in which they were drawn; ``mask`` renders them.
        pool: number of rows of the images and labels that the plan applies to.
        warp: for each of the N sources None or its resampling; None if there is none at all.
        fill: what the null source shows, in the images' scale: a 0-d or ``(C,)`` tensor, or one
            that broadcasts to ``(B, C, *spatial)``; None without null source.
        lam: ``(B,)`` float32, the share of own pixels that was asked for (clipping and rounding
            make the measured ``weight`` differ), or None.
        self_first: whether output b is known to have row b as its first source, so that these
            rows need not be gathered.

    Example:
        >>> plan = MixPlan.pair(torch.tensor([1, 0]), torch.full((2, 1, 1, 1), 0.75))
        >>> plan.images(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)).flatten().tolist()
        [0.25, 0.75]
        >>> plan.targets(torch.tensor([0, 1]), num_classes=2).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """

    index: Tensor
    weight: Tensor
    mask_form: MaskForm
    pool: int
    warp: tuple[Warp | None, ...] | None
    fill: Tensor | None
    lam: Tensor | None
    self_first: bool

    def __init__(
        self,
        *,
        index: Tensor,
        mask: Tensor | MaskForm,
        weight: Tensor,
        pool: int,
        warp: tuple[Warp | None, ...] | None = None,
        fill: Tensor | None = None,
        lam: Tensor | None = None,
        self_first: bool = False,
    ) -> None:
        """Check shapes; values are read by ``check`` only.

        Arguments are the attributes, but for one:

        Args:
            mask: ``(B, N, *spatial)`` floating, each spatial size 1, a divisor of the images' (a
                grid of blocks) or the images'; sums to 1 over N. Or a form of ``masks.mask_forms``.

        Raises:
            ValueError: the shapes do not belong together.
        """
        check_kinds(index, mask, weight, pool, fill, lam, self_first)
        form = DenseMask(mask, whole=True) if isinstance(mask, Tensor) else mask
        if index.ndim != 2 or index.dtype != torch.int64:
            raise ValueError(
                f"MixPlan: index has shape {tuple(index.shape)} and dtype {index.dtype}; expected "
                "an int64 (B, N) tensor of rows of the pool."
            )
        if weight.shape != index.shape:
            raise ValueError(
                f"MixPlan: weight has shape {tuple(weight.shape)}; expected that of index, "
                f"{tuple(index.shape)}: one label weight for each source."
            )
        sources = index.shape[1]
        if form.sources != sources or (warp is not None and len(warp) != sources):
            raise ValueError(
                f"MixPlan: index names {sources} sources a sample, the mask has {form.sources} and "
                f"warp {sources if warp is None else len(warp)}; expected one of each a source."
            )
        values: dict[str, Any] = {
            "index": index,
            "weight": weight.float(),
            "mask_form": form,
            "pool": int(pool),
            "warp": None if warp is None or not any(warp) else warp,
            "fill": fill,
            "lam": lam,
            "self_first": self_first and pool == index.shape[0],
        }
        for name, value in zip(values, outside_inference(tuple(values.values())), strict=True):
            object.__setattr__(self, name, value)

    # ------------------------------------------------------------------ making plans

    @classmethod
    def pair(
        cls,
        partner: Tensor,
        keep: Tensor | MaskForm,
        *,
        weight: Tensor | None = None,
        warp: tuple[Warp | None, ...] | None = None,
        lam: Tensor | None = None,
        pool: int | None = None,
    ) -> Self:
        """Mix each sample with one partner.

        Args:
            partner: ``(B,)`` int64, row of the pool of the other sample.
            keep: ``(B, 1, *spatial)`` in [0, 1] floating or bool, 1 where a sample keeps its own
                pixel; or a form of ``masks.mask_forms``.
            weight: ``(B,)`` label weight of the sample itself; by default the mean of ``keep``.
            warp: resampling of the sample and of its partner.
            lam: ``(B,)`` the share that was asked for.
            pool: rows of the pool, by default B.

        Raises:
            ValueError: ``partner`` is not an int64 ``(B,)`` or ``keep`` does not fit it.
        """
        check_tensor("MixPlan.pair", "partner", partner)
        check_mask("MixPlan.pair", "keep", keep)
        if weight is not None:
            check_tensor("MixPlan.pair", "weight", weight)
        if partner.ndim != 1 or partner.dtype != torch.int64:
            raise ValueError(
                f"MixPlan.pair: partner has shape {tuple(partner.shape)} and dtype {partner.dtype};"
                " expected an int64 (B,) tensor."
            )
        count = partner.shape[0]
        if isinstance(keep, Tensor):
            if keep.ndim < 2 or keep.shape[:2] != (count, 1):
                raise ValueError(
                    f"MixPlan.pair: keep has shape {tuple(keep.shape)}; expected ({count}, 1, "
                    "*spatial), one plane a sample. A share a sample is keep[:, None, None, None]."
                )
            keep = DenseMask(keep if keep.dtype == torch.bool else keep.float())
        own = keep.means() if weight is None else weight.float()[:, None]
        return cls(
            index=torch.stack([steps(count, partner.device), partner], dim=1),
            mask=keep,
            weight=pair_weights(own),
            pool=count if pool is None else pool,
            warp=warp,
            lam=lam,
            self_first=True,
        )

    @classmethod
    def identity(cls, images: Tensor) -> Self:
        """Leave each sample of ``(B, C, *spatial)`` as it is: one source, the sample itself."""
        check_tensor("MixPlan.identity", "images", images)
        count = len(images)
        every = torch.ones((count, 1), dtype=torch.bool, device=images.device)
        ones = every.float()
        return cls(
            index=torch.arange(count, device=images.device)[:, None],
            mask=DenseMask(every.view(count, 1, *([1] * (images.ndim - 2))), whole=True),
            weight=ones,
            pool=count,
            lam=ones[:, 0],
            self_first=True,
        )

    def replace(self, **changes: Any) -> Self:
        """Return the plan with other values of the constructor's arguments, ``weight`` above all.

        Raises:
            TypeError: a name is not an argument of the constructor.
        """
        now: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        now["mask"] = now.pop("mask_form")
        now["self_first"] &= "index" not in changes
        return type(self)(**(now | changes))

    # ------------------------------------------------------------------ reading plans

    @property
    def mask(self) -> Tensor:
        """The masks of all N sources, ``(B, N, *spatial)`` float32; they sum to 1 over N."""
        return all_planes(self.mask_form).float()

    @property
    def boxes(self) -> Tensor | None:
        """Boxes, ``(B, D, 2)`` int64: first row and the row after the last; None without boxes."""
        return self.mask_form.edges if isinstance(self.mask_form, Box) else None

    def __len__(self) -> int:
        """Give B, the number of outputs."""
        return self.index.shape[0]

    def __repr__(self) -> str:
        """Say the shape of the plan, never its values."""
        count, sources = self.index.shape
        parts = [f"B={count}", f"N={sources}", f"mask={type(self.mask_form).__name__}"]
        parts += [f"pool={self.pool}", f"device={self.index.device}"]
        parts += [] if self.warp is None else ["warp"]
        parts += [] if self.fill is None else ["fill"]
        return f"MixPlan({', '.join(parts)})"

    def labels(self, labels: Tensor) -> Tensor:
        """Return the labels of every source, unmixed, ``(B, N)`` or ``(B, N, K)``.

        With ``weight`` these are the pieces of the usual pair of losses:
        ``a, b = plan.labels(y).unbind(1)`` and ``lam = plan.weight[:, 0]``. A null source shows
        row 0, at weight 0.
        """
        return self._labels(labels)[self.index.clamp_min(0)]

    # ------------------------------------------------------------------ applying plans

    def images(self, images: Tensor) -> Tensor:
        """Mix images, or feature maps of the size that the plan was made for.

        Args:
            images: ``(pool, C, *spatial)``, uint8, float16, bfloat16, float32 or float64, any
                memory format; not written. uint8 is mixed in float32 and rounded half to even.
                Maps of class indices are no images: the mean of classes 1 and 3 is not class 2.
                Give them one-hot, a channel a class, in floating point.
                Finite: on the CPU a NaN or infinite pixel may reach its pair through a mask of 0.

        Returns:
            ``(B, C, *spatial)``, dtype, device and memory format of ``images``, fresh memory.

        Raises:
            ValueError: rows, sizes or dtype do not fit the plan.

        Warns:
            UserWarning: once, for uint8 images of one channel under a mask that blends or a warp,
                which may be class indices.
        """
        check_tensor("plan.images", "images", images)
        self._check_rows("images", images)
        check_dtype(images)
        size, form = tuple(images.shape[2:]), self.mask_form
        if not isinstance(form, DenseMask) and size != form.size:
            raise ValueError(
                f"plan.images: images have spatial size {size}, the plan was drawn for "
                f"{form.size}. Draw it for these images, or use plan.at(...)."
            )
        warn_of_classes(images, form=form, warped=self.warp is not None)
        with without_autocast(images.device):
            return blend(
                images,
                index=self.index,
                form=form,
                warp=self.warp,
                fill=self.fill,
                self_first=self.self_first,
            )

    def targets(
        self, labels: Tensor, num_classes: int | None = None, *, ignore_index: int | None = None
    ) -> Tensor:
        """Mix labels to dense targets.

        Args:
            labels: ``(pool,)`` int64 class indices, or ``(pool, K)`` floating, soft or multi-hot;
                or, for segmentation, maps of class indices ``(pool, *spatial)``, at least 2-D,
                which are mixed pixel by pixel as the images are.
            num_classes: K for class indices, where it is required; never guessed.
            ignore_index: the class index that stands for "not known", such as -100 or 255. Its
                share of a target is left out: targets sum to the share of what is known, down to
                0, so that in a cross entropy the unknown counts nothing, for or against a class.

        Returns:
            ``(B, K)`` float32 (float64 for float64 labels), linear in the labels; of maps
            ``(B, K, *spatial)`` float32.

        Raises:
            ValueError: shape or dtype is another, ``num_classes`` is missing or contradicts the
                labels, or (on the CPU) a label is out of range.
        """
        labels = self._labels(labels)
        if labels.ndim > 2 and not labels.is_floating_point():
            planes = one_hot_classes(labels, num_classes, ignore_index)
            fill = self.fill  # whatever it shows, it is of no class
            return (self if fill is None else self.replace(fill=fill.new_zeros(()))).images(planes)
        labels, weight = self._known(labels, ignore_index)
        return mixed_targets(labels, index=self.index, weight=weight, num_classes=num_classes)

    def loss(
        self,
        criterion: Callable[[Tensor, Tensor], Tensor],
        logits: Output,
        labels: Tensor,
        *,
        ignore_index: int | None = None,
    ) -> Tensor:
        """Mix the losses of the sources' labels; for losses linear in the target the usual loss.

        Args:
            criterion: takes ``(logits, labels of one source)`` and returns ``(B,)``, one loss a
                sample, such as ``CrossEntropyLoss(reduction="none")``.
            logits: ``(B, K)`` of the mixed images, or a model's output that holds them under the
                name ``logits``.
            labels: ``(pool,)`` or ``(pool, K)``, whatever the criterion takes.
            ignore_index: see ``targets``; the criterion sees class 0 there, without weight.

        Returns:
            0-d, the mean over the batch of the weighted losses.

        Raises:
            ValueError: the criterion reduces over the batch, or shapes do not fit.
        """
        labels, weight = self._known(self._labels(labels), ignore_index)
        return mixed_loss(criterion, logits, labels, index=self.index, weight=weight)

    def accuracy(
        self, logits: Output, labels: Tensor, *, ignore_index: int | None = None
    ) -> Tensor:
        """Measure top-1 accuracy on mixed images, each source counting by its label weight.

        Args:
            logits: see ``loss``.
            labels: ``(pool,)`` class indices, on the CPU a ValueError where one is no class; or
                ``(pool, K)`` soft, which count by the share of the predicted class.
            ignore_index: see ``targets``; NaN where a batch has nothing that is known.

        Returns:
            0-d float32 in [0, 1]: the weight of hits divided by the sum of all weights.
        """
        labels, weight = self._known(self._labels(labels), ignore_index)
        return weighted_accuracy(logits, labels[self.index.clamp_min(0)], weight=weight)

    def mix(self, values: Tensor) -> Tensor:
        """Mix what a sample has beside its image, by the label weights: columns, embeddings.

        Args:
            values: ``(pool, ...)`` floating: the columns of a table ``(pool, F)``, or embedded
                text ``(pool, T, D)``. Tokens have no mean; ``plan.labels(tokens)`` gives those of
                all sources.

        Returns:
            ``(B, ...)``, dtype and device as given; row b is the sources' mean by ``weight[b]``.

        Raises:
            ValueError: ``values`` are not floating or have another number of rows.
        """
        check_tensor("plan.mix", "values", values)
        self._check_rows("values", values)
        return mixed_rows(values, index=self.index, weight=self.weight)

    def at(self, *size: int) -> Self:
        """Return the plan for feature maps of another spatial size, masks by area mean.

        Raises:
            ValueError: sizes are not as many whole numbers as there are spatial dimensions, or
                the null source shows a picture.
        """
        check_sizes(size, dims=len(self.mask_form.size), fill=self.fill)
        if self.warp is None and isinstance(self.mask_form, DenseMask) and self.mask_form.constant:
            return self
        with without_autocast(self.index.device):
            first = area_mean(self.mask_form.first().float(), size)
        warp = None if self.warp is None else tuple(w and w.at(size) for w in self.warp)
        return self.replace(mask=DenseMask(first), warp=warp)

    # ------------------------------------------------------------------ combining and checking

    def where(self, select: Tensor, other: MixPlan) -> Self:
        """Keep the rows of this plan where ``select``, take those of ``other`` elsewhere.

        Plans with warps are joined along N: the sources of the plan that was not chosen stay in
        the list with mask and weight 0.

        Args:
            select: ``(B,)`` bool.
            other: a plan of the same pool and number of outputs.

        Raises:
            ValueError: pools or numbers of outputs differ.
        """
        check_choice_of_rows(select, other, kind=MixPlan)
        if (self.pool, len(self)) != (other.pool, len(other)) or select.shape != (len(self),):
            raise ValueError(
                f"plan.where: pools {self.pool} and {other.pool}, outputs {len(self)} and "
                f"{len(other)}, select {tuple(select.shape)}; expected the same pool, the same "
                "outputs and one choice for each."
            )
        return self.replace(**joined(select, self, other))

    def check(
        self,
        labels: Tensor | None = None,
        num_classes: int | None = None,
        *,
        ignore_index: int | None = None,
    ) -> Self:
        """Read all values and say what is wrong; the device waits, so this is for debugging.

        Args:
            labels: also checked where given: class indices ``(pool,)`` need to be in range.
            num_classes: K for class indices.
            ignore_index: see ``targets``.

        Returns:
            The plan itself.

        Raises:
            ValueError: an index outside the pool, a mask or weight below 0 or not finite, masks
                that do not sum to 1, a label out of range.
        """
        if labels is not None:
            labels, _ = self._known(self._labels(labels), ignore_index)
            if labels.is_floating_point() and not bool(labels.isfinite().all()):
                raise ValueError("plan.check: labels are not finite; expected finite class shares.")
            if not labels.is_floating_point():
                class_count(labels, num_classes, read=True)
        check_values(
            index=self.index,
            form=self.mask_form,
            weight=self.weight,
            pool=self.pool,
            null=self.fill is not None,
        )
        return self

    def _labels(self, labels: Tensor) -> Tensor:
        """Return labels as a tensor of the pool's rows; see ``as_labels``."""
        made = as_labels(labels, device=self.index.device)
        self._check_rows("labels", made)
        return made

    def _known(self, labels: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
        if ignore_index is None:
            return labels, self.weight
        return known_labels(labels, ignore_index, index=self.index, weight=self.weight)

    def _check_rows(self, what: str, rows: Tensor) -> None:
        if rows.ndim == 0 or rows.shape[0] != self.pool:
            raise ValueError(
                f"plan: {what} have shape {tuple(rows.shape)}; expected {self.pool} rows, the pool "
                "that the plan was drawn for. Pass the same batch that was given to plan()."
            )
