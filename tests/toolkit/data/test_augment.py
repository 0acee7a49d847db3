"""Each change does what it says, and all of them come again when the state does."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest

from mejiro.data.augment import augmentation_layer
from mejiro.data.augmentation import PRESETS, Augmentation, Flip
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro_runtime.types import PixelOrder

COUNT = 64
ALL = Augmentation(
    flip=Flip.BOTH, rotation_degrees=20, shift=0.1, shear_degrees=5, zoom=0.2, brightness=0.1,
    contrast=0.2, saturation=0.2, hue=0.1, randaugment=0.5, erasing=0.5, mixup=0.4, cutmix=1.0,
)  # fmt: skip


def smooth(count: int = COUNT, side: int = 24, channels: int = 3) -> np.ndarray:
    """Return pictures that change slowly from pixel to pixel, each unlike the others."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[0:side, 0:side] / side
    waves = rng.uniform(0.5, 1.5, (count, 1, 1, channels, 2))
    phase = rng.uniform(0, 6, (count, 1, 1, channels))
    angle = x[..., None] * waves[..., 0] * 4 + y[..., None] * waves[..., 1] * 4 + phase
    return (127.5 + 100 * np.sin(angle)).astype(np.float32)


def one_hot(count: int = COUNT, classes: int = 5) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[np.arange(count) % classes]


def run(augmentation: Augmentation, images: np.ndarray, labels=None, *, seed: int = 1, **options):
    layer = augmentation_layer(augmentation, seed=seed, **options)
    made = layer(
        {"images": images, "labels": one_hot(len(images)) if labels is None else labels},
        training=True,
    )
    convert = load_keras().ops.convert_to_numpy
    return convert(made["images"]), convert(made["labels"])


@pytest.mark.parametrize("augmentation", [*PRESETS.values(), ALL], ids=[*PRESETS, "all"])
def test_pictures_stay_pictures_and_labels_stay_shares(augmentation):
    pictures = smooth().round().astype(np.uint8)
    images, labels = run(augmentation, pictures)
    assert images.shape == pictures.shape
    assert images.dtype == labels.dtype == np.float32
    assert images.min() >= 0.0
    assert images.max() <= 255.0
    np.testing.assert_allclose(labels.sum(axis=1), 1.0, atol=1e-5)
    changed = np.abs(images - pictures).max(axis=(1, 2, 3)) > 1
    assert changed.mean() > 0.9 if augmentation.any else not changed.any()
    if not augmentation.mixes:
        np.testing.assert_array_equal(labels, one_hot())


@pytest.mark.parametrize("augmentation", [*PRESETS.values(), ALL], ids=[*PRESETS, "all"])
def test_outside_training_nothing_changes(augmentation):
    layer = augmentation_layer(augmentation, seed=1)
    for options in ({}, {"training": False}):
        made = layer({"images": smooth(), "labels": one_hot()}, **options)
        np.testing.assert_array_equal(made["images"], smooth())
        np.testing.assert_array_equal(made["labels"], one_hot())


def batches(call, count: int) -> list[np.ndarray]:
    images = smooth(8).round().astype(np.uint8)
    found = []
    for _ in range(count):
        made = call(images, one_hot(8))
        found += [np.array(made["images"]), np.array(made["labels"])]
    return found


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("augmentation", [PRESETS["standard"], ALL], ids=["standard", "all"])
def test_the_same_variables_give_the_same_batches_to_the_bit(augmentation, graph):
    tensorflow = load_tensorflow()

    def caller(layer):
        def call(images, labels):
            return layer({"images": images, "labels": labels}, training=True)

        return tensorflow.function(call) if graph else call

    layer = augmentation_layer(augmentation, seed=3)
    call = caller(layer)
    batches(call, 2)
    assert len(layer.variables) == 1
    state = [variable.numpy() for variable in layer.variables]
    first = batches(call, 3)
    # The layer that made them goes on from there, and so does one that begins in a new process.
    later = augmentation_layer(augmentation, seed=999)
    for other, other_call in ((layer, call), (later, caller(later))):
        for variable, value in zip(other.variables, state, strict=True):
            variable.assign(value)
        for before, now in zip(first, batches(other_call, 3), strict=True):
            np.testing.assert_array_equal(before, now)
    assert not np.array_equal(first[0], first[2])


def test_one_seed_gives_the_same_and_another_does_not():
    first, again, other = (run(ALL, smooth(), seed=seed)[0] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_graph_serves_batches_of_every_size():
    tensorflow = load_tensorflow()
    layer = augmentation_layer(ALL, seed=1)
    traces = []

    def call(images, labels):
        traces.append(1)
        return layer({"images": images, "labels": labels}, training=True)["images"]

    signature = [
        tensorflow.TensorSpec((None, 24, 24, 3), tensorflow.uint8),
        tensorflow.TensorSpec((None, 5), tensorflow.float32),
    ]
    graph = tensorflow.function(call, input_signature=signature)
    for count in (1, 5, 8):
        assert graph(smooth(count).astype(np.uint8), one_hot(count)).shape == (count, 24, 24, 3)
    assert len(traces) == 1


def test_a_flip_is_exact_and_happens_to_every_second_picture():
    pictures = smooth(400)
    images, _ = run(Augmentation(flip=Flip.HORIZONTAL), pictures)
    same = np.isclose(images, pictures, atol=0.01).all(axis=(1, 2, 3))
    mirrored = np.isclose(images, pictures[:, :, ::-1], atol=0.01).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6
    images, _ = run(Augmentation(flip=Flip.BOTH), pictures)
    upside_down = np.isclose(images, pictures[:, ::-1, ::-1], atol=0.01).all(axis=(1, 2, 3))
    assert 0.15 < upside_down.mean() < 0.35


def centre_of(images: np.ndarray) -> np.ndarray:
    """Return where the bright spot of each picture is, (N, 2): y and x from the middle."""
    weights = images[..., 0].clip(0)
    places = np.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    total = weights.sum(axis=(1, 2))
    y = (weights.sum(axis=2) * places).sum(axis=1) / total
    x = (weights.sum(axis=1) * places).sum(axis=1) / total
    return np.stack([y, x], axis=1)


def spot(count: int, *, right: int = 0, side: int = 65, width: float = 2.0) -> np.ndarray:
    """Return black pictures with one bright spot, `right` of the middle."""
    places = np.arange(side) - (side - 1) / 2
    y, x = np.exp(-(places**2) / width**2), np.exp(-((places - right) ** 2) / width**2)
    picture = 255 * (y[:, None] * x[None, :])[..., None].repeat(3, axis=2)
    return np.broadcast_to(picture.astype(np.float32), (count, side, side, 3)).copy()


def test_a_turn_keeps_the_distance_from_the_middle_and_its_limit():
    y, x = centre_of(run(Augmentation(rotation_degrees=30), spot(200, right=20))[0]).T
    np.testing.assert_allclose(np.hypot(x, y), 20, atol=0.5)
    angles = np.degrees(np.arctan2(y, x))
    assert 25 < angles.max() < 30.5
    assert -30.5 < angles.min() < -25


def test_a_shift_reaches_its_share_of_the_side_and_no_farther():
    shifts = centre_of(run(Augmentation(shift=0.2), spot(300))[0])
    for along in shifts.T:
        assert 12 < along.max() < 13.2
        assert -13.2 < along.min() < -12


def test_a_zoom_goes_as_far_in_as_out():
    y, x = centre_of(run(Augmentation(zoom=0.5), spot(300, right=14))[0]).T
    factors = x / 14
    np.testing.assert_allclose(y, 0, atol=0.1)
    assert 1.4 < factors.max() < 1.52
    assert 1 / 1.52 < factors.min() < 1 / 1.4
    assert abs(np.log(factors).mean()) < 0.06


def test_a_shear_leans_by_its_angle():
    y, x = centre_of(run(Augmentation(shear_degrees=20), spot(300, right=15))[0]).T
    angles = np.degrees(np.arctan2(y, x))
    assert 17 < np.abs(angles).max() < 21


def test_what_comes_into_view_is_the_mirrored_picture_and_never_black():
    images, _ = run(ALL.__class__(shift=0.3, rotation_degrees=40), np.full_like(smooth(), 200.0))
    np.testing.assert_allclose(images, 200.0, atol=0.01)


def means_of(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2))


def test_brightness_adds_the_same_everywhere():
    pictures = np.full((200, 8, 8, 3), 128.0, np.float32)
    images, _ = run(Augmentation(brightness=0.2), pictures)
    added = means_of(images) - 128
    np.testing.assert_allclose(images - pictures, added[:, None, None, :1] + 0 * images, atol=1e-3)
    assert 45 < added.max() < 51.1
    assert -51.1 < added.min() < -45


def test_contrast_spreads_about_the_mean_grey():
    pictures = 100 + 0.3 * smooth(200)
    images, _ = run(Augmentation(contrast=0.5), pictures)
    grey = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(means_of(images) @ grey, means_of(pictures) @ grey, atol=0.05)
    ratios = images.std(axis=(1, 2, 3)) / pictures.std(axis=(1, 2, 3))
    assert 1.4 < ratios.max() < 1.51
    assert 0.49 < ratios.min() < 0.6


def test_saturation_moves_each_pixel_from_its_grey():
    pictures = 100 + 0.3 * smooth(100)
    images, _ = run(Augmentation(saturation=0.5), pictures)
    grey = pictures @ np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(images @ [0.299, 0.587, 0.114], grey, atol=0.05)
    before, after = pictures - grey[..., None], images - grey[..., None]
    factors = (before * after).sum(axis=(1, 2, 3)) / (before**2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(after, factors[:, None, None, None] * before, atol=0.1)
    assert 1.4 < factors.max() < 1.51
    assert 0.49 < factors.min() < 0.6


@pytest.mark.parametrize("order", [PixelOrder.RGB, PixelOrder.BGR])
def test_hue_turns_colours_and_leaves_their_grey(order):
    red = np.array([160, 110, 110], np.float32)
    weights = np.array([0.299, 0.587, 0.114])
    if order is PixelOrder.BGR:
        red, weights = red[::-1], weights[::-1]
    pictures = np.broadcast_to(red, (300, 4, 4, 3)).astype(np.float32)
    images, _ = run(Augmentation(hue=0.1), pictures, order=order)
    np.testing.assert_allclose(images @ weights, pictures @ weights, atol=0.1)
    pixels = images[:, 0, 0, ::-1] if order is PixelOrder.BGR else images[:, 0, 0]
    hues = np.array([colorsys.rgb_to_hsv(*(pixel / 255))[0] for pixel in pixels])
    hues = (hues + 0.5) % 1 - 0.5
    # A turn in YIQ is about one in HSV.
    assert 0.06 < hues.max() < 0.15
    assert -0.15 < hues.min() < -0.06


def test_a_picture_of_one_channel_is_varied_too():
    images, _ = run(ALL, smooth(channels=1), order=PixelOrder.GRAY)
    assert images.shape == (COUNT, 24, 24, 1)
    assert np.abs(images - smooth(channels=1)).mean() > 5


def test_erasing_fills_one_rectangle_of_some_pictures():
    pictures = smooth(300)
    images, _ = run(Augmentation(erasing=0.5), pictures)
    touched = (images != pictures).any(axis=3)
    happened = touched.any(axis=(1, 2))
    assert 0.4 < happened.mean() < 0.6
    for index in np.flatnonzero(happened)[:20]:
        rows, columns = touched[index].any(axis=1), touched[index].any(axis=0)
        box = images[index][rows][:, columns]
        assert np.ptp(box, axis=(0, 1)).max() < 1e-3
    share = touched[happened].mean(axis=(1, 2))
    assert share.max() < 0.4


def test_mixup_blends_neighbours_and_their_labels_alike():
    pictures = np.arange(COUNT, dtype=np.float32)[:, None, None, None] * np.ones((1, 6, 6, 3))
    truth = np.eye(COUNT, dtype=np.float32)
    images, labels = run(Augmentation(mixup=0.4), pictures.astype(np.float32), truth)
    own = labels[np.arange(COUNT), np.arange(COUNT)]
    other = labels[np.arange(COUNT), np.arange(COUNT) - 1]
    np.testing.assert_allclose(own + other, 1, atol=1e-5)
    np.testing.assert_allclose(images[:, 0, 0, 0], labels @ np.arange(COUNT), atol=1e-3)
    assert own.min() < 0.2
    assert own.max() > 0.8


def test_cutmix_pastes_a_box_and_labels_say_its_share():
    pictures = np.arange(COUNT, dtype=np.float32)[:, None, None, None] * np.ones((1, 20, 20, 3))
    truth = np.eye(COUNT, dtype=np.float32)
    images, labels = run(Augmentation(cutmix=1.0), pictures.astype(np.float32), truth)
    for index, image in enumerate(images[..., 0]):
        pasted = np.isclose(image, (index - 1) % COUNT)
        assert (pasted | np.isclose(image, index)).all()
        np.testing.assert_allclose(labels[index, index - 1], pasted.mean(), atol=1e-5)
        rows, columns = pasted.any(axis=1), pasted.any(axis=0)
        assert pasted[rows][:, columns].all()
    shares = labels[np.arange(COUNT), np.arange(COUNT) - 1]
    assert shares.max() > 0.4


def test_with_both_each_picture_gets_one_of_them():
    pictures = np.arange(COUNT, dtype=np.float32)[:, None, None, None] * np.ones((1, 20, 20, 3))
    images, _ = run(Augmentation(mixup=1.0, cutmix=1.0), pictures.astype(np.float32))
    blended = np.array([np.ptp(image) == 0 for image in images])
    assert 0.2 < blended.mean() < 0.9


def test_randaugment_inverts_reduces_and_stretches_levels():
    """Each change of the list is found among many pictures, and so are pictures left alone."""
    ramp = np.broadcast_to(
        np.linspace(60, 180, 32, dtype=np.float32)[None, None, :, None], (400, 32, 32, 3)
    )
    images, _ = run(Augmentation(randaugment=1.0), ramp)
    row = images[:, 16, :, 0]
    assert (np.abs(row - ramp[0, 16, :, 0]).max(axis=1) < 0.5).any()
    assert ((row.min(axis=1) < 1) & (row.max(axis=1) > 254)).any()  # stretched
    assert any(0 < len(np.unique(values)) <= 12 and np.all(values % 16 == 0) for values in row)
    falling = np.diff(row, axis=1).max(axis=1) < 0
    assert falling.any()  # solarized at magnitude 1 is inverted
    assert math.isclose(row.mean(), 120, abs_tol=25)


def test_randaugment_of_magnitude_nothing_is_nothing():
    images, _ = run(Augmentation(randaugment=1e-6), smooth())
    # Only to stretch levels knows no magnitude.
    unchanged = np.abs(images - smooth()).max(axis=(1, 2, 3)) < 0.5
    assert 0.6 < unchanged.mean() < 1.0


def test_mixed_precision_of_the_network_leaves_pictures_precise():
    keras = load_keras()
    before = keras.config.dtype_policy()
    expected, _ = run(ALL, smooth())
    keras.config.set_dtype_policy("mixed_float16")
    try:
        images, labels = run(ALL, smooth())
    finally:
        keras.config.set_dtype_policy(before)
    assert images.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(images, expected)
