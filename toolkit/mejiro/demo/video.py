"""Assemble a video of photographs: a slow pan and zoom over each, one after another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.samples import SamplePicture
from mejiro.errors import MejiroError, UsageError
from mejiro_runtime import opencv
from mejiro_runtime.files import replacing
from mejiro_runtime.kernels import Pixels

WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 480, 30
# At the end of a scene the camera sees this share of what fitted at its beginning.
ZOOMED_SHARE = 0.75
JPEG_QUALITY = 50


@dataclass(frozen=True)
class Video:
    """Hold a video file and which of its frames show what: `spans[i]` is (first, after last)."""

    path: Path
    spans: tuple[tuple[int, int], ...]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.spans[-1][1]


def split_frames(frames: int, scenes: int) -> tuple[tuple[int, int], ...]:
    """Share `frames` among `scenes` as evenly as whole frames go; raises UsageError if too few."""
    if scenes < 1 or frames < scenes:
        raise UsageError(f"a video of {scenes} photographs needs {scenes} frames, found {frames}")
    edges = [scene * frames // scenes for scene in range(scenes + 1)]
    return tuple(itertools.pairwise(edges))


def window(width: int, height: int, progress: float, *, backwards: bool) -> NDArray[np.float64]:
    """Return the affine map from a video frame's pixels to those of a photograph.

    The photograph is `width` x `height`; `progress` runs from 0 to 1 over the scene. The camera
    closes in while it moves along the photograph's free side: from left to right, or `backwards`;
    in one that is too tall, always upwards, to where faces are. The map is (2, 3), as OpenCV's
    warpAffine takes it with WARP_INVERSE_MAP, and never reaches beyond the photograph.
    """
    fit = min(width / WIDTH, height / HEIGHT)
    zoom = fit * (1.0 - (1.0 - ZOOMED_SHARE) * progress)
    # A third of the way at each end stays unseen: what is of interest is seldom at the border.
    free_x, free_y = width - WIDTH * zoom, height - HEIGHT * zoom
    tall = free_y > free_x
    along = 1.0 / 3.0 + (1.0 - progress if backwards or tall else progress) / 3.0
    left = free_x * (0.5 if tall else along)
    top = free_y * (along if tall else 0.5)
    # Pixel centres, not corners, are what the two grids have in common.
    shift = 0.5 * zoom - 0.5
    return np.array([[zoom, 0.0, left + shift], [0.0, zoom, top + shift]])


def frames_of(picture: Pixels, count: int, *, backwards: bool = False) -> Iterator[Pixels]:
    """Give `count` frames, uint8 (HEIGHT, WIDTH, 3), of one photograph (H, W, 3)."""
    cv2 = opencv.load("making a video")
    height, width = picture.shape[:2]
    for index in range(count):
        progress = index / max(1, count - 1)
        # Slow at both ends, so that a scene begins and ends at rest.
        eased = progress * progress * (3.0 - 2.0 * progress)
        yield cv2.warpAffine(
            picture,
            window(width, height, eased, backwards=backwards),
            (WIDTH, HEIGHT),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


def write_video(
    pictures: Sequence[SamplePicture],
    path: Path,
    *,
    frames: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Video:
    """Write a Motion JPEG video of `frames` frames over `pictures` (BGR) to `path`, an .avi.

    Motion JPEG in AVI is what OpenCV writes and reads by itself, without a codec of the system.
    Raises UsageError for fewer frames than pictures, MejiroError if OpenCV cannot write.
    """
    spans = split_frames(frames, len(pictures))
    with replacing(path) as beside:
        # OpenCV chooses the container by the name's ending.
        named = beside.with_name(beside.name + ".avi")
        try:
            _write(pictures, spans, named, on_progress)
            named.replace(beside)
        finally:
            named.unlink(missing_ok=True)
    return Video(path=path, spans=spans)


def _write(
    pictures: Sequence[SamplePicture],
    spans: Sequence[tuple[int, int]],
    path: Path,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    cv2 = opencv.load("making a video")
    code: Any = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_OPENCV_MJPEG, code, float(FRAMES_PER_SECOND), (WIDTH, HEIGHT)
    )
    try:
        if not writer.isOpened():
            raise MejiroError(
                f"OpenCV {cv2.__version__} cannot write a Motion JPEG video to {path.parent}; "
                "check that the folder is writable, or install opencv-python-headless again"
            )
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, JPEG_QUALITY)
        done = 0
        for number, (picture, (first, end)) in enumerate(zip(pictures, spans, strict=True)):
            for frame in frames_of(picture.pixels, end - first, backwards=bool(number % 2)):
                writer.write(frame)
                done += 1
                if on_progress is not None:
                    on_progress(done, spans[-1][1])
    finally:
        writer.release()
    _check(path, spans[-1][1])


def _check(path: Path, frames: int) -> None:
    """Raise MejiroError unless the video is whole: OpenCV writes to a full disk without a word."""
    cv2 = opencv.load("making a video")
    capture = cv2.VideoCapture(str(path))
    try:
        found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()
    if found != frames:
        raise MejiroError(
            f"the video in {path.parent} has {found} of {frames} frames; is the disk full?"
        )
