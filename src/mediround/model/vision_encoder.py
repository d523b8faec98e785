"""Image encoder: a picture on the model's canvas -> a grid of features.

TinyViT as LiteMedSAM uses it: 1x1 patch embedding at full resolution, a convolution stage, then
three stages of windowed attention; the grid has a quarter of the canvas' side. Submodule names
follow the published checkpoint so that its keys load as they are.

Shapes: B images, C channels, H x W grid, N tokens in a window.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mediround.config import TinyVitConfig


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch normalisation."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.add_module("c", conv)
        self.add_module("bn", nn.BatchNorm2d(c_out))

    def folded(self) -> nn.Conv2d:
        """One convolution with bias that computes the same in evaluation mode."""
        conv, norm = self[0], self[1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_var is not None
        assert norm.running_mean is not None
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        out: nn.Conv2d = nn.utils.skip_init(
            nn.Conv2d,
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            groups=conv.groups,
            device=conv.weight.device,
            dtype=conv.weight.dtype,
        )
        out.weight.data = conv.weight.data * factor[:, None, None, None]
        assert out.bias is not None
        out.bias.data = norm.bias.data - norm.running_mean * factor
        return out


def fold_batch_norms(module: nn.Module) -> None:
    """Replace every :class:`ConvNorm` inside ``module`` by its folded convolution, in place."""
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, child.folded().requires_grad_(False))
        else:
            fold_batch_norms(child)


class MBConv(nn.Module):
    """Inverted residual block, (B, C, H, W) -> the same."""

    def __init__(self, width: int, expand: int) -> None:
        super().__init__()
        inner = width * expand
        self.conv1 = ConvNorm(width, inner)
        self.conv2 = ConvNorm(inner, inner, kernel=3, groups=inner)
        self.conv3 = ConvNorm(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        y = F.gelu(self.conv1(x))
        y = F.gelu(self.conv2(y))
        return F.gelu(x + self.conv3(y))


class PatchMerging(nn.Module):
    """Change of width, and of resolution when ``stride`` is 2."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, out)
        self.conv2 = ConvNorm(out, out, kernel=3, stride=stride, groups=out)
        self.conv3 = ConvNorm(out, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        x = F.gelu(self.conv1(x))
        x = F.gelu(self.conv2(x))
        return self.conv3(x)  # type: ignore[no-any-return]  # modules return Any


class WindowAttention(nn.Module):
    """Self-attention inside square windows with a learned bias per offset."""

    bias_index: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        axis = torch.arange(window)
        y, x = (grid.flatten() for grid in torch.meshgrid(axis, axis, indexing="ij"))
        # Offsets are numbered in the order in which they first occur, i.e. |dy| * window + |dx|.
        index = (y[:, None] - y).abs() * window + (x[:, None] - x).abs()
        self.register_buffer("bias_index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(windows, N, C) -> the same."""
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, tokens, self.heads, 3, -1)
        q, k, v = qkv.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self.bias_index].to(q.dtype)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, width))  # type: ignore[no-any-return]  # modules return Any


class Mlp(nn.Module):
    """Pre-normalised two-layer perceptron."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width * ratio)
        self.fc2 = nn.Linear(width * ratio, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> the same."""
        return self.fc2(F.gelu(self.fc1(self.norm(x))))  # type: ignore[no-any-return]  # modules return Any


class WindowBlock(nn.Module):
    """Windowed attention, depth-wise convolution, perceptron; (B, C, H, W) -> the same."""

    def __init__(self, width: int, heads: int, window: int, ratio: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, heads, window)
        self.mlp = Mlp(width, ratio)
        self.local_conv = ConvNorm(width, width, kernel=3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        y = x.permute(0, 2, 3, 1)
        y = y + self._attend(y)
        y = self.local_conv(y.permute(0, 3, 1, 2))
        y = y.permute(0, 2, 3, 1)
        mixed: Tensor = y + self.mlp(y)
        return mixed.permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        side = self.window
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.view(batch, rows, side, columns, side, channels).transpose(2, 3)
        x = self.attn(x.reshape(-1, side * side, channels))
        x = x.view(batch, rows, columns, side, side, channels).transpose(2, 3)
        x = x.reshape(batch, rows * side, columns * side, channels)
        return x[:, :height, :width]


class Stage(nn.Module):
    """Blocks of one width, then the change to the next."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> what the change to the next stage makes of it."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return y.permute(0, 3, 1, 2)


class _PatchEmbed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, width // 2), nn.GELU(), ConvNorm(width // 2, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)  # type: ignore[no-any-return]  # modules return Any


class TinyVit(nn.Module):
    """LiteMedSAM's image encoder (Wu et al. 2022; Ma et al. 2024).

    ``forward``: float (B, 3, side, side) with values 0..1 -> (B, out, side/4, side/4). It is cut
    in two so that the frozen part's result can be kept: ``tail(trunk(x))``.
    """

    def __init__(self, config: TinyVitConfig) -> None:
        super().__init__()
        widths = config.widths
        strides = (2, 2, 1)  # the last merging keeps the resolution
        self.patch_embed = _PatchEmbed(widths[0])
        stages = []
        for index, width in enumerate(widths):
            last = index == len(widths) - 1
            merging = None if last else PatchMerging(width, widths[index + 1], strides[index])
            blocks: list[nn.Module] = [
                MBConv(width, config.expand)
                if index == 0
                else WindowBlock(width, config.heads[index], config.windows[index], config.expand)
                for _ in range(config.depths[index])
            ]
            stages.append(Stage(blocks, merging))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(widths[-1], config.out, 1, bias=False),
            ChannelNorm(config.out),
            nn.Conv2d(config.out, config.out, 3, padding=1, bias=False),
            ChannelNorm(config.out),
        )

    def trunk(self, pixels: Tensor) -> Tensor:
        """Everything before the last stage: (B, 3, side, side) -> (B, width, side/4, side/4)."""
        x = self.patch_embed(pixels)
        for stage in self.layers[:-1]:
            x = stage(x)
        return x  # type: ignore[no-any-return]  # modules return Any

    def tail(self, features: Tensor) -> Tensor:
        """The last stage and the neck: (B, width, side/4, side/4) -> (B, out, side/4, side/4)."""
        return self.neck(self.layers[-1](features))  # type: ignore[no-any-return]  # modules return Any

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) -> (B, out, side / 4, side / 4)."""
        return self.tail(self.trunk(pixels))
