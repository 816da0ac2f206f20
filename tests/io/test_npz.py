"""State dictionaries in .npz files: the way there and back, and files that are not what they should be."""

import numpy as np
import pytest

import minidl
from minidl.io import load, replacing, save

STATE = {
    "0.weight": minidl.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "count": np.array(7),
    "file": np.arange(3, dtype=np.uint8),  # a name that numpy.savez cannot hold
    "columns": np.asfortranarray(np.ones((2, 3))),
    "empty": np.empty((0, 4), np.float32),
}


@pytest.fixture
def path(tmp_path):
    save(STATE, tmp_path / "weights.npz")
    return tmp_path / "weights.npz"


def test_what_was_saved_is_loaded(path):
    state = load(path)
    assert list(state) == list(STATE)
    for key, value in STATE.items():
        expected = np.asarray(value)
        assert isinstance(state[key], minidl.Tensor)
        assert state[key].dtype == expected.dtype and state[key].shape == expected.shape
        assert np.array_equal(state[key].array, expected)


def test_numpy_reads_and_writes_the_same_format(path, tmp_path):
    assert np.array_equal(np.load(path)["0.weight"], STATE["0.weight"].array)
    np.savez_compressed(tmp_path / "theirs.npz", w=np.ones(3))
    assert load(tmp_path / "theirs.npz")["w"].tolist() == [1.0, 1.0, 1.0]


def test_equal_numbers_give_equal_bytes(path, tmp_path):
    save(STATE, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_damaged_file_is_never_loaded_as_other_numbers(path):
    whole = path.read_bytes()
    expected = {key: np.asarray(value) for key, value in STATE.items()}
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :])
        try:
            state = load(path)
        except RuntimeError as error:
            assert "weights.npz is damaged" in str(error)
        else:  # the byte was one that does not count, such as a date
            assert all(np.array_equal(value.array, expected[key]) for key, value in state.items())


def test_a_file_that_was_cut_off_is_refused(path):
    whole = path.read_bytes()
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RuntimeError, match=r"weights\.npz is damaged"):
            load(path)


def test_pickled_objects_are_never_opened(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(RuntimeError, match=r"damaged, or is not an \.npz file of numbers"):
        load(tmp_path / "objects.npz")


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("state, named", [
    ({"state": {0: 1}}, "dict at 'state'"),
    ({"name": "lenet"}, "str at 'name'"),
    ({"w": None}, "NoneType at 'w'"),
    ({1: np.ones(2)}, "ndarray at 1"),
    ([np.ones(2)], "got list"),
])  # fmt: skip
def test_only_flat_dictionaries_of_numbers_are_saved(tmp_path, state, named):
    with pytest.raises(TypeError, match=named):
        save(state, tmp_path / "weights.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path):
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of")
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        save({}, tmp_path / "nowhere" / "weights.npz")
