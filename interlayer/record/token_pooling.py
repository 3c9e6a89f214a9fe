"""What becomes of the tokens of a layer with the axes (batch, token, feature)."""

from typing import TYPE_CHECKING, Literal, get_args

from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    import torch

Pooling = Literal["none", "mean", "cls", "last"]
"""All tokens side by side, their mean, the first, or the last."""


def checked_pooling(pooling: str) -> Pooling:
    """Give the pooling back, if it is one."""
    for known in get_args(Pooling):
        if pooling == known:
            return pooling  # type: ignore[return-value]  # a comparison does not narrow str to the literal
    raise RecordingError(f"`pooling` is {pooling!r}; it may be {', '.join(map(repr, get_args(Pooling)))}")


def pool_tokens(values: "torch.Tensor", pooling: Pooling, mask: "torch.Tensor | None") -> "torch.Tensor":
    """Pool (batch, token, feature) to (batch, feature); tensors with other axes stay.

    Where `mask` (batch, token) is given and fits, tokens that are 0 in it count neither in the mean nor as the last.
    """
    import torch

    if pooling == "none" or values.ndim != 3 or not values.is_floating_point():
        return values
    if mask is not None and mask.shape != values.shape[:2]:
        mask = None
    if pooling == "cls":
        return values[:, 0]
    if pooling == "last":
        if mask is None:
            return values[:, -1]
        places = torch.arange(values.shape[1], device=values.device)
        last = (mask.to(values.device).bool() * places).amax(dim=1)
        return values[torch.arange(len(values), device=values.device), last]
    wide = values if values.dtype == torch.float64 else values.float()
    if mask is None:
        return wide.mean(dim=1)
    weight = mask.to(values.device).bool()[:, :, None]
    if not weight.any(dim=1).all():
        raise RecordingError("the attention mask of a row has no token, so there is no mean of its tokens")
    return torch.where(weight, wide, 0).sum(dim=1) / weight.sum(dim=1)
