"""Print the first label of one picture with MediaPipe Tasks, in its own environment.

`mediapipe_start.py MODEL LABELS PICTURE`
"""

import sys
from pathlib import Path

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision


def main(model: str, labels: str, picture: str) -> None:
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=model), max_results=1
    )
    with vision.ImageClassifier.create_from_options(options) as classifier:
        result = classifier.classify(mediapipe.Image.create_from_file(picture))
        best = int(result.classifications[0].categories[0].index)
        names = Path(labels).read_text(encoding="utf-8").splitlines()
        print(names[best].split("\t")[-1], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
