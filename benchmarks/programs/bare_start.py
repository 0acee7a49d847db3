"""Print the first label of one picture with nothing but numpy, OpenCV and LiteRT.

`bare_start.py MODEL LABELS PICTURE THREADS`: the shortest script that does what `mejiro-run run`
does with a picture, and that checks nothing.
"""

import sys

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(model: str, labels: str, picture: str, threads: str) -> None:
    interpreter = Interpreter(model_path=model, num_threads=int(threads))
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    height, width = given["shape"][1:3]
    pixels = cv2.resize(cv2.imread(picture), (width, height), interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    interpreter.set_tensor(given["index"], np.expand_dims(pixels, 0))
    interpreter.invoke()
    best = int(np.argmax(interpreter.get_tensor(made["index"])[0]))
    with open(labels, encoding="utf-8") as lines:  # noqa: PTH123 - pathlib would not be bare
        print(lines.read().splitlines()[best].split("\t")[-1], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
