"""wespeaker's speaker nets in their authors' layout of weights, written from the published design."""

import torch
from torch import nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    def __init__(self, before, after, kernel=1):
        super().__init__()
        self.conv = nn.Conv1d(before, after, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm1d(after)

    def forward(self, x):
        return self.bn(F.relu(self.conv(x)))


class Groups(nn.Module):
    def __init__(self, channels, dilation, scale):
        super().__init__()
        width = channels // scale
        convs = [nn.Conv1d(width, width, 3, 1, dilation, dilation) for _ in range(scale - 1)]
        self.convs = nn.ModuleList(convs)
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(scale - 1))

    def forward(self, x):
        parts = x.chunk(len(self.convs) + 1, 1)
        outputs = []
        for part, conv, norm in zip(parts, self.convs, self.bns, strict=False):
            into = part + outputs[-1] if outputs else part
            outputs.append(norm(F.relu(conv(into))))
        return torch.cat([*outputs, parts[-1]], 1)


class Gate(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(channels, inner), nn.Linear(inner, channels)

    def forward(self, x):
        return x * self.linear2(self.linear1(x.mean(2)).relu()).sigmoid()[..., None]


class GatedBlock(nn.Module):
    def __init__(self, channels, dilation, scale, inner):
        super().__init__()
        self.se_res2block = nn.Sequential(
            ConvNorm(channels, channels),
            Groups(channels, dilation, scale),
            ConvNorm(channels, channels),
            Gate(channels, inner),
        )

    def forward(self, x):
        return x + self.se_res2block(x)


class AttentiveStatistics(nn.Module):
    def __init__(self, channels, inner, context):
        super().__init__()
        self.context = context
        self.linear1 = nn.Conv1d(channels * (3 if context else 1), inner, 1)
        self.linear2 = nn.Conv1d(inner, channels, 1)
        self.linear2.weight.data *= 10  # attention that differs from an even mean

    def forward(self, x):
        seen = x
        if self.context:
            deviation = (x.var(2, keepdim=True) + 1e-7).sqrt()
            seen = torch.cat([x, x.mean(2, keepdim=True).expand_as(x), deviation.expand_as(x)], 1)
        weights = self.linear2(self.linear1(seen).tanh()).softmax(2)
        mean = (weights * x).sum(2)
        variance = (weights * x**2).sum(2) - mean**2
        return torch.cat([mean, variance.clamp(min=1e-7).sqrt()], 1)


class WespeakerECAPA(nn.Module):
    """(B, N, F) -> (B, D)."""

    def __init__(self, features=24, channels=16, gathered=20, embedding=12, context=False):
        super().__init__()
        self.layer1 = ConvNorm(features, channels, 5)
        for number in (2, 3, 4):
            setattr(self, f"layer{number}", GatedBlock(channels, number, 4, 5))
        self.conv = nn.Conv1d(3 * channels, gathered, 1)
        self.pool = AttentiveStatistics(gathered, 6, context)
        self.bn = nn.BatchNorm1d(2 * gathered)
        self.linear = nn.Linear(2 * gathered, embedding)

    def forward(self, feats):
        one = self.layer1(feats.transpose(1, 2))
        two = self.layer2(one)
        three = self.layer3(two)
        x = F.relu(self.conv(torch.cat([two, three, self.layer4(three)], 1)))
        return self.linear(self.bn(self.pool(x)))


class ResidualBlock(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class WespeakerResNet(nn.Module):
    """(B, N, F) -> (B, D)."""

    def __init__(self, features=24, channels=4, blocks=(1, 2, 1, 1), embedding=12):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        before = channels
        for number, count in enumerate(blocks):
            after, stride = channels * 2**number, 1 if number == 0 else 2
            layer = [ResidualBlock(before, after, stride)]
            layer += [ResidualBlock(after, after, 1) for _ in range(count - 1)]
            setattr(self, f"layer{number + 1}", nn.Sequential(*layer))
            before = after
        self.seg_1 = nn.Linear(2 * before * features // 8, embedding)

    def forward(self, feats):
        x = F.relu(self.bn1(self.conv1(feats.transpose(1, 2)[:, None])))
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        deviation = (x.var(3) + 1e-7).sqrt()
        return self.seg_1(torch.cat([x.mean(3).flatten(1), deviation.flatten(1)], 1))


class ChannelNorm(nn.Module):
    """Layer normalisation over axis 1."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.randn(channels)) for _ in range(2))

    def forward(self, x):
        size = self.weight.shape
        return F.layer_norm(x.movedim(1, -1), size, self.weight, self.bias, 1e-6).movedim(-1, 1)


class NextBlock(nn.Module):
    def __init__(self, channels, group, kernel, conv=nn.Conv2d, norm=nn.BatchNorm2d):
        super().__init__()
        groups = channels // group
        self.dwconvs = nn.ModuleList(
            [conv(channels, channels, kernel, padding="same", groups=groups)]
        )
        self.norm, self.pwconv1 = norm(channels), conv(channels, channels, 1)

    def forward(self, x):
        return x + self.pwconv1(F.gelu(self.norm(self.dwconvs[0](x))))


class Picture(nn.Module):
    def __init__(self, channels, group, rows, kind):
        super().__init__()
        blocks = {"convnext": lambda: NextBlock(channels, group, 3)}
        make = blocks.get(kind, lambda: MixedBlock(channels, group, rows, kind == "gated"))
        self.conv_block = make()

    def forward(self, x):
        return self.conv_block(x)


class MixedBlock(nn.Module):
    def __init__(self, channels, group, rows, gated):
        super().__init__()
        for number in (1, 2):
            conv = nn.Conv2d(channels, channels, 3, 1, 1, 1, channels // group, bias=False)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"conv{number}pw", nn.Conv2d(channels, channels, 1))
            setattr(self, f"bn{number}", nn.BatchNorm2d(channels))
        self.se = nn.Identity()
        if gated:
            inner = min(64, max(channels, 32))
            self.se = nn.Module()
            self.se.squeeze, self.se.exitation = nn.Linear(rows, inner), nn.Linear(inner, rows)

    def forward(self, x):
        y = self.bn1(F.relu(self.conv1pw(self.conv1(x))))
        y = self.bn2(self.conv2pw(self.conv2(y)))
        if not isinstance(self.se, nn.Identity):
            gate = self.se.exitation(self.se.squeeze(y.mean((1, 3))).relu()).sigmoid()
            y = y * gate[:, None, :, None]
        return F.relu(x + y)


class ToSequence(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2).flatten(1, 2)


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention, self.feed_forward = nn.Module(), nn.Module()
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            setattr(self.attention, name, nn.Linear(width, width))
        self.feed_forward.intermediate_dense = nn.Linear(width, width)
        self.feed_forward.output_dense = nn.Linear(width, width)
        self.layer_norm = nn.LayerNorm(width, eps=1e-6)
        self.final_layer_norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        x, part = x.transpose(1, 2), self.attention
        heads = (
            proj(x).unflatten(2, (4, -1)).transpose(1, 2)
            for proj in (part.q_proj, part.k_proj, part.v_proj)
        )
        mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        x = self.layer_norm(x + part.out_proj(mixed))
        inner = F.gelu(self.feed_forward.intermediate_dense(x), approximate="tanh")
        x = self.final_layer_norm(x + self.feed_forward.output_dense(inner))
        return x.transpose(1, 2)


class Context(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.red_dim_conv = nn.Sequential(nn.Conv1d(width, inner, 1), ChannelNorm(inner))
        nexts = [NextBlock(inner, 1, k, nn.Conv1d, nn.BatchNorm1d) for k in (7, 19, 31, 59)]
        self.tcm = nn.Sequential(*nexts, Attention(inner))
        self.exp_dim_conv = nn.Conv1d(inner, width, 1)

    def forward(self, x):
        return x + self.exp_dim_conv(self.tcm(self.red_dim_conv(x)))


class WespeakerReDimNet(nn.Module):
    """(B, N, F) -> (B, D); `size` as the entries of SIZES of the encoder."""

    def __init__(self, size, features=24, embedding=12, context=True):
        super().__init__()
        channels, kind, group, stages = size
        self.backbone, width, rows = nn.Module(), channels * features, features
        self.backbone.stem = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding="same"), ChannelNorm(channels)
        )
        self.pictures = []
        mixes = [torch.ones(1, 1, 1, 1)]
        for number, (stride, blocks, widening, part) in enumerate(stages):
            self.pictures.append((rows, channels))
            channels, rows = channels * stride, rows // stride
            wide = channels * widening
            layers = [nn.Conv2d(wide // stride // widening, wide, (stride, 1), (stride, 1))]
            layers += [Picture(wide, group, rows, kind) for _ in range(blocks)]
            if widening > 1:
                conv = nn.Conv2d(wide, channels, 3, 1, "same", groups=channels // group)
                norm = nn.BatchNorm2d(channels, eps=1e-6)
                last = nn.Conv2d(channels, channels, 1)
                layers.append(nn.Sequential(conv, norm, nn.GELU(), last))
            layers.append(ToSequence())
            layers += [Context(width, width // part)] if part else []
            setattr(self.backbone, f"stage{number}", nn.Sequential(*layers))
            mixes.append(torch.randn(1, number + 2, width, 1))
        self.backbone.inputs_weights = nn.ParameterList(map(nn.Parameter, mixes))
        self.pool = AttentiveStatistics(width, 128, context)
        self.seg_1 = nn.Linear(2 * width, embedding)

    def forward(self, feats):
        x = ToSequence()(self.backbone.stem(feats.transpose(1, 2)[:, None]))
        outputs = [x]
        for number, picture in enumerate(self.pictures):
            stage = getattr(self.backbone, f"stage{number}")
            outputs.append(stage(x.unflatten(1, picture).transpose(1, 2)))
            weights = self.backbone.inputs_weights[number + 1].softmax(1)
            x = (weights * torch.stack(outputs, 1)).sum(1)
        return self.seg_1(self.pool(x))
