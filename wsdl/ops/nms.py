"""Of boxes that overlap, the best."""

from __future__ import annotations

from wsdl.diagnostics import limits
from wsdl.ir.dims import Dim, same
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, cast_to, size_of
from wsdl.ops._rules import agreed, floating, same_dtype


class Nms(
    Rules,
    name="nms",
    half="f32",
    mixes={"boxes": [1, 2], "scores": [1, 2], "result": [1]},
    steps_along=None,
    no_gradient="which boxes are kept changes in jumps only",
):
    """The boxes of each image that remain of those that overlap: their indices and classes, from the best score down.

    `boxes` are two opposite corners, [n, boxes, 4], such as left, top, right, bottom, `scores` one for each class, [n,
    boxes, classes]. Within a class a box is dropped where a better one overlaps it by more than `iou`, the area of both
    over that of either; those that score no more than `score` are dropped first. Of what remains, the best `most` of
    all classes are returned; where there are fewer, index and class are -1. Torchvision's `batched_nms`. ONNX
    NonMaxSuppression, ScatterElements and TopK.

        nms(boxes: f32[n, t, 4], scores: f32[n, t, 5], most=20) -> i64[n, 20], i64[n, 20]
    """

    iou: float = 0.5
    score: float = 0.0
    most: int = 100

    def infer(self, boxes: TensorType, scores: TensorType) -> tuple[TensorType, TensorType]:
        same_dtype("scores", floating(boxes, "boxes"), floating(scores, "scores"))
        if boxes.rank != 3 or not same(boxes.shape[2], 4):
            raise OpError(f"`boxes` must be [n, boxes, 4], but is {boxes}", argument="boxes")
        if scores.rank != 3:
            help = "`unsqueeze(scores, 2)` makes it that of one class" if scores.rank == 2 else None
            raise OpError(f"`scores` must be [n, boxes, classes], but is {scores}", argument="scores", help=help)
        for axis in (0, 1):
            what = f"the sizes along axis {axis} of {boxes} and {scores} must be equal"
            agreed(boxes.shape[axis], scores.shape[axis], what, "scores")
        if not 0 <= self.iou <= 1:
            raise OpError(f"`iou` must be from 0 to 1, but is {self.iou}", argument="iou", code="E0414")
        if not 1 <= self.most <= limits.PARAMETER:
            raise OpError(f"`most` must be at least 1, but is {self.most}", argument="most", code="E0414")
        kept = TensorType.of("i64", [boxes.shape[0], self.most])
        return kept, kept

    def reference(self, np: NumPy, boxes: Array, scores: Array) -> list[Array]:
        index, label = (np.full((len(boxes), self.most), -1) for _ in range(2))
        for image, (corners, of_classes) in enumerate(zip(boxes, scores, strict=True)):
            kept = [
                (-of_classes[box, number], number, box)
                for number in range(of_classes.shape[1])
                for box in self._kept(np, corners, of_classes[:, number])
            ]
            for place, (_, number, box) in enumerate(sorted(kept)[: self.most]):
                index[image, place], label[image, place] = box, number
        return [index, label]

    def _kept(self, np: NumPy, boxes: Array, scores: Array) -> list[int]:
        """Of one image and one class."""
        low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
        areas = (high - low).prod(1)
        kept: list[int] = []
        for box in np.argsort(-scores, kind="stable"):
            if not scores[box] > self.score or len(kept) == self.most:
                break
            both = np.maximum(np.minimum(high[box], high[kept]) - np.maximum(low[box], low[kept]), 0).prod(1)
            if not (both > self.iou * (areas[box] + areas[kept] - both)).any():
                kept.append(int(box))
        return kept

    def lower(self, e: Emitter, boxes: Ref, scores: Ref) -> list[Ref]:
        """What remains keeps its score among minus infinities, [n, classes * boxes], so that its best can be sorted."""
        n, count, classes = scores.type.shape
        wide = [x if x.type.dtype == "f32" else cast_to(e, x, "f32") for x in (boxes, scores)]
        by_class = e.node("Transpose", wide[1], perm=[0, 2, 1])
        numbers = e.constant(self.most, "i64"), e.constant(self.iou, "f32"), e.constant(self.score, "f32")
        selected = e.node("NonMaxSuppression", wide[0], by_class, *numbers)  # [kept, 3]: image, class, box
        each = classes * count
        strides = e.node("Concat", e.dims([each, count]), e.constant([1], "i64"), axis=0)
        places = e.node("ReduceSum", e.node("Mul", selected, strides), axes_tensor(e, [1]), keepdims=0)
        flat = e.node("Reshape", by_class, e.constant([-1], "i64"))
        lowest = e.node("Expand", e.constant(float("-inf"), "f32"), e.dims([n * each]))
        best = e.node("ScatterElements", lowest, places, e.node("Gather", flat, places), axis=0)
        none = e.node("Expand", e.constant(float("-inf"), "f32"), e.dims([n, Dim.of(self.most)]))
        rows = e.node("Concat", e.reshape(best.typed(TensorType.of("f32", [n * each])), [n, each]), none, axis=1)
        values, at = e.nodes("TopK", rows, e.constant([self.most], "i64"), outputs=2, axis=1)
        missing, minus_one = e.node("IsInf", values), e.constant(-1, "i64")
        length = e.node("Max", size_of(e, count), e.constant(1, "i64"))
        parts = e.node("Mod", at, length), e.node("Div", at, length)
        return [e.node("Where", missing, minus_one, part) for part in parts]
