"""minidl in the place of torch: what scripts find, what they do not find, and what stands in for PyTorch's own."""

import csv
import sys
import traceback
from types import ModuleType

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.compat import install_as_torch, run_script, saving, stand_ins, tensorboard, torchvision, traceback_of

OURS = ("torch", "torchvision")


@pytest.fixture
def torch(monkeypatch):
    """The module that `import torch` gives; afterwards all is as it was, PyTorch included if it is imported."""

    def family():
        return [name for name in sys.modules if name.partition(".")[0] in OURS]

    for name in ("argv", "path", "meta_path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))
    before = {name: sys.modules.pop(name) for name in family()}
    install_as_torch()
    yield sys.modules["torch"]
    for name in family():
        del sys.modules[name]
    sys.modules.update(before)
    for kind, attributes in stand_ins.ATTRIBUTES.items():
        for name in attributes:
            delattr(kind, name)


@pytest.fixture
def failure(torch, tmp_path):
    """How a script fails, given its source: the text that Python prints."""

    def run(source):
        script = tmp_path / "script.py"
        script.write_text(source)
        with pytest.raises(Exception) as raised:
            run_script(str(script))
        error = raised.value
        entries = traceback_of(error, str(script))
        return "".join(traceback.format_exception(type(error), error.with_traceback(entries), entries))

    return run


# -- what a script finds ---------------------------------------------------------------------------------------------


def test_a_script_runs_beside_its_modules_with_its_arguments(torch, tmp_path, capsys):
    (tmp_path / "layers_of_it.py").write_text("from torch.nn import *\nnet = Sequential(Linear(2, 3), ReLU())\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, torch, torch.nn as nn, torch.nn.functional as F, torch.optim as optim\n"
        "from torch.optim.lr_scheduler import StepLR\n"
        "from torch.utils.data.dataloader import DataLoader\n"
        "from layers_of_it import net\n"
        "if __name__ == '__main__':\n"
        "    StepLR(optim.SGD(net.parameters(), lr=0.1), 1)\n"
        "    print(sys.argv[1:], __file__ == sys.argv[0], isinstance(net, nn.Module), F.relu(net[0].weight).shape)\n"
    )
    run_script(str(script), ["--lr", "0.1"])
    assert capsys.readouterr().out == "['--lr', '0.1'] True True (3, 2)\n"


def test_a_second_installation_changes_nothing_and_one_after_torch_is_refused(torch, monkeypatch):
    install_as_torch()
    assert sys.modules["torch"] is torch
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", ModuleType("torch"))
        with pytest.raises(RuntimeError, match="imported already"):
            install_as_torch()


def test_a_namespace_shows_words_and_no_modules_of_minidls_own(torch):
    assert {"ones", "Tensor", "nn", "inference_mode", "save"} <= set(dir(torch))
    assert not {"train", "ops", "backend"} & set(dir(torch)) and not hasattr(torch, "train")
    assert torch.nn.functional.relu is nn.functional.relu and torch.nn.Module is nn.Module


def test_pytorchs_types_of_tensors(torch):
    x = torch.ones(2, 3)
    assert isinstance(x, torch.Tensor) and isinstance(x, torch.autograd.Variable) and type(x) == torch.Tensor  # noqa: E721
    assert isinstance(nn.Parameter(x), torch.Tensor) and issubclass(nn.Parameter, torch.Tensor)
    assert isinstance(x, torch.FloatTensor) and not isinstance(x.long(), torch.FloatTensor)
    assert not isinstance(x, torch.cuda.FloatTensor) and not isinstance(3.0, torch.Tensor)
    assert isinstance(x.dtype, torch.dtype) and isinstance(x.shape, torch.Size)
    assert x.type(torch.LongTensor).dtype == torch.int64 and x.type(torch.float64).dtype == torch.double
    assert torch.Tensor.relu(x - 1).tolist() == [[0.0] * 3] * 2 and len({torch.Tensor, minidl.Tensor}) == 1


def test_pytorchs_old_constructors(torch):
    assert torch.Tensor([1, 2]).dtype == torch.float32 and torch.Tensor((2, 3)).tolist() == [2.0, 3.0]
    assert torch.Tensor(2, 3).shape == (2, 3) and torch.Tensor().shape == (0,)
    assert torch.LongTensor([1, 2]).dtype == torch.long and torch.BoolTensor([0, 1]).tolist() == [False, True]
    assert torch.DoubleTensor(np.ones(2, np.float32)).dtype == torch.float64
    with pytest.raises(TypeError, match=r"torch\.Tensor\(\.\.\.\) takes sizes, or one sequence of data"):
        torch.Tensor(0.5)


def test_annotations_with_tensor_types(torch):
    def scale(x: torch.Tensor, y: torch.Tensor | None = None, kind: torch.dtype | None = None) -> torch.FloatTensor:
        return x

    assert scale.__annotations__["x"] is torch.Tensor and scale(torch.ones(1)).item() == 1


def test_a_variable_is_a_tensor_on_the_same_memory(torch):
    x = torch.ones(2)
    v = torch.autograd.Variable(x, requires_grad=True)
    (v * 3).sum().backward()
    v.data -= v.grad.data
    assert x.tolist() == [-2.0, -2.0] and not x.requires_grad


def test_the_graph_is_seen_through_grad_fn(torch):
    x = torch.ones(2, requires_grad=True)
    y = (x * torch.ones(2)).sum()
    assert x.grad_fn is None and repr(y.grad_fn) == "<sum>"
    ((product, _),) = y.grad_fn.next_functions
    (leaf, _), (constant, _) = product.next_functions
    assert (product.name(), leaf.name(), leaf.next_functions, constant) == ("multiply", "AccumulateGrad", (), None)


def test_switches_may_be_set_and_mixed_precision_changes_nothing(torch):
    torch.backends.cudnn.benchmark = torch.backends.cuda.matmul.allow_tf32 = True
    assert torch.get_float32_matmul_precision() == "high" and minidl.backends.cuda.matmul.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(torch.get_num_threads())
    torch.use_deterministic_algorithms(True)
    torch.set_default_device("cpu")
    assert not torch.backends.mps.is_available() and not torch.distributed.is_initialized()
    weight = torch.ones(1, requires_grad=True)
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cuda", enabled=False)

    @torch.autocast(device_type="cpu")
    def loss():
        return weight.sum()

    with torch.cuda.amp.autocast():
        scaler.scale(loss()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert weight.item() == 0 and scaler.get_scale() == 1.0


def test_a_loader_takes_no_more_of_a_sampler_than_it_is_asked_for(torch):
    data = torch.utils.data
    dataset = data.TensorDataset(torch.arange(5))
    sampler = data.RandomSampler(dataset, replacement=True, num_samples=10**10)
    loader = data.DataLoader(dataset, sampler=sampler, batch_size=20, num_workers=1)
    ((first,), (second,)) = (batch for batch, _ in zip(loader, range(2), strict=False))
    assert first.shape == second.shape == (20,) and set(first.tolist() + second.tolist()) == set(range(5))
    assert len(loader) == 5 * 10**8 and data.default_collate([(1, 2.0)])[0].tolist() == [1]


def test_one_device_is_no_data_parallel(torch):
    assert not isinstance(nn.Linear(1, 1), torch.nn.DataParallel)
    with pytest.raises(RuntimeError, match=r"no torch\.nn\.DataParallel: it computes in one"):
        torch.nn.DataParallel(nn.Linear(1, 1))


def test_the_smaller_modules_are_found_under_each_of_their_names(torch):
    from torch.distributions.categorical import Categorical
    from torch.func import functional_call
    from torch.nn.modules.loss import CrossEntropyLoss
    from torch.testing import assert_close
    from torch.utils.data.dataset import IterableDataset

    assert Categorical is torch.distributions.Categorical and issubclass(IterableDataset, torch.utils.data.Dataset)
    assert_close(functional_call(nn.Linear(1, 1), {"weight": torch.ones(1, 1)}, torch.zeros(1, 1)).shape, (1, 1))
    assert CrossEntropyLoss is nn.CrossEntropyLoss and torch.utils.data.get_worker_info() is None
    assert torch.cuda.device_count() == 0 and torch.special.expit(torch.zeros(1)).item() == 0.5
    generator = torch.Generator().manual_seed(1)
    assert isinstance(generator.get_state(), torch.ByteTensor) and generator.device.type == "cpu"
    torch.random.manual_seed(3)
    state, first = torch.get_rng_state(), torch.rand(2)
    torch.set_rng_state(state)
    assert torch.equal(torch.rand(2), first) and torch.initial_seed() == 3


def test_compile_is_the_thing_itself(torch):
    model = nn.Linear(1, 1)

    @torch.compile(fullgraph=True)
    def twice(x):
        return 2 * x

    assert torch.compile(model) is model and twice(3) == 6 and torch.compile(twice)(3) == 6
    assert torch.ones(1).get_device() == -1
    assert torch.randn(3, generator=torch.Generator(device="cpu").manual_seed(0)).shape == (3,)


# -- what it does not find -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line, said", [
    ("torch.nn.CosineSimilarty()", ["AttributeError: minidl has no torch.nn.CosineSimilarty", "CosineSimilarity"]),
    ("torch.nn.functional.log_sofmax", ["no torch.nn.functional.log_sofmax", "log_softmax"]),
    ("torch.optim.Adamm([])", ["no torch.optim.Adamm", "Adam, "]),
    ("import torch.fft", ["ModuleNotFoundError: minidl has no torch.fft; numpy.fft works on x.numpy()"]),
    ("from torch import fft", ["minidl has no torch.fft"]),
    ("from torch.nn import Liner, ReLU", ["minidl has no torch.nn.Liner", "Linear"]),
    ("import torch.optim.lr_schedular", ["minidl has no torch.optim.lr_schedular", "lr_scheduler"]),
    ("import torchtext", ["minidl has no torchtext"]),
    ("import torchvision.models", ["minidl has no torchvision.models; build the network of torch.nn's layers"]),
    ("import torchvision; torchvision.datasets.CIFAR10('.')", ["no torchvision.datasets.CIFAR10; MNIST, FashionMNIST"]),
    ("torch.distributed.init_process_group('nccl')", ["Error: minidl has no torch.distributed.init_process_group"]),
    ("torch.func.vmap", ["no torch.func.vmap; functions and layers take batches as they are; for the rest"]),
    ("torch.linalg.svd", ["no torch.linalg.svd; numpy.linalg works on x.numpy()"]),
    ("torch.nn.LazyLinear(3)", ["no torch.nn.LazyLinear; give the layer the sizes that it would find out"]),
    ("from torch.distributions import Beta", ["no torch.distributions.Beta; Normal, Bernoulli, Categorical"]),
    ("import torchvision.transforms.functional", ["its transforms are classes: torchvision.transforms"]),
    ("torch.set_default_device('cuda')", ['RuntimeError: minidl makes tensors on the CPU', 'device="cuda"']),
])  # fmt: skip
def test_what_is_lacking_fails_at_the_line_that_uses_it_with_its_name(failure, line, said):
    text = failure(f"import torch\nprint('so far')\n{line}\n")
    entries = [entry for entry in text.splitlines() if entry.startswith("  File ")]
    assert len(entries) == 1 and entries[0].endswith('script.py", line 3, in <module>')
    assert all(part in text.splitlines()[-1] for part in said), text


def test_a_lacking_dtype_may_be_listed_and_fails_when_it_is_used(failure):
    text = failure("import torch\nkinds = {'bfloat16': torch.bfloat16}\ntorch.ones(2, dtype=kinds['bfloat16'])\n")
    assert 'script.py", line 3' in text and "torch.bfloat16, which minidl does not have" in text


def test_names_that_are_only_a_little_alike_are_not_offered(failure):
    for line in ("torch.qr", "torch.histc", "torch.lgamma", "torch.nn.CTCLoss", "torch.storage"):
        assert "nearest" not in failure(f"import torch\n{line}\n")


def test_an_error_inside_the_script_shows_all_of_it(failure):
    text = failure("import torch\ndef f():\n    return torch.ones(2) @ torch.ones(3)\nf()\n")
    assert 'script.py", line 4' in text and 'script.py", line 3, in f' in text and "runpy" not in text
    assert "SyntaxError" in failure("x = = 1\n")


def test_a_script_can_ask_what_there_is(torch):
    assert not hasattr(torch, "vmap") and hasattr(torch.nn.functional, "scaled_dot_product_attention")
    with pytest.raises(ImportError):
        import torch.fx
    with pytest.raises(FileNotFoundError, match="there is no script"):
        run_script("nothere.py")


# -- torch.save and torch.load ---------------------------------------------------------------------------------------


def test_a_whole_module_comes_back_with_the_weights_that_it_had(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    then = model[0].weight.tolist()
    with open(tmp_path / "model.pt", "wb") as file:
        saving.save({"epoch": 3, "model": model}, file)
    model[0].weight.data.zero_()
    again = saving.load(tmp_path / "model.pt", weights_only=False)
    assert again["epoch"] == 3 and type(again["model"]) is nn.Sequential and again["model"] is not model
    assert again["model"][0].weight.tolist() == then and model[0].weight.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    saving.save(model, tmp_path / "model.pt")  # the same file, and no second entry in the memory
    assert saving.load(tmp_path / "model.pt")[0].weight.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert sum(model is saved for saved in saving._saved) == 1


def test_a_module_of_another_program_is_refused_with_what_to_save(tmp_path, monkeypatch):
    saving.save(nn.Linear(1, 1), tmp_path / "model.pt")
    monkeypatch.setattr(saving, "_program", "another")
    with pytest.raises(RuntimeError, match=r"the weights of a Linear, .* save model.state_dict\(\)"):
        saving.load(tmp_path / "model.pt")


def test_states_tensors_and_arrays_come_back_as_they_were(tmp_path):
    state = nn.Linear(2, 1).state_dict()
    saving.save(state, tmp_path / "state.pt")
    assert minidl.load(tmp_path / "state.pt")["weight"].tolist() == state["weight"].tolist()  # a file of minidl's
    nest = {"array": np.arange(3.0), "tensor": minidl.ones(2), "list": [np.ones(1), "text", 3], "none": None}
    saving.save(nest, tmp_path / "nest.pt", pickle_protocol=2)
    again = saving.load(tmp_path / "nest.pt", map_location=lambda storage, place: storage)
    assert isinstance(again["array"], np.ndarray) and again["array"].tolist() == [0.0, 1.0, 2.0]
    assert isinstance(again["tensor"], minidl.Tensor) and again["none"] is None
    assert again["list"] == [np.ones(1), "text", 3]
    saving.save(np.ones((2, 2)), tmp_path / "array.pt")
    assert type(saving.load(tmp_path / "array.pt")) is np.ndarray
    with pytest.raises(TypeError, match="got set"):
        saving.save({"words": {1, 2}}, tmp_path / "set.pt")


# -- torch.utils.tensorboard, torchvision ----------------------------------------------------------------------------


def test_scalars_are_recorded_as_a_table(tmp_path):
    for start in (0, 2):  # a second run goes on in the same table
        with tensorboard.SummaryWriter(log_dir=tmp_path / "runs") as writer:
            for step in range(start, start + 2):
                writer.add_scalar("loss", minidl.tensor(1.0 / (step + 1)), step)
            writer.add_scalars("accuracy", {"train": 0.5, "test": 0.25}, start)
            writer.add_histogram("weights", minidl.ones(3))
            writer.flush()
    with open(tmp_path / "runs" / "scalars.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["tag"], row["step"], float(row["value"])) for row in rows[:4]] == [
        ("loss", "0", 1.0), ("loss", "1", 0.5), ("accuracy/train", "0", 0.5), ("accuracy/test", "0", 0.25),
    ]  # fmt: skip
    assert len(rows) == 8


def test_mnist_with_torchvisions_arguments():
    transforms = torchvision.transforms
    test = torchvision.datasets.MNIST("nowhere", train=False, download=True, transform=transforms.Compose([
        transforms.ToTensor(), transforms.Resize((14, 14)), transforms.Normalize((0.5,), (0.5,)),
        transforms.Lambda(lambda image: image.view(-1)),
    ]))  # fmt: skip
    image, label = test[0]
    assert image.shape == (196,) and label == 7 and -1 <= image.min().item() < image.max().item() <= 1
    assert test.data.shape == (10000, 28, 28) and test.data.dtype == minidl.uint8 and test.targets[0].item() == 7
    test.data, test.targets = test.data[test.targets == 3], test.targets[test.targets == 3]
    loader = minidl.data.DataLoader(test, batch_size=5)
    images, labels = next(iter(loader))
    assert len(test) == 1010 and images.shape == (5, 196) and labels.tolist() == [3] * 5
    labelled = torchvision.datasets.MNIST("nowhere", False, target_transform=transforms.Lambda(lambda y: y % 2))
    assert labelled[0][1] == 1 and labelled.class_to_idx["nine"] == 9


def test_images_are_resized_by_their_shorter_side_or_to_a_size():
    image = minidl.arange(8.0).reshape(1, 2, 4)
    assert torchvision.Resize(4)(image).shape == (1, 4, 8) and torchvision.Resize([3, 5])(image).shape == (1, 3, 5)
    nearest = torchvision.Resize([1, 2], interpolation=torchvision.transforms.InterpolationMode.NEAREST)
    assert nearest(image).tolist() == [[[0, 2]]]
    v2 = torchvision.transforms_v2
    assert v2.ToDtype(minidl.float32, scale=True)(minidl.full((1,), 255, dtype=minidl.uint8)).tolist() == [1]
    assert torchvision.transforms.ConvertImageDtype(minidl.float32)(image).dtype == minidl.float32
    for p, expected in ((0.0, image), (1.0, image * 4)):
        assert minidl.equal(v2.RandomApply([lambda x: x * 2, lambda x: x * 2], p)(image), expected)
    assert v2.Compose([v2.ToImage(), v2.ToDtype(minidl.float64, scale=True)])(image).dtype == minidl.float64


def test_images_of_noise_repeat():
    data = torchvision.datasets.FakeData(3, (1, 4, 4), num_classes=5, transform=torchvision.transforms.ToTensor())
    (image, label), (again, _) = data[2], data[2]
    assert image.shape == (1, 4, 4) and 0 <= label < 5 and minidl.equal(image, again)
    assert 0 <= image.min().item() < image.max().item() < 1 and len(list(data)) == len(data) == 3
    assert next(iter(minidl.data.DataLoader(data, 3)))[0].shape == (3, 1, 4, 4)


def test_a_grid_of_images():
    images = minidl.arange(1.0, 4.0).reshape(3, 1, 1, 1)
    grid = torchvision.make_grid(images, nrow=2, padding=1, pad_value=9)
    assert grid.shape == (3, 5, 5)
    assert grid[0].tolist() == [[9.0] * 5, [9, 1, 9, 2, 9], [9.0] * 5, [9, 3, 9, 9, 9], [9.0] * 5]
    grid = torchvision.make_grid([image * 2 - 3 for image in images], normalize=True, padding=0)
    assert grid[2].tolist() == [[0, 0.5, 1]]
    grid = torchvision.make_grid(images * 5, normalize=True, value_range=(5, 10), padding=0)
    assert grid[0].tolist() == [[0, 1, 1]]
    assert torchvision.make_grid(minidl.ones(4, 5)).shape == (3, 4, 5)
    assert torchvision.make_grid(images[:1]).shape == (3, 1, 1)


def test_a_grid_is_saved_as_a_picture(tmp_path):
    matplotlib = pytest.importorskip("matplotlib.image")
    torchvision.save_image(minidl.tensor([[0.0, 0.5], [1.0, 2.0]]), tmp_path / "grid.png")
    assert np.rint(matplotlib.imread(tmp_path / "grid.png")[..., 0] * 255).tolist() == [[0, 128], [255, 255]]
