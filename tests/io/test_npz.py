"""State dictionaries in .npz files: the way there and back, and files that are not what they should be."""

import numpy as np
import pytest
import torch

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


NESTS = [
    {"epoch": 3, "loss": 0.5, "name": "lenet", "best": None, "done": True, "model": STATE, "sizes": (1, [2, 3])},
    {"state": {0: {"step": np.array(3), "exp_avg": np.ones(2)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]},
    [np.ones(2), {"a/b": np.zeros(1), "a": {"b": np.ones(1)}}],
    np.arange(3.0),
    {1: np.ones(2)},
    {"infinite": float("inf")},
]


def equal(found, expected):
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(equal(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return type(found) is type(expected) and all(equal(*pair) for pair in zip(found, expected, strict=True))
    if isinstance(expected, np.ndarray | minidl.Tensor):
        return isinstance(found, minidl.Tensor) and np.array_equal(found.array, np.asarray(expected))
    return found == expected and type(found) is type(expected)


@pytest.mark.parametrize("nest", NESTS, ids=str)
def test_a_checkpoint_comes_back_as_it_was(tmp_path, nest):
    save(nest, tmp_path / "checkpoint.npz")
    assert equal(load(tmp_path / "checkpoint.npz"), nest)


def test_an_optimizer_goes_on_from_a_checkpoint(tmp_path):
    def trained(optimizer, w, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

    w = minidl.tensor([1.0, -2.0], requires_grad=True)
    optimizer = minidl.optim.Adam([w], lr=0.1)
    trained(optimizer, w, 3)
    save({"w": w, "optimizer": optimizer.state_dict()}, tmp_path / "a.npz")
    checkpoint = load(tmp_path / "a.npz", map_location="cpu", weights_only=True)
    again = minidl.tensor(checkpoint["w"], requires_grad=True)
    other = minidl.optim.Adam([again])
    other.load_state_dict(checkpoint["optimizer"])
    trained(optimizer, w, 3)
    trained(other, again, 3)
    assert again.tolist() == w.tolist()


def test_open_files_are_written_and_read(tmp_path):
    with open(tmp_path / "a.pt", "wb") as file:
        save(STATE, file)
    with open(tmp_path / "a.pt", "rb") as file:
        assert equal(load(file), {key: np.asarray(value) for key, value in STATE.items()})


@pytest.mark.parametrize("state, named", [
    (minidl.nn.Linear(1, 1), "got Linear"),
    ({"model": {"a": minidl.nn.Linear(1, 1)}}, "got Linear at 'model/a'"),
    ({(1, 2): np.ones(2)}, r"\(1, 2\)"),
    ({"w": np.array(["a"])}, "got ndarray at 'w'"),
    ([1j], "got complex at '0'"),
])  # fmt: skip
def test_only_numbers_and_strings_are_saved(tmp_path, state, named):
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


def test_pytorchs_files_are_named_as_such(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    with pytest.raises(RuntimeError, match="PyTorch's format, a pickle"):
        load(tmp_path / "a.pt")


@pytest.mark.skipif(minidl.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_is_no_damage(tmp_path):
    save({"w": minidl.ones(2)}, tmp_path / "a.npz")
    with pytest.raises(RuntimeError, match=r'^device "cuda"'):
        load(tmp_path / "a.npz", map_location="cuda")
