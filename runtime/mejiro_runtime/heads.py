"""Describe what a detector's outputs hold, as its card says it; read where the card is one's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields

MAX_ANCHORS = 200_000
MAX_BOXES = 1000


class Head(str, Enum):
    """Name the form of a detector's outputs."""

    # Of the operator TFLite_Detection_PostProcess: boxes (1, N, 4) as top, left, bottom, right in
    # shares of the input, classes (1, N), scores (1, N), and how many of the N count (1,).
    POSTPROCESSED = "postprocessed"
    # Offsets from anchors (1, N, 4), and scores (1, N, classes): arXiv:1512.02325.
    SSD = "ssd"
    # One output, a row or a column a box: centre x and y, width and height, a score for each class.
    YOLO = "yolo"
    # The same with the score of there being any object before those of the classes.
    YOLO_OBJECTNESS = "yolo_objectness"


# What `roles` of each head speaks of, in this order.
ROLES: dict[Head, tuple[str, ...]] = {
    Head.POSTPROCESSED: ("boxes", "classes", "scores", "count"),
    Head.SSD: ("boxes", "scores"),
    Head.YOLO: ("boxes",),
    Head.YOLO_OBJECTNESS: ("boxes",),
}


class AnchorGrid(NamedTuple):
    """Spread anchors over the input: at the centre of each of rows x columns cells, row by row.

    `sizes` are the (height, width) of the anchors of one cell, in shares of the input.
    """

    rows: int
    columns: int
    sizes: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class DetectionSpec:
    """Say how boxes and scores are read from a detector's outputs.

    `roles` are the places of the outputs of `ROLES` among all of the file's that are not state;
    empty means that their shapes and names tell. Boxes that score below `threshold` are left
    out. Of boxes of one class that overlap by more than `iou` (intersection over union) the best
    stays, and of all at most `most`; a POSTPROCESSED file has done so itself.

    `sigmoid` says that logits are of each class by itself, not of one among all. `pixels` says
    that a YOLO head counts in pixels of the input, not in shares of it. An SSD head has anchors:
    `grids`, or `anchors` one by one, as centre y, centre x, height, width in shares; `scales`
    divide its offsets of y, x, height and width, which come as x, y, width, height if `x_first`.
    """

    head: Head
    threshold: float = 0.5
    iou: float = 0.5
    most: int = 100
    roles: tuple[int, ...] = ()
    sigmoid: bool = False
    pixels: bool = False
    grids: tuple[AnchorGrid, ...] = ()
    anchors: tuple[tuple[float, float, float, float], ...] = ()
    scales: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0)
    x_first: bool = False

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("iou", self.iou)):
            if not 0 <= value <= 1:
                raise SpecError(f"a detector's {name} must lie in 0..1, found {value}")
        if not 1 <= self.most <= MAX_BOXES:
            raise SpecError(f"a detector gives 1 to {MAX_BOXES} boxes, found {self.most}")
        wanted = ROLES[self.head]
        if self.roles and (len(set(self.roles)) != len(wanted) or min(self.roles) < 0):
            raise SpecError(
                f"a {self.head.value} detector has the outputs {', '.join(wanted)}, each with a "
                f"place of its own; found {list(self.roles)}"
            )
        if len(self.scales) != 4 or not all(scale > 0 for scale in self.scales):
            raise SpecError(f"a detector's scales are 4 numbers above 0, found {self.scales}")
        self._check_anchors()

    def _check_anchors(self) -> None:
        if (self.head is Head.SSD) != bool(self.grids or self.anchors):
            raise SpecError("an ssd detector has anchors, and no other has; give grids or anchors")
        if self.grids and self.anchors:
            raise SpecError("a detector has either grids of anchors or a list; give one of them")
        for grid in self.grids:
            if min(grid.rows, grid.columns, len(grid.sizes)) < 1:
                raise SpecError(f"a grid of anchors has rows, columns and sizes, found {grid}")
        sizes = [size for grid in self.grids for size in grid.sizes]
        sizes += [anchor[2:] for anchor in self.anchors]
        if not all(0 < side <= 100 for size in sizes for side in size):
            raise SpecError("anchors have heights and widths above 0, in shares of the input")
        if self.anchor_count > MAX_ANCHORS:
            raise SpecError(f"a detector has at most {MAX_ANCHORS} anchors, found more")

    @property
    def anchor_count(self) -> int:
        """How many anchors there are; 0 for a head that has none."""
        return len(self.anchors) + sum(g.rows * g.columns * len(g.sizes) for g in self.grids)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: what this head makes use of."""
        value: dict[str, Any] = {
            "head": self.head.value,
            "threshold": self.threshold,
            "iou": self.iou,
            "most": self.most,
            "roles": list(self.roles),
            "sigmoid": self.sigmoid,
            "pixels": self.pixels,
        }
        if self.head is Head.SSD:
            value |= {"scales": list(self.scales), "x_first": self.x_first, **self._anchors_json()}
        return value

    def _anchors_json(self) -> dict[str, Any]:
        if self.anchors:
            return {"anchors": [list(anchor) for anchor in self.anchors]}
        grids = [
            {"rows": g.rows, "columns": g.columns, "sizes": [list(size) for size in g.sizes]}
            for g in self.grids
        ]
        return {"grids": grids}

    @classmethod
    def from_json(cls, value: Any) -> DetectionSpec:
        """Read what `to_json` wrote; all but the head may be left out. Raises SpecError."""
        fields = Fields(value, "detection")
        roles = fields.items("roles", [])
        if {type(role) for role in roles} - {int}:
            raise SpecError(f"detection roles must be places of outputs, found {roles}")
        spec = cls(
            head=fields.choice("head", Head),
            threshold=fields.number("threshold", cls.threshold),
            iou=fields.number("iou", cls.iou),
            most=fields.integer("most", cls.most),
            roles=tuple(roles),
            sigmoid=fields.flag("sigmoid", False),
            pixels=fields.flag("pixels", False),
            scales=fields.numbers("scales", cls.scales),
            x_first=fields.flag("x_first", False),
            **anchors_from_json(fields),
        )
        fields.finish()
        return spec


def anchors_from_json(fields: Fields) -> dict[str, Any]:
    """Return `grids` and `anchors` as DetectionSpec takes them; raises SpecError."""
    grids = [_grid(entry) for entry in fields.items("grids", [])]
    rows = fields.items("anchors", [])
    return {"grids": tuple(grids), "anchors": tuple(_numbers(row, 4, "an anchor") for row in rows)}


def _grid(value: Any) -> AnchorGrid:
    fields = Fields(value, "grid of anchors")
    sizes = tuple(_numbers(size, 2, "a size of anchors") for size in fields.items("sizes"))
    grid = AnchorGrid(fields.integer("rows"), fields.integer("columns"), sizes)
    fields.finish()
    return grid


def _numbers(value: Any, count: int, what: str) -> Any:
    """Return a list of `count` finite numbers as a tuple."""
    numbers = Fields({what: value}, "detection").numbers(what)
    if len(numbers) != count:
        raise SpecError(f"{what} has {count} numbers, found {len(numbers)}")
    return numbers
