"""The layers of fitted baselines: from pixels to features, and from features to logits."""

import torch
from torch import Tensor, nn

# A class that no tree votes for gets this probability, so that its loss is a number.
SMALLEST = 1e-6


class Pixels(nn.Module):
    """Pictures (n, 3, size, size) of 0 to 255 -> their channels averaged down to side x side, (n, 3 side^2)."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, pixels: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(pixels.float() / 255, self.side).flatten(1)


class Colours(nn.Module):
    """Pictures (n, 3, size, size) of 0 to 255 -> shares of their pixels by colour, (n, bins^3)."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, pixels: Tensor) -> Tensor:
        cells = colour_cells(pixels, self.bins)
        colours = self.bins**3
        own = torch.arange(len(pixels), device=pixels.device)[:, None] * colours
        counts = torch.bincount((cells + own).flatten(), minlength=len(pixels) * colours)
        return counts.view(len(pixels), colours).float() / cells.shape[1]


def colour_cells(pixels: Tensor, bins: int) -> Tensor:
    """The number of each pixel's colour, in [0, bins^3), shape (n, size^2): each channel is cut into equal bins."""
    red, green, blue = (pixels.long() * bins // 256).flatten(2).unbind(1)
    return (red * bins + green) * bins + blue


class Always(nn.Module):
    """The same logits for every image: logarithms of the classes' shares."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, features: Tensor) -> Tensor:
        return self.get_buffer("logits").expand(len(features), -1)


class Centroids(nn.Module):
    """Logits of equal round normal distributions around the centroids (k, f): the nearest one is the likeliest."""

    def __init__(self, centroids: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.register_buffer("centroids", centroids)
        self.register_buffer("variance", variance)

    def forward(self, features: Tensor) -> Tensor:
        distances = (features[:, None] - self.get_buffer("centroids")).square().sum(dim=2)
        return -distances / (2 * self.get_buffer("variance"))


class Linear(nn.Module):
    """Logits weights (k, f) times features, plus intercepts (k,)."""

    def __init__(self, weights: Tensor, intercepts: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("intercepts", intercepts)

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.get_buffer("weights").T + self.get_buffer("intercepts")


class Trees(nn.Module):
    """Binary trees, all nodes in one table; a leaf is its own child.

    Args:
        roots: shape (t,), the first node of each tree.
        feature, threshold, left, right: shape (nodes,): features up to the threshold go left.
        values: of nodes: shape (nodes, k), votes that are averaged, or (nodes,), amounts for a class.
        of_class: shape (t,), of trees with amounts: the class that each adds to; empty for votes.
        start: shape (k,), what amounts are added to; empty for votes.
        depth: the longest path, in steps.
    """

    tables = ("roots", "feature", "threshold", "left", "right", "values", "of_class", "start", "depth")

    def __init__(self, **tables: Tensor) -> None:
        super().__init__()
        if set(tables) != set(self.tables):
            raise TypeError(f"trees need the tables {', '.join(self.tables)}, got {', '.join(tables)}")
        for name in self.tables:
            self.register_buffer(name, tables[name])

    def check(self, width: int) -> None:
        """Raise ValueError unless the trees are valid for features (n, width): a file may contain anything.

        Raises:
            ValueError: they name nodes or features that are not there, or longer paths than there are nodes.
        """
        nodes = len(self.get_buffer("feature"))
        roots = self.get_buffer("roots").flatten().tolist()
        if len(set(roots)) < len(roots):
            raise ValueError("its trees share a root")
        most = {"roots": nodes, "left": nodes, "right": nodes, "feature": width, "depth": nodes}
        for name, end in most.items():
            table = self.get_buffer(name)
            if ((table < 0) | (table >= end)).any():
                raise ValueError(f"{name} of its trees names what is not there")

    def forward(self, features: Tensor) -> Tensor:
        # Thresholds are float64, as scikit-learn compares them.
        leaves = self._leaves(features.double())
        values, start = self.get_buffer("values"), self.get_buffer("start")
        if values.ndim == 2:
            return values[leaves].mean(dim=1).clamp(min=SMALLEST).log().float()
        amounts = values[leaves]
        logits = start.expand(len(features), -1).clone()
        return logits.index_add_(1, self.get_buffer("of_class"), amounts).float()

    def _leaves(self, features: Tensor) -> Tensor:
        """The leaf of each image in each tree, shape (n, t)."""
        feature, threshold = self.get_buffer("feature"), self.get_buffer("threshold")
        left, right = self.get_buffer("left"), self.get_buffer("right")
        nodes = self.get_buffer("roots").long().expand(len(features), -1)
        for _ in range(int(self.get_buffer("depth"))):
            goes_left = features.gather(1, feature[nodes].long()) <= threshold[nodes]
            nodes = torch.where(goes_left, left[nodes], right[nodes]).long()
        return nodes


def check_tables(network: nn.Module, classes: int) -> None:
    """Raise ValueError unless the tensors of a baseline have the shapes that its features and classes ask for.

    Before it sees a picture: torch would stretch a small tensor to gigabytes where shapes differ.
    """
    features, classifier = network.children()
    width = features(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).shape[1]
    tables = dict(classifier.named_buffers())
    shapes: dict[str, tuple[int, ...]]
    match classifier:
        case Always():
            shapes = {"logits": (classes,)}
        case Centroids():
            shapes = {"centroids": (classes, width), "variance": ()}
        case Linear():
            shapes = {"weights": (classes, width), "intercepts": (classes,)}
        case _:
            nodes, trees, votes = len(tables["feature"]), len(tables["roots"]), tables["values"].ndim == 2
            shapes = {
                **dict.fromkeys(("feature", "threshold", "left", "right"), (nodes,)),
                "roots": (trees,),
                "values": (nodes, classes) if votes else (nodes,),
                "of_class": (0,) if votes else (trees,),
                "start": (0,) if votes else (classes,),
                "depth": (),
            }
            of_class = tables["of_class"]
            if len(of_class) and not 0 <= int(of_class.min()) <= int(of_class.max()) < classes:
                raise ValueError("its trees name classes that are not there")
    real = {"logits", "centroids", "variance", "weights", "intercepts", "threshold", "values", "start"}
    for name, shape in shapes.items():
        found = tables[name]
        if tuple(found.shape) != shape:
            raise ValueError(f"{name} is of shape {tuple(found.shape)}, and {classes} classes ask for {shape}")
        if found.is_floating_point() != (name in real):
            raise ValueError(f"{name} holds {found.dtype}")
