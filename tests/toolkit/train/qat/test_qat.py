"""The training graph computes what the exported file does, and the file has its ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mejiro.data.augmentation import Augmentation
from mejiro.errors import ExportError, UsageError
from mejiro.export import Exporter
from mejiro.export.quantize import convert_for_quantization
from mejiro.export.recipe import Recipe
from mejiro.export.trained import trained_ranges
from mejiro.model import FloatModel
from mejiro.tensorflow import load_tensorflow
from mejiro.train.finetune import FinetuneSettings, copied, finetune
from mejiro.train.pictures import Pictures
from mejiro.train.qat import Following, QatSettings, finetune_quantized, quantize_aware
from mejiro.train.qat.groups import find_groups
from mejiro.train.qat.layer import fake_quantize, fake_quantize_bias, nudged
from mejiro.train.qat.reading import read_graph
from mejiro.train.qat.training import quantized_file
from mejiro.zoo import load_float_model, save_float_model
from mejiro_runtime.card import Precision
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import PixelOrder

MakeNetwork = Callable[..., FloatModel]

# What the comparison must find: the acceptance of the whole.
WITHIN_ONE, STEP = 0.99, 1.01
TRAINING = FinetuneSettings(epochs=2, rate=0.01, batch_size=8, augmentation=Augmentation())


def tune(model: FloatModel, lessons: Pictures, **changes: Any) -> FloatModel:
    training = replace(TRAINING, keep_from=1.0)  # else the beginning may be the best
    return finetune_quantized(model, lessons, training, QatSettings(**changes))


def normalized(pixels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    return pixels * np.array(spec.scale, np.float32) + np.array(spec.offset, np.float32)


def run_file(data: bytes, pixels: NDArray[np.uint8]) -> list[dict[str, NDArray[Any]]]:
    """Return the real value of each quantized tensor by its name, for each picture."""
    from ai_edge_litert.interpreter import Interpreter

    with pytest.warns(UserWarning, match="experimental_preserve_all_tensors"):
        interpreter = Interpreter(model_content=data, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    found = []
    for picture in pixels:
        interpreter.set_tensor(entry, picture[None])
        interpreter.invoke()
        tensors = {}
        for detail in interpreter.get_tensor_details():
            scale, zero_point = detail["quantization"]
            if scale and detail["name"]:
                stored = interpreter.get_tensor(detail["index"]).astype(np.float64)
                tensors[detail["name"]] = (stored - zero_point) * scale
        found.append(tensors)
    return found


@pytest.fixture(scope="module", params=["exact", "per channel", "BGR"])
def trained(
    request: Any, make_network: MakeNetwork, lessons: Pictures, specs: dict[str, InputSpec]
) -> SimpleNamespace:
    """Give a network trained for int8, its file, and the training graph of that very file."""
    model = tune(make_network(specs[request.param]), lessons)
    data = Exporter(model).tflite(Precision.INT8)
    return SimpleNamespace(model=model, data=data, aware=quantize_aware(model, data))


def on_file(trained: Any, pixels: NDArray[np.uint8]) -> dict[int, NDArray[Any]]:
    """Return what the file computes for `pixels`, by the places of its quantized tensors."""
    graph = trained.aware.graph
    files = run_file(trained.data, pixels)
    return {
        place: np.concatenate([one[graph.values[place].name] for one in files]).astype(np.float32)
        for group in find_groups(graph)
        for place in group.places
    }


def steps_apart(trained: Any, place: int, one: Any, other: Any) -> NDArray[np.float64]:
    steps = np.abs(np.asarray(one, np.float64) - other) / trained.aware.graph.values[place].scale[0]
    return np.asarray(steps)


def test_each_operator_computes_what_the_file_does(trained: Any, pixels: NDArray[np.uint8]) -> None:
    """Given the file's own inputs, no value of any tensor is more than one step away."""
    graph, file = trained.aware.graph, on_file(trained, pixels)
    replayed = trained.aware.layer.replay(file)
    kinds = set()
    for place, found in replayed.items():
        if place in file:
            kinds.add(graph.makers[place].kind)
            steps = steps_apart(trained, place, found, file[place])
            assert steps.max() <= STEP, graph.values[place].name
            # A mean of four integers is often halfway between two, where engines differ.
            least = 0.7 if graph.makers[place].kind == "AVERAGE_POOL_2D" else 0.995
            assert (steps < 0.5).mean() > least, graph.values[place].name
    assert {
        "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "HARD_SWISH", "ADD", "MUL", "MEAN",
        "CONCATENATION", "AVERAGE_POOL_2D",
    } <= kinds  # fmt: skip


def test_the_file_answers_as_the_training_graph_does(
    trained: Any, pixels: NDArray[np.uint8]
) -> None:
    """From pixels to logits, one step at most on 99% of them; roundings add up on the way."""
    spec, graph = trained.model.input, trained.aware.graph
    rows = pixels[..., ::-1] if spec.order is PixelOrder.BGR else pixels
    tensors = trained.aware.layer.tensors(normalized(rows, spec))
    place = graph.logits
    while not graph.values[place].quantized:
        place = graph.makers[place].inputs[0]
    steps = steps_apart(trained, place, tensors[place], on_file(trained, pixels)[place])
    assert (steps <= STEP).mean() >= WITHIN_ONE
    logits = trained.aware.trainable.keras_model(normalized(rows, spec))
    assert np.asarray(logits) == pytest.approx(np.asarray(tensors[place]))


def test_the_scales_of_the_file_are_the_trained_ones(trained: Any) -> None:
    graph = read_graph(trained.data)
    float_file = convert_for_quantization(trained.model)
    known = trained_ranges(trained.model, float_file)
    assert len(known) >= 14
    for group in find_groups(graph):
        ranges = [known[graph.values[place].name] for place in group.places
                  if graph.values[place].name in known]  # fmt: skip
        if group.fixed or not ranges:
            continue
        low, high = ranges[0]
        scale = graph.values[group.places[0]].scale
        assert scale is not None
        assert scale[0] == pytest.approx((high - low) / 255, rel=1e-6)


@pytest.fixture(scope="module")
def beginning(make_network: MakeNetwork, lessons: Pictures) -> SimpleNamespace:
    model = make_network()
    source = convert_for_quantization(model)
    file = quantized_file(model, source, lessons.train, Recipe())
    return SimpleNamespace(model=model, source=source, file=file, rows=lessons.train)


def test_gradients_reach_every_weight(beginning: Any) -> None:
    tf = load_tensorflow()
    aware = quantize_aware(beginning.model, beginning.file)
    network = aware.trainable.keras_model
    names = sorted(variable.path for variable in beginning.model.keras_model.trainable_variables)
    assert sorted(variable.path for variable in network.trainable_variables) == names
    assert aware.constant == aware.untrained == ()
    values = normalized(beginning.rows[:8], beginning.model.input)
    with tf.GradientTape() as tape:
        logits = network(values, training=True)
        loss = tf.reduce_sum(logits * np.linspace(-1, 1, 4).astype(np.float32))
    for variable, gradient in zip(
        network.trainable_variables, tape.gradient(loss, network.trainable_variables), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.abs(np.asarray(gradient)).max() > 0, variable.path


def test_fake_quantization_stays_near_the_float_network(beginning: Any, lessons: Pictures) -> None:
    aware = quantize_aware(beginning.model, beginning.file)
    values = normalized(lessons.val, beginning.model.input)
    tf = load_tensorflow()
    found = tf.nn.softmax(aware.trainable.keras_model(values)).numpy()
    expected = np.asarray(beginning.model.keras_model(values))
    assert np.abs(found - expected).max() < 0.1
    assert np.abs(found - expected).max() > 0


def test_ranges_follow_the_batches_and_then_stay(beginning: Any) -> None:
    aware = quantize_aware(beginning.model, beginning.file, following=Following(0.5, steps=2))
    network, layer = aware.trainable.keras_model, aware.layer
    dark = normalized(beginning.rows[:8] // 8, beginning.model.input)
    seen = [layer.ranges.numpy()]
    for _ in range(4):
        network(dark, training=True)
        seen.append(layer.ranges.numpy())
    network(dark, training=False)
    widths = [(high - low).sum() for low, high in (one.T for one in seen)]
    assert widths[0] > widths[1] > widths[2]
    assert (seen[2] == seen[4]).all()
    assert (layer.ranges.numpy() == seen[4]).all()
    fixed = [number for number, group in enumerate(find_groups(aware.graph)) if group.fixed]
    assert fixed  # the pixels
    assert (seen[0][fixed] == seen[4][fixed]).all()


def test_a_saved_model_is_converted_to_the_ranges_it_was_trained_to(
    trained: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    save_float_model(trained.model, folder)
    assert (folder / "ranges.json").is_file()
    opened = load_float_model(folder)
    assert opened.trained == trained.model.trained
    again = read_graph(Exporter(opened).tflite(Precision.INT8))
    before = read_graph(trained.data)
    for one, other in zip(before.values, again.values, strict=True):
        if one.scale is not None and other.scale is not None:
            assert (one.scale == other.scale).all()
            assert one.zero_point == other.zero_point


def test_biases_are_rounded_as_int32_has_them() -> None:
    tf = load_tensorflow()
    bias, step = tf.constant([0.26, -1.0, 3.0]), tf.constant([0.1, 0.3, 1e-9])
    with tf.GradientTape() as tape:
        tape.watch(bias)
        found = fake_quantize_bias(bias, step)
        total = tf.reduce_sum(found * [1.0, 2.0, 3.0])
    assert found.numpy() == pytest.approx([0.3, -0.9, 3.0], abs=1e-6)
    assert tape.gradient(total, bias).numpy() == pytest.approx([1.0, 2.0, 3.0])


def test_ranges_of_other_weights_are_refused(trained: Any) -> None:
    changed = copied(trained.model)
    weights = changed.keras_model.get_weights()
    changed.keras_model.set_weights([weights[0] * 2, *weights[1:]])
    with pytest.raises(ExportError, match=r"not those of its weights.*ranges\.json"):
        Exporter(changed).tflite(Precision.INT8)


def test_training_on_without_int8_forgets_the_ranges(
    make_network: MakeNetwork, lessons: Pictures
) -> None:
    model = replace(tune(make_network(), lessons))
    assert model.trained is not None
    assert finetune(model, lessons, replace(TRAINING, epochs=1)).trained is None


def test_a_symmetric_recipe_keeps_zero_points_at_zero(
    make_network: MakeNetwork, lessons: Pictures
) -> None:
    model = tune(make_network(), lessons, recipe=Recipe(symmetric=True))
    graph = read_graph(Exporter(model).tflite(Precision.INT8))
    for group in find_groups(graph):
        if not group.fixed:
            assert group.symmetric
            assert {graph.values[place].zero_point for place in group.places} == {0}


def test_the_kept_network_is_never_worse_than_calibration_alone(
    make_network: MakeNetwork, lessons: Pictures
) -> None:
    """A rate that ruins the network leaves the beginning as the best."""
    ruinous = replace(TRAINING, epochs=1, rate=10.0, warmup=0.0)
    tuned = finetune_quantized(make_network(), lessons, ruinous)
    record = tuned.lineage["finetuned"][-1]
    assert record["kept_epoch"] == 0
    assert tuned.trained is not None


def test_a_network_does_not_teach_itself(make_network: MakeNetwork, lessons: Pictures) -> None:
    model = make_network()
    with pytest.raises(UsageError, match="cannot teach itself"):
        finetune_quantized(model, lessons, TRAINING, teacher=model)


def test_what_is_not_found_in_the_file_is_named(
    keras: Any, make_network: MakeNetwork, lessons: Pictures
) -> None:
    """A batch norm before a convolution is two operators with constants."""
    inputs = keras.Input((16, 16, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="after_relu")(x)
    x = keras.layers.MaxPooling2D(2, name="max")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(4, name="classifier")(x)
    network = keras.Model(inputs, keras.layers.Softmax(name="scores")(x))
    model = replace(make_network(), keras_model=network)
    source = convert_for_quantization(model)
    aware = quantize_aware(model, quantized_file(model, source, lessons.train, Recipe()))
    assert sorted(aware.untrained) == ["after_relu/beta", "after_relu/gamma"]
    names = sorted(one.path for one in aware.trainable.keras_model.trainable_variables)
    assert names == ["classifier/bias", "classifier/kernel", "conv/bias", "conv/kernel"]


def test_an_operator_that_cannot_be_trained_is_named(keras: Any, make_network: MakeNetwork) -> None:
    inputs = keras.Input((16, 16, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.ops.cos(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(4, name="classifier")(x)
    network = keras.Model(inputs, keras.layers.Softmax(name="scores")(x))
    model = replace(make_network(), keras_model=network)
    with pytest.raises(ExportError, match="COS"):
        quantize_aware(model, convert_for_quantization(model))


def test_a_network_without_softmax_is_refused(keras: Any, make_network: MakeNetwork) -> None:
    inputs = keras.Input((16, 16, 3), name="pixels")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(inputs)
    x = keras.layers.Dense(4, activation="sigmoid", name="classifier")(x)
    model = replace(make_network(), keras_model=keras.Model(inputs, x))
    with pytest.raises(ExportError, match="softmax"):
        quantize_aware(model, convert_for_quantization(model))


@given(
    low=st.floats(-100, 0, width=32),
    high=st.floats(0, 100, width=32),
    values=st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=20),
)
@settings(deadline=None, max_examples=50)
def test_fake_quantization_is_rounding_to_the_nudged_range(
    low: float, high: float, values: list[float]
) -> None:
    if high - low < 1e-3:
        high = low + 1.0
    bottom, top = nudged(low, high, 8)
    scale = (top - bottom) / 255
    zero = round(-bottom / scale)
    assert bottom == pytest.approx(-zero * scale, abs=1e-9)
    found = fake_quantize(np.array(values, np.float32), low, high, 8).numpy()
    place = np.array(values) / scale + zero
    expected = (np.clip(np.rint(place), 0, 255) - zero) * scale
    # Halfway between two steps float32 may go either way.
    sure = np.abs(place - np.floor(place) - 0.5) > 1e-3
    assert found[sure] == pytest.approx(expected[sure], abs=1e-4 * max(1.0, top - bottom))


@pytest.mark.parametrize("wrong", [{"momentum": 1.0}, {"momentum": -0.1}, {"follow": 1.5}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        QatSettings(**wrong)
