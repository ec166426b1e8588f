"""Names of points beside them, where they hide neither a point nor each other."""

from __future__ import annotations

from votecast.reports.charts.shapes import FONT, Shape, fitted, text, width_of

_ROOM = 150.0
_REACH = 7.0

_Box = tuple[float, float, float, float]


class Labels:
    """Names to be placed.

    Args:
        left: Where the part begins that is drawn on.
        width: Width of the picture.
        height: Height of the part that is drawn on.
    """

    def __init__(self, left: float, width: float, height: float) -> None:
        self._left, self._width, self._height = left, width, height
        self._wanted: list[tuple[float, float, str]] = []
        self._taken: list[_Box] = []

    def keep_clear(self, x: float, y: float) -> None:
        """No name may hide the point at this place."""
        self._taken.append((x - 4, y - 4, x + 4, y + 4))

    def add(self, x: float, y: float, words: str) -> None:
        """Name the point at this place."""
        self._wanted.append((x, y, fitted(words, _ROOM)))

    def shapes(self) -> list[Shape]:
        """The names for which there is room; the others are told when a reader points at theirs."""
        return [shape for x, y, words in self._wanted if (shape := self._placed(x, y, words)) is not None]

    def _placed(self, x: float, y: float, words: str) -> Shape | None:
        wide, high = width_of(words), FONT
        for dx, dy in (
            (_REACH, 0.0),
            (-_REACH - wide, 0.0),
            (-wide / 2, -_REACH - high / 2),
            (-wide / 2, _REACH + high / 2),
            (0.0, -_REACH - high / 2),
            (0.0, _REACH + high / 2),
        ):
            box = (x + dx, y + dy - high / 2, x + dx + wide, y + dy + high / 2)
            if self._is_free(box):
                self._taken.append(box)
                return text(box[0], box[3] - 2, words, "name")
        return None

    def _is_free(self, box: _Box) -> bool:
        left, top, right, bottom = box
        if left < self._left or top < 0 or right > self._width or bottom > self._height:
            return False
        return all(right <= o[0] or left >= o[2] or bottom <= o[1] or top >= o[3] for o in self._taken)
