"""Cosine head, softmax with an angular margin, and the schedule of the margin.

Large-margin fine-tuning is no code of its own but other values of the same settings, from the
checkpoint of the first training (wespeaker's recipe; 3D-Speaker's differs in the last rate, 2e-5):

=====================  ==================  ========================
setting                training            large-margin fine-tuning
=====================  ==================  ========================
margin                 0.2                 0.5
margin schedule        epochs 20 to 40     none (start = end = 0)
crop                   2 s                 6 s
speed perturbation     yes                 no
epochs                 150                 5
learning rate          0.1 to 5e-5 (SGD)   1e-4 to 2.5e-5
=====================  ==================  ========================
"""

import torch
from speechbrain.nnet.losses import AdditiveAngularMargin, AngularMargin
from torch import nn
from torch.nn import functional as F

from ..options import choice, failures, number, whole

#: What is done to the cosine of an item with its own class.
KINDS = ("aam", "am", "softmax")
SCHEDULES = ("exponential", "linear")


class CosineClassifier(nn.Module):
    """Cosine of an embedding with a learned direction per class.

    Arguments
    ---------
    in_features : int
        D of the encoder.
    num_classes : int
        C.
    subcenters : int
        Directions per class; the nearest counts. With more than one, wrongly labelled recordings
        of a speaker can gather at a direction of their own.

    Shape
    -----
    (B, 1, D) -> (B, 1, C); (B, D) -> (B, C). Float32, under autocast too.

    Notes
    -----
    With one direction per class, `weight` is that of SpeechBrain's `ECAPA_TDNN.Classifier`, and
    so are the cosines. With K, rows c K to c K + K - 1 belong to class c.

    References
    ----------
    Deng et al. 2020, Sub-center ArcFace, ECCV. Followed: speechbrain/speechbrain@9c826ef.

    Example
    -------
    >>> head = CosineClassifier(8, 3, subcenters=2)
    >>> head(torch.randn(4, 1, 8)).shape, head.weight.shape
    (torch.Size([4, 1, 3]), torch.Size([6, 8]))
    """

    def __init__(self, in_features: int, num_classes: int, subcenters: int = 1):
        super().__init__()
        whole("in_features", in_features)
        if num_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}")
        self.subcenters = whole("subcenters", subcenters)
        self.weight = nn.Parameter(torch.empty(num_classes * self.subcenters, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        # In bfloat16 a cosine near 1 has steps of 0.004, and the scale multiplies that by 30.
        with torch.autocast(embedding.device.type, enabled=False):
            directions = F.normalize(embedding.to(self.weight.dtype), dim=-1)
            cosines = F.linear(directions, F.normalize(self.weight, dim=-1))
            if self.subcenters > 1:
                cosines = cosines.unflatten(-1, (-1, self.subcenters)).amax(-1)
        return cosines


class MarginSoftmax(nn.Module):
    """Cross-entropy of scaled cosines, where the item's own class is made harder by a margin.

    Arguments
    ---------
    kind : str
        "aam": the angle to the own class counts `margin` radians more (and, where it would then
        exceed pi, the cosine counts `margin * sin(margin)` less, so that more angle never costs
        less); "am": the cosine to the own class counts `margin` less; "softmax": no margin,
        `margin` is not used.
    margin : float
        In radians (aam) or as a cosine (am), from 0 to below 1.
    scale : float
        What the cosines are multiplied by.

    Shape
    -----
    cosines (B, C) or (B, 1, C), targets (B,) int64 -> loss of each item (B,), float32.

    Notes
    -----
    What is done to the cosine is SpeechBrain's `AdditiveAngularMargin` and `AngularMargin`, given
    the own class's cosines only: no (B, C) array of angles is made. Its sine is that of a cosine
    held 1e-7 away from 1 and -1, so that every gradient is finite; no arc cosine is taken.

    References
    ----------
    Deng et al. 2019, ArcFace, CVPR; Wang et al. 2018, Additive Margin Softmax, IEEE SPL; Xiang et
    al. 2019, Margin Matters, APSIPA. Followed: speechbrain/speechbrain@9c826ef.

    Example
    -------
    >>> loss = MarginSoftmax("am", margin=0.2, scale=30.0)
    >>> cosines, targets = torch.tensor([[0.5, 0.3], [0.5, 0.3]]), torch.tensor([0, 1])
    >>> [round(x, 3) for x in loss(cosines, targets).tolist()]
    [0.693, 12.0]
    >>> [round(x, 3) for x in loss(cosines, targets, margin=0.0).tolist()]
    [0.002, 6.002]
    """

    def __init__(self, kind: str = "aam", margin: float = 0.2, scale: float = 30.0):
        super().__init__()
        self.kind = choice("kind", kind, KINDS)
        self.margin = _margin(margin)
        self.scale = number("scale", scale, above=0)

    def logits(self, cosines: torch.Tensor) -> torch.Tensor:
        """Scaled cosines without a margin: what a teacher's logits are compared with."""
        return self.scale * cosines

    def forward(
        self, cosines: torch.Tensor, targets: torch.Tensor, margin: float | None = None
    ) -> torch.Tensor:
        """Loss of each item; `margin` is that of this step, None: the one it was built with."""
        margin = self.margin if margin is None else _margin(margin)
        if cosines.dim() == 3:
            cosines = cosines.squeeze(1)
        with torch.autocast(cosines.device.type, enabled=False):
            cosines, targets = cosines.float(), targets.long()[:, None]
            own = cosines.gather(1, targets)
            if self.kind == "aam":
                own = AdditiveAngularMargin(margin)(own, torch.ones_like(own))
            elif self.kind == "am":
                own = AngularMargin(margin)(own, torch.ones_like(own))
            logits = self.scale * cosines.scatter(1, targets, own)
            return F.cross_entropy(logits, targets[:, 0], reduction="none")


def _margin(margin: float) -> float:
    return number("margin", margin, low=0, below=1)


def margin_at(
    epoch: float,
    margin: float,
    start_epoch: float = 0,
    end_epoch: float = 0,
    kind: str = "exponential",
) -> float:
    """Margin after `epoch` epochs: 0 until `start_epoch`, all of it from `end_epoch` on.

    A function of the progress alone, so that there is no state to lose with an interruption.

    Arguments
    ---------
    epoch : float
        Epochs done, fractional, from 0.
    margin : float
        That of the end.
    start_epoch, end_epoch : float
        Both 0: the margin is there from the start. wespeaker's configuration says 20 and 40 and
        counts epochs from 1, which is 19 and 39 epochs done.
    kind : str
        "exponential": fast at first, 1 - 1000 ** -p of the margin after a part p of the way, so
        that the last thousandth comes in one step; "linear".

    References
    ----------
    Followed: wenet-e2e/wespeaker@dfa7419, utils/schedulers.py.

    Example
    -------
    >>> [round(margin_at(e, 0.2, 20, 40), 4) for e in (19, 20, 25, 30, 40, 90)]
    [0.0, 0.0, 0.1644, 0.1937, 0.2, 0.2]
    >>> round(margin_at(25, 0.2, 20, 40, "linear"), 4)
    0.05
    """
    choice("kind", kind, SCHEDULES)
    if epoch >= end_epoch:
        return float(margin)
    if epoch <= start_epoch:
        return 0.0
    done = (epoch - start_epoch) / (end_epoch - start_epoch)
    return margin * (done if kind == "linear" else 1 - 1000.0**-done)


def problems(plain: dict) -> list[str]:
    """What is wrong with the margin in a configuration.

    Arguments
    ---------
    plain : dict
        With `margin_kind`, `margin`, `margin_scale`, `margin_start_epoch`, `margin_end_epoch` and
        `subcenters`; with `number_of_epochs`, the schedule has to fit in it.

    Example
    -------
    >>> problems({"margin_kind": "aam", "margin": 11, "margin_scale": 30, "subcenters": 1,
    ...           "margin_start_epoch": 0, "margin_end_epoch": 0})
    ['margin must be a finite number at least 0 and below 1, got 11']
    """
    epochs = plain.get("number_of_epochs")
    problems = failures(
        plain,
        [
            (choice, "margin_kind", {"allowed": KINDS}),
            (number, "margin", {"low": 0, "below": 1}),
            (number, "margin_scale", {"above": 0}),
            (number, "margin_start_epoch", {"low": 0}),
            (number, "margin_end_epoch", {"low": 0}),
            (whole, "subcenters", {}),
        ],
    )
    if any("_epoch must" in problem for problem in problems):
        return problems
    start, end = plain["margin_start_epoch"], plain["margin_end_epoch"]
    if start > end:
        problems.append(f"margin_start_epoch ({start}) must not be after margin_end_epoch ({end})")
    if isinstance(epochs, (int, float)) and end > epochs:
        problems.append(
            f"margin_end_epoch ({end}) is after the last epoch ({epochs}): the margin would never "
            "be reached"
        )
    return problems
