"""Transforms: what each does to one image and to a batch, by itself and under MNIST."""

import numpy as np
import pytest

import minidl
from minidl.data import MNIST, DataLoader, transforms
from minidl.data.transforms import takes_batches

IMAGES = np.random.default_rng(0).random((6, 3, 5, 4)).astype(np.float32)
batch = minidl.tensor(IMAGES)

EACH = {
    "Normalize": transforms.Normalize((0.5, 0.1, 0.2), (0.2, 0.3, 0.4)),
    "Pad": transforms.Pad(1, 0.5),
    "CenterCrop": transforms.CenterCrop((3, 2)),
    "RandomCrop": transforms.RandomCrop((5, 4), padding=1),
    "RandomHorizontalFlip": transforms.RandomHorizontalFlip(),
    "RandomVerticalFlip": transforms.RandomVerticalFlip(),
    "RandomRotation": transforms.RandomRotation(30),
    "RandomAffine": transforms.RandomAffine(10, (0.2, 0.1), (0.8, 1.2), 5),
    "Grayscale": transforms.Grayscale(),
}


@pytest.mark.parametrize("name", EACH)
def test_one_image_and_a_batch_of_one_are_treated_alike(name: str) -> None:
    minidl.manual_seed(3)
    one = EACH[name](batch[0])
    minidl.manual_seed(3)
    many = EACH[name](batch[:1])
    assert one.shape == many.shape[1:] and one.dtype == np.float32
    np.testing.assert_array_equal(one.array, many.array[0])
    assert (batch.array == IMAGES).all()  # the input is not changed
    with pytest.raises(ValueError, match=name):
        EACH[name](batch[0, 0])


def test_normalised_channels() -> None:
    out = EACH["Normalize"](batch).array
    np.testing.assert_allclose(out[:, 1], (IMAGES[:, 1] - 0.1) / 0.3, rtol=1e-6)
    with pytest.raises(ValueError, match="std"):
        transforms.Normalize(0.5, 0)


def test_a_shift_keeps_what_stays_inside() -> None:
    shifted = transforms.RandomCrop((5, 4), padding=1)(batch).array
    padded = np.pad(IMAGES, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for image, frame in zip(shifted, padded, strict=True):
        places = [(y, x) for y in range(3) for x in range(3) if (frame[:, y : y + 5, x : x + 4] == image).all()]
        assert len(places) == 1
    with pytest.raises(ValueError, match="padding"):
        transforms.RandomCrop(6)(batch)


@pytest.mark.parametrize(("flip", "axis"), [("RandomHorizontalFlip", -1), ("RandomVerticalFlip", -2)])
def test_flips(flip: str, axis: int) -> None:
    make = getattr(transforms, flip)
    np.testing.assert_array_equal(make(1.0)(batch).array, np.flip(IMAGES, axis))
    np.testing.assert_array_equal(make(0.0)(batch).array, IMAGES)
    many = minidl.rand(400, 1, 3, 3)
    assert 140 < (make(0.5)(many).array != many.array).any((1, 2, 3)).sum() < 260


def test_rotations() -> None:
    square = IMAGES[:, :, :4]
    for degrees, turns in ((90, 1), (180, 2), (-90, -1)):
        turned = transforms.RandomRotation((degrees, degrees))(minidl.tensor(square)).array
        np.testing.assert_array_equal(turned, np.rot90(square, turns, (2, 3)))
    diagonal = transforms.RandomRotation((45, 45), fill=7)(minidl.zeros(2, 1, 5, 5)).array
    assert (diagonal[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] == 7).all() and (diagonal[:, :, 1:-1, 1:-1] == 0).all()
    with pytest.raises(ValueError, match="angle"):
        transforms.RandomRotation((20, 10))


def test_affine_transforms() -> None:
    square = minidl.tensor(IMAGES[:, :, :4])
    for degrees, turns in ((90, -1), (180, 2)):  # clockwise
        turned = transforms.RandomAffine((degrees, degrees))(square).array
        np.testing.assert_array_equal(turned, np.rot90(square.array, turns, (2, 3)))
    twice = transforms.RandomAffine(0, scale=(2, 2))(square).array
    np.testing.assert_array_equal(twice, square.array[:, :, [1, 1, 2, 2]][:, :, :, [1, 1, 2, 2]])
    three = minidl.tensor(IMAGES[:, :, :3, :3])
    sheared = transforms.RandomAffine(0, shear=(45, 45))(three).array  # rows move by 1, 0, -1
    np.testing.assert_array_equal(sheared[:, :, 1], IMAGES[:, :, 1, :3])
    np.testing.assert_array_equal(sheared[:, :, 0, 1:], IMAGES[:, :, 0, :2])
    np.testing.assert_array_equal(sheared[:, :, 2, :2], IMAGES[:, :, 2, 1:3])
    shifted = transforms.RandomAffine(0, translate=(0, 0.4), fill=7)(minidl.tensor(IMAGES)).array
    for image, original in zip(shifted, IMAGES, strict=True):
        frame = np.pad(original, ((0, 0), (2, 2), (0, 0)), constant_values=7)
        assert sum((frame[:, y : y + 5] == image).all() for y in range(5)) == 1
    for wrong in ({"translate": (2, 0)}, {"scale": (0, 1)}, {"interpolation": "bilinear"}):
        with pytest.raises(ValueError, match="RandomAffine"):
            transforms.RandomAffine(0, **wrong)


def test_frames() -> None:
    image = minidl.tensor([[[1.0, 2.0]]])
    assert transforms.Pad((1, 0), 9)(image).tolist() == [[[9, 1, 2, 9]]]
    assert transforms.Pad((0, 1, 2, 0), padding_mode="edge")(image).tolist() == [[[1, 2, 2, 2], [1, 2, 2, 2]]]
    assert transforms.CenterCrop((3, 1))(image).tolist() == [[[0], [1], [0]]]
    assert transforms.RandomCrop((1, 4), pad_if_needed=True, fill=9)(image).tolist() == [[[9, 1, 2, 9]]]
    with pytest.raises(ValueError, match="padding_mode"):
        transforms.Pad(1, padding_mode="circular")


def test_brightness() -> None:
    grey = transforms.Grayscale(3)(batch).array
    np.testing.assert_allclose(grey[:, 2], np.tensordot(IMAGES, [0.2989, 0.587, 0.114], ((1,), (0,))), rtol=1e-6)
    assert grey.dtype == np.float32 and (transforms.Grayscale()(batch[:, :1]).array == IMAGES[:, :1]).all()
    with pytest.raises(TypeError, match="channels"):
        transforms.Grayscale()(batch[:, :2])


def test_images_become_tensors() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    out = transforms.ToTensor()(pixels)
    assert out.shape == (3, 2, 4) and out.dtype == np.float32
    np.testing.assert_array_equal(out.array, pixels.transpose(2, 0, 1) / np.float32(255))
    assert transforms.ToTensor()(out) is out
    with pytest.raises(ValueError, match="ToTensor"):
        transforms.ToTensor()(np.zeros(3))


def test_one_hot_labels() -> None:
    assert transforms.OneHot(3)(minidl.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(ValueError, match="labels"):
        transforms.OneHot(3)(3)


def test_under_mnist_a_batch_is_transformed_at_once_where_it_can_be() -> None:
    normalise = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    quick = MNIST(train=False, transform=normalise.transforms[1], target_transform=transforms.OneHot(10))
    slow = MNIST(train=False, transform=lambda image: normalise(image), target_transform=lambda label: label + 1)
    assert takes_batches(quick.transform) and not takes_batches(slow.transform)
    (x, y), (other, labels) = (next(iter(DataLoader(data, 4))) for data in (quick, slow))
    np.testing.assert_array_equal(x.array, other.array)
    assert y.shape == (4, 10) and (y.array.argmax(1) + 1 == labels.array).all()
    image, label = slow[3]
    assert image.shape == (1, 28, 28) and label == 1
