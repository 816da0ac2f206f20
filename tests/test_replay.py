"""minidl.compile: the same bits as the step as it is written, and a clean refusal of what cannot be replayed."""

import copy
import gc
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from op_table import DIFFERENTIABLE, Row

import minidl
from minidl import backend, nn
from minidl.autograd import op
from minidl.nn.functional import adaptive, pooling, vision
from minidl.replay.traced import Traced, recorders

F = nn.functional


def perceptron(*, inputs: int = 20, hidden: int = 16) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 5))


def convolutional(norm: bool = False) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 5)), nn.Conv2d(1, 4, 3, padding=1), *([nn.BatchNorm2d(4)] if norm else []), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip


def various() -> nn.Module:
    return nn.Sequential(
        nn.Linear(20, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.4), nn.Linear(16, 16), nn.BatchNorm1d(16),
        nn.LeakyReLU(), nn.AlphaDropout(0.1), nn.Linear(16, 5),
    )  # fmt: skip


class Reader(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.rnn, self.head = kind(5, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x.reshape(-1, 4, 5))[0][:, -1])


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True), nn.Linear(4, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(x.reshape(-1, 5, 4)).mean(1))


def batches(count: int, size: int = 8) -> Iterator[tuple[Any, Any]]:
    stream = np.random.default_rng(5)
    for _ in range(count):
        yield minidl.tensor(stream.standard_normal((size, 20), np.float32)), minidl.tensor(stream.integers(0, 5, size))


class Training:
    """A model, its optimizer and a step, compiled or not; two of them with the same seed begin alike."""

    def __init__(self, compiled: bool, make: Callable[[], nn.Module] = perceptron, optimizer: str = "SGD",
                 schedule: Any = None, clip: float | None = None, **options: Any) -> None:  # fmt: skip
        minidl.manual_seed(3)
        self.model = make()
        self.optimizer = getattr(minidl.optim, optimizer)(self.model.parameters(), **{"lr": 0.05, **options})
        self.schedule = schedule and schedule(self.optimizer)
        self.clip = clip
        self.step: Any = minidl.compile(self.written) if compiled else self.written

    def written(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        if self.schedule:
            self.schedule.step()
        return loss

    def losses(self, data: Any) -> list[np.ndarray]:
        minidl.manual_seed(4)
        return [self.step(x, y).array for x, y in data]

    def run(self, data: Any) -> list[np.ndarray]:
        """All losses, then all weights, buffers and gradients."""
        losses = self.losses(data)
        gradients = [p.grad.array for p in self.model.parameters()]
        return [*losses, *[x.array for x in self.model.state_dict().values()], *gradients]


def assert_same(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def programs(step: Any) -> int:
    return sum(map(len, step.programs.values()))


TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
    "Adam": {"optimizer": "Adam", "lr": 1e-2},
    "weight decay": {"optimizer": "AdamW", "weight_decay": 0.1},
    "clipping": {"clip": 0.3},
    "one cycle": {"schedule": lambda o: minidl.optim.lr_scheduler.OneCycleLR(o, 0.3, total_steps=2000)},
    "restarts": {"schedule": lambda o: minidl.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 7)},
    "convolution": {"make": convolutional},
    "batch norm": {"make": lambda: convolutional(norm=True), "optimizer": "RMSprop", "lr": 1e-3},
    "various": {"make": various},
    "LSTM": {"make": lambda: Reader(nn.LSTM)},
    "GRU": {"make": lambda: Reader(nn.GRU), "optimizer": "Adadelta"},
    "attention": {"make": Attentive},
}


@pytest.mark.parametrize("options", TRAININGS.values(), ids=TRAININGS)
def test_the_same_bits(options: dict[str, Any]) -> None:
    written, replayed = Training(False, **options), Training(True, **options)
    data = list(batches(40))
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 1 and not replayed.step.refused


def test_the_same_bits_over_a_thousand_steps() -> None:
    data = list(batches(1000))
    options = {"make": various, "optimizer": "Adam", "lr": 1e-3}
    written, replayed = Training(False, **options), Training(True, **options)
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 1


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    before = minidl.get_num_threads()
    yield
    minidl.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_of_long_arrays_in_several_threads(threads: int, threads_as_before: None) -> None:
    def network() -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (4, 1, 5)), nn.Upsample(scale_factor=(28, 5)), nn.Conv2d(4, 8, 3, padding=1),
            nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(858, 5),
        )  # fmt: skip

    data, found = list(batches(5, 64)), []
    minidl.set_num_threads(threads)
    for compiled in (False, True):
        training = Training(compiled, network)
        found.append(training.run(data))
    assert_same(*found)
    assert programs(training.step) == 1 and not training.step.refused


def test_another_thread_that_convolves_does_not_make_a_recording_deaf(threads_as_before: None) -> None:
    minidl.set_num_threads(2)
    inside, over, count = threading.Event(), threading.Event(), minidl.zeros(1)
    conv, x = nn.Conv2d(1, 2, 3), minidl.randn(64, 1, 40, 40)

    class Slow(nn.Module):
        def forward(self, images: Any) -> Any:
            return conv(images)

    def waiting(work: Any, parts: Any, *given: Any, **words: Any) -> None:
        inside.set()
        over.wait(10)
        original(work, parts, *given, **words)

    original = minidl.threads.in_threads

    @minidl.compile
    def step(y: Any) -> Any:
        if not inside.is_set() and len(step.programs) == 0:
            other.start()
            inside.wait(10)
        count.add_(1)
        over.set()
        return y * 2

    other = threading.Thread(target=lambda: Slow()(x))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minidl.threads, "in_threads", waiting)
        step(minidl.ones(3))
    other.join()
    for _ in range(3):
        step(minidl.ones(3))
    assert count.item() == 4


def test_other_shapes_are_recorded_anew() -> None:
    written, replayed = Training(False), Training(True)
    data = [*batches(5), *batches(5, 3), *batches(3), *batches(4, 1), *batches(2, 3)]
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 3


def test_train_and_eval() -> None:
    written, replayed = Training(False, various), Training(True, various)
    data = list(batches(5))
    for _ in range(3):
        for training in (True, False):
            for one in (written, replayed):
                one.model.train(training)
            assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 2


def test_changes_from_outside_are_seen() -> None:
    written, replayed = Training(False, various), Training(True, various)
    data = list(batches(6))
    state = {name: x.clone() for name, x in written.model.state_dict().items()}

    def replaced(one: Training) -> None:
        one.model[0].bias.data = minidl.ones(16)

    changes: list[Callable[[Training], Any]] = [
        lambda one: one.model.load_state_dict(state),
        lambda one: setattr(one.model[3], "p", 0.1),
        lambda one: one.optimizer.param_groups[0].update(lr=0.2),
        lambda one: one.model[8].weight.data.mul_(2.0),
        replaced,
    ]
    for change in changes:
        for one in (written, replayed):
            change(one)
        assert_same(written.run(data), replayed.run(data))
    for one in (written, replayed):
        one.model.requires_grad_(False)
        one.model[8].requires_grad_(True)
        one.optimizer.zero_grad()
    assert_same(written.losses(data), replayed.losses(data))
    assert replayed.model[0].weight.grad is None


def test_gradients_that_are_there_are_added_to() -> None:
    models = [perceptron(), perceptron()]
    models[1].load_state_dict(models[0].state_dict())

    def stepping(model: nn.Module) -> Any:
        def step(x: Any, y: Any) -> Any:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return step

    steps = [stepping(models[0]), minidl.compile(stepping(models[1]))]
    for i, (x, y) in enumerate(batches(24)):
        results = []
        for model, step in zip(models, steps, strict=True):
            if i % 4 == 0:
                model.zero_grad()
            results.append([step(x, y).array, *[p.grad.array for p in model.parameters()]])
        assert_same(*results)
    assert programs(steps[1]) == 2


def test_a_gradient_or_a_result_that_is_kept_stays_as_it_was() -> None:
    replayed = Training(True)
    kept, copies = [], []
    for x, y in batches(6):
        loss, gradient = replayed.step(x, y), replayed.model[0].weight.grad
        kept += [loss, gradient]
        copies += [loss.array.copy(), gradient.array.copy()]
    assert_same([x.array for x in kept], copies)


def test_an_argument_that_the_step_changes_is_changed() -> None:
    step, x = minidl.compile(lambda x: x.mul_(2).clone()), minidl.ones(2)
    with pytest.warns(UserWarning, match="argument in place"):
        assert step(x).tolist() == x.tolist() == [2.0, 2.0]
    assert step(x).tolist() == x.tolist() == [4.0, 4.0]


def test_random_numbers_may_be_asked_for_the_first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_default_generator", None)
    step = minidl.compile(F.dropout)
    assert len({tuple(step(minidl.ones(64)).tolist()) for _ in range(4)}) == 4
    assert programs(step) == 1


def test_the_norm_of_the_gradients_can_be_returned() -> None:
    runs = []
    for compiled in (False, True):
        minidl.manual_seed(3)
        model = various()
        optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)

        def written(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            before = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            after = nn.utils.clip_grad_norm_(model.parameters(), 9.0)
            optimizer.step()
            return {"loss": loss, "norms": (before, after)}

        step: Any = minidl.compile(written) if compiled else written
        results = [step(x, y) for x, y in batches(8)]
        runs.append([x.array for given in results for x in (given["loss"], *given["norms"])])
    assert_same(*runs)
    assert programs(step) == 1 and not step.refused


def test_backward_a_second_time_says_so() -> None:
    written, replayed = Training(False), Training(True)
    for x, y in batches(4):
        for one in (written, replayed):
            loss = one.step(x, y)
            assert loss.requires_grad
            with pytest.raises(RuntimeError, match="a second time"):
                loss.backward()


def test_a_method_is_recorded_for_each_object() -> None:
    class Scale(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        @minidl.compile
        def step(self, x: Any) -> Any:
            return x * self.factor

    double, triple = Scale(2.0), Scale(3.0)
    for x in map(minidl.tensor, (0.0, 1.0, 2.0, 3.0)):
        assert (double.step(x).item(), triple.step(x).item()) == (2 * x.item(), 3 * x.item())
    assert programs(double.step) == programs(triple.step) == 1
    copied = copy.deepcopy(double)
    copied.factor = 5.0
    for x in map(minidl.tensor, (0.0, 1.0, 2.0, 3.0)):
        assert (double.step(x).item(), copied.step(x).item()) == (2 * x.item(), 5 * x.item())
    double.factor = 7.0
    assert double.step(minidl.tensor(1.0)).item() == 7


def test_a_model_can_be_compiled_for_predictions() -> None:
    model = various()
    compiled = minidl.compile(model)
    assert list(compiled.parameters()) == list(model.parameters())
    with minidl.no_grad():
        for training in (True, False, True):
            model.train(training)
            for x, _ in batches(3):
                minidl.manual_seed(1)
                expected = model(x).array
                minidl.manual_seed(1)
                given = compiled(x).array
                assert_same([given], [expected])
    assert programs(compiled) == 2


def test_results_may_be_nested() -> None:
    w = minidl.ones(3, requires_grad=True)

    @minidl.compile
    def step(x: Any, *, double: bool) -> Any:
        w.grad = None
        y = x * w * (2 if double else 1)
        y.sum().backward()
        return {"y": y.detach(), "grad": w.grad, "more": (3, [y.detach() + 1])}

    for i in range(5):
        for double in (True, False):
            given = step(minidl.full((3,), float(i)), double=double)
            assert given["y"].tolist() == [i * (1.0 + double)] * 3 == given["grad"].tolist()
            assert given["more"][0] == 3 and given["more"][1][0].tolist() == [i * (1.0 + double) + 1] * 3
    assert programs(step) == 2


def by_hand(zero: bool) -> Any:
    """Descent with momentum, written out by the user."""
    w, b, v = minidl.ones(20, 5), minidl.zeros(5), minidl.zeros(20, 5)
    for x in (w, b):
        x.requires_grad_()

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy((x @ w.clamp(-2, 2) + b) ** 2 / 9, y)
        loss.backward()
        with minidl.no_grad():
            v.mul_(0.9).add_(w.grad)
            w.sub_(0.001 * v)
            b.sub_(0.01 * b.grad)
            w.detach().mul_(0.99)
        for p in (w, b):
            if zero:
                p.grad.zero_()
            else:
                p.grad = None
        return loss, w, v.clone()

    return step


def double_backward() -> Any:
    """A penalty on the gradient, with flips, picks, rolls and stacks on the way."""
    model = perceptron()
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        noisy = minidl.stack([x.flip(1), x.roll(2, 1)]).sum(0)[:, [3, 1, *range(18)]].tanh().softmax(1)
        loss = F.cross_entropy(model(noisy), y) + minidl.maximum(noisy, x).square().mean().sqrt()
        (slope,) = minidl.autograd.grad(loss, [model[0].weight], create_graph=True)
        (loss + (slope * slope).sum()).backward()
        optimizer.step()
        return loss.detach(), slope.detach()

    return step


@pytest.mark.parametrize("make", [lambda: by_hand(True), lambda: by_hand(False), double_backward])
def test_the_same_bits_of_other_steps(make: Any) -> None:
    runs = []
    for compiled in (False, True):
        minidl.manual_seed(2)
        step = make()
        step = minidl.compile(step) if compiled else step
        runs.append([x.array.copy() for given in batches(12) for x in step(*given)])
    assert_same(*runs)
    assert programs(step) == 1 and not step.refused


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=str)
def test_the_same_bits_of_every_op(row: Row) -> None:
    """Forward and backward, with other numbers at every step, or refused."""
    runs = []
    for compiled in (False, True):
        xs = [x if not isinstance(x, np.ndarray) else minidl.Tensor(x.astype(np.float32), i not in row.fixed)
              if x.dtype.kind == "f" else minidl.Tensor(x) for i, x in enumerate(row.inputs)]  # fmt: skip
        learned = [x for x in xs if isinstance(x, minidl.Tensor) and x.requires_grad]

        def written(xs: Any = xs, learned: Any = learned, row: Row = row) -> Any:
            for x in learned:
                x.grad = None
            y = row.op(*xs, **row.settings)
            (y * y).sum().backward()
            return [y.detach().clone(), *[x.grad for x in learned if x.grad is not None]]

        step, results = minidl.compile(written) if compiled else written, []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(5):
                results += [x.array.copy() for x in step()]
                for x in learned:
                    x.detach().mul_(0.97)
        runs.append(results)
    assert_same(*runs)
    assert len(caught) == len(step.refused) == 1 - programs(step)


def test_embeddings() -> None:
    runs = []
    for compiled in (False, True):
        minidl.manual_seed(2)
        model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 5))
        optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)

        def written(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        step = minidl.compile(written) if compiled else written
        stream = np.random.default_rng(0)
        runs.append([step(minidl.tensor(stream.integers(0, 7, (4, 3))), minidl.tensor([1, 2, 3, 4])).array
                     for _ in range(8)])  # fmt: skip
        with pytest.raises(IndexError):
            step(minidl.full((4, 3), 7, dtype=int), minidl.tensor([1, 2, 3, 4]))
    assert_same(*runs)
    assert programs(step) == 1


def test_no_grad_is_something_else() -> None:
    model = perceptron()
    predict = minidl.compile(lambda x: model(x).argmax(1))
    for x, _ in batches(4):
        with minidl.no_grad():
            assert np.array_equal(predict(x).array, model(x).array.argmax(1))
    assert programs(predict) == 1


def test_random_numbers_are_drawn_from_the_same_stream() -> None:
    generator = minidl.Generator().manual_seed(1)
    noisy = minidl.compile(lambda x: (x + minidl.randn(3, generator=generator)) * minidl.rand(3))
    minidl.manual_seed(0)
    drawn = [noisy(minidl.ones(3)).array for _ in range(6)]
    generator.manual_seed(1)
    minidl.manual_seed(0)
    for x in drawn:
        assert_same([x], [((minidl.ones(3) + minidl.randn(3, generator=generator)) * minidl.rand(3)).array])
    assert programs(noisy) == 1


def test_labels_are_checked_at_every_step() -> None:
    written, replayed = Training(False), Training(True)
    data = list(batches(5))
    assert_same(written.run(data), replayed.run(data))
    x, y = data[0]
    with pytest.raises(IndexError):
        replayed.step(x, y + 5)
    with pytest.raises(IndexError):
        replayed.step(x, y * 0 - 1)
    ignoring = y.clone()
    ignoring[2] = -100
    data = [(x, ignoring), *data]
    assert_same(written.run(data), replayed.run(data))


IMAGES = minidl.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32))
WEIGHT = minidl.tensor([0.5, 1.0, 2.0, 1.5, 0.1])


def largest_again(x: Any, y: Any) -> Any:
    return F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2)


LOOKING: dict[str, Callable[[Any, Any], Any]] = {
    "nll_loss": lambda x, y: F.nll_loss(F.log_softmax(x, 1), y),
    "smoothing": lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
    "weight": lambda x, y: F.cross_entropy(x, y, weight=WEIGHT),
    "ignoring": lambda x, y: F.cross_entropy(x, y, ignore_index=0),
    "multi_margin_loss": F.multi_margin_loss,
    "one_hot": lambda x, y: x * F.one_hot(y, 5),
    "embedding": lambda x, y: F.embedding(y, x),
    "gather": lambda x, y: x.gather(1, y[:, None]),
    "index_select": lambda x, y: x.index_select(1, y),
    "scatter_add": lambda x, y: x.scatter_add(1, y[:, None], x),
    "max_unpool": largest_again,
}


@pytest.mark.parametrize("look", LOOKING.values(), ids=LOOKING)
def test_whole_numbers_are_checked_in_every_replay(look: Any) -> None:
    step = minidl.compile(lambda x, y: look(x * 1, y * 1))
    data = [(x[:, :5].contiguous(), y) for x, y in batches(6)]
    for x, y in data:
        assert_same([step(x, y).array], [look(x, y).array])
    assert programs(step) == 1 and not step.refused
    if look is largest_again:  # its places are the step's own
        return
    with pytest.raises((IndexError, RuntimeError), match=r" to 4|to 7"):
        step(x, y + 9)
    assert_same([step(x, y).array], [look(x, y).array])


def test_labels_to_ignore_may_come_and_go() -> None:
    written, replayed = Training(False), Training(True)
    data = [*batches(12)]
    for i in (0, 1, 2, 7, 8, 10):
        data[i][1][i % 3] = -100
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 2 and not replayed.step.refused


@pytest.mark.parametrize("look", [
    nn.AdaptiveMaxPool2d(3), nn.LPPool2d(2, 2), nn.AvgPool2d(2, padding=1, count_include_pad=False),
    nn.Upsample(scale_factor=1), nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=1.5),
    nn.Upsample(scale_factor=2, mode="bilinear"), nn.AdaptiveAvgPool2d(3),
], ids=str)  # fmt: skip
def test_tables_are_made_once_and_hold_no_stand_ins(look: nn.Module) -> None:
    for cached in (pooling._counts, adaptive._places, vision._nearest, vision._interpolating, vision.averaging):
        cached.cache_clear()
    step = minidl.compile(lambda x: look(IMAGES * x))
    for i in range(4):
        assert_same([step(minidl.tensor(i - 2.0)).array], [look(IMAGES * (i - 2.0)).array])
    assert programs(step) == 1 and not step.refused
    assert not [x for x in gc.get_objects() if type(x) is Traced]


# -- what is refused: it runs as it is written, and a warning says why ------------------------------------------------

w = minidl.ones(3, requires_grad=True)
outside: list[Any] = []
count = 0


def reads_a_number(x: Any) -> Any:
    return x * 2 if x.sum() > 0 else x * 3


def takes_an_item(x: Any) -> Any:
    return x * x.mean().item()


def picks_by_mask(x: Any) -> Any:
    return x[x > 0].sum()


def looks_with_numpy(x: Any) -> Any:
    return x * float(np.median(x.numpy()))


def looks_at_one_entry(x: Any) -> Any:
    outside.append((x + 1).numpy()[0])
    return x * 2


def copies_with_numpy(x: Any) -> Any:
    outside.append(np.asarray((x + 1).detach()))
    outside.append(np.array(x))
    return x * 2


def computes_with_an_array(x: Any) -> Any:
    return minidl.tensor(x.array * 2)


def makes_a_list(x: Any) -> Any:
    outside.append((x + 1).tolist())
    return x * 2


def keeps_what_it_returns(x: Any) -> Any:
    outside.append(loss := (x * x).mean())
    return loss, x * 2


def computes_with_the_norm(x: Any) -> Any:
    w.grad = x * 1
    return nn.utils.clip_grad_norm_([w], 1.0) * 2


def keeps_the_norm(x: Any) -> Any:
    w.grad = x * 1
    outside.append(nn.utils.clip_grad_norm_([w], 1.0))
    return x * 2


def keeps_the_norm_that_it_returns(x: Any) -> Any:
    w.grad = x * 1
    outside.append(norm := nn.utils.clip_grad_norm_([w], 1.0))
    return norm


def counts_the_classes(x: Any) -> Any:
    return F.one_hot((x > 0).long()) * 1.0


def keeps_a_tensor(x: Any) -> Any:
    outside.append(x + 1)
    return x * 2


def counts(x: Any) -> Any:
    global count
    count += 1
    return x * 2


def multiplies_by_a_counter(x: Any) -> Any:
    outside.append(1)
    return x * len(outside)


def takes_another_tensor(x: Any) -> Any:
    outside.append(minidl.ones(3) * len(outside))
    return x + outside.pop()


def draws_globally(x: Any) -> Any:
    return x + minidl.tensor(np.random.standard_normal(3).astype(np.float32))


def changes_its_argument(x: Any) -> Any:
    x.add_(1.0)
    return x * 2


def returns_a_graph(x: Any) -> Any:
    return (x * w).sum()


def seeds(x: Any) -> Any:
    minidl.manual_seed(1)
    return x + minidl.rand(3)


def returns_an_array(x: Any) -> Any:
    return x.array.mean()


@op
def leaking(xp: Any, x: Any) -> Any:
    outside.append(out := x + 1)
    return out


def keeps_an_array(x: Any) -> Any:
    leaking(x)
    return x * 2


def looks_into_the_stream(x: Any) -> Any:
    minidl.utils.checkpoint.checkpoint(lambda y: y + minidl.rand(3), x, use_reentrant=False)
    return x * 1


REFUSED = {
    reads_a_number: "reads a number", takes_an_item: "reads a number", picks_by_mask: "mask",
    looks_with_numpy: "takes an array", looks_at_one_entry: "takes an array", copies_with_numpy: "takes an array",
    computes_with_an_array: "takes an array", makes_a_list: "reads a number", keeps_what_it_returns: "keeps a tensor",
    computes_with_the_norm: "as it is, and compute", keeps_the_norm: "keeps a tensor",
    keeps_the_norm_that_it_returns: "keeps a tensor", counts_the_classes: "one_hot() reads a number",
    keeps_a_tensor: "keeps a tensor", counts: "variable count",
    multiplies_by_a_counter: "changes outside", draws_globally: "other tensors",
    changes_its_argument: "changes its argument", returns_a_graph: "its graph", seeds: "seeds",
    returns_an_array: "takes an array", keeps_an_array: "keeps an array", looks_into_the_stream: "stream",
}  # fmt: skip


def _arrays(result: Any) -> list[np.ndarray]:
    return [x.array if isinstance(x, minidl.Tensor) else x for x in (result if type(result) is tuple else [result])]


@pytest.mark.parametrize("written", REFUSED, ids=lambda step: step.__name__)
def test_what_cannot_be_replayed_runs_as_it_is_written(written: Any) -> None:
    outside.clear()
    step = minidl.compile(written)
    random = np.random.get_state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [_arrays(step(minidl.tensor([1.0, -2.0, i - 8.0]))) for i in range(24)]
    kept = outside[:]
    outside.clear()
    np.random.set_state(random)
    expected = [_arrays(written(minidl.tensor([1.0, -2.0, i - 8.0]))) for i in range(24)]
    assert_same([x for given in results for x in given], [x for given in expected for x in given])
    if written is not keeps_an_array:  # an op of the user's own is given the stand-ins
        assert list(map(type, kept)) == list(map(type, outside))
    outside.clear()
    (warning,) = caught
    assert f"{written.__name__} runs as it is written" in str(warning.message)
    assert REFUSED[written] in str(warning.message)
    assert warning.filename == __file__


def test_the_warning_names_the_line() -> None:
    with pytest.warns(UserWarning, match=rf"test_replay\.py:{reads_a_number.__code__.co_firstlineno + 1}\b"):
        minidl.compile(reads_a_number)(minidl.ones(3))


def test_an_argument_that_requires_a_gradient_or_has_gaps() -> None:
    step = minidl.compile(lambda x: (x * 2).sum().detach())
    with pytest.warns(UserWarning, match="requires a gradient"):
        step(minidl.ones(3, requires_grad=True))
    with pytest.warns(UserWarning, match="gaps"):
        step(minidl.ones(4, 6)[:, ::2])


def test_an_argument_that_the_step_knows_already() -> None:
    data = minidl.ones(4, 3)
    step = minidl.compile(lambda x: x + data.mul_(2.0))
    with pytest.warns(UserWarning, match="shares its memory"):
        step(data[:1])


def test_hooks_are_refused() -> None:
    replayed = Training(True)
    seen = []
    replayed.run(batches(4))
    handle = replayed.model[0].weight.register_hook(lambda g: seen.append(g.shape))
    with pytest.warns(UserWarning, match="hook"):
        replayed.run(batches(6))
    assert len(seen) == 6
    handle.remove()


def test_the_warning_says_what_to_do_about_an_argument() -> None:
    class Trainer:
        def step(self, x: Any) -> Any:
            return x * 2

    trainer, x = Trainer(), minidl.ones(2)
    with pytest.warns(UserWarning, match=r"of type Trainer: .*minidl\.compile\(trainer\.step\)"):
        minidl.compile(Trainer.step)(trainer, x)
    with pytest.warns(UserWarning, match="of type ndarray: make it a tensor"):
        minidl.compile(lambda x: minidl.tensor(x) * 2)(np.ones(2))
    step = minidl.compile(trainer.step)
    assert [step(x).tolist() for _ in range(3)] == [[2.0, 2.0]] * 3 and programs(step) == 1


def test_the_words_of_pytorch() -> None:
    @minidl.compile(fullgraph=True, dynamic=False, backend="eager", mode="reduce-overhead", options={})
    def double(x: Any) -> Any:
        return x * 2

    assert [double(minidl.tensor(float(i))).item() for i in range(4)] == [0.0, 2.0, 4.0, 6.0]
    assert programs(double) == 1 and "compile of double" in repr(double)
    model = perceptron()
    assert minidl.compile(model=model, disable=True) is model
    assert minidl.compile(disable=True)(model) is model
    assert repr(minidl.compile(model)) == "<minidl.compile of Sequential>"
    with pytest.raises(TypeError, match="a function or a module, got Tensor"):
        minidl.compile(minidl.ones(2))


def test_fullgraph_demands_that_a_step_is_replayed() -> None:
    @minidl.compile(fullgraph=True)
    def reading(x: Any) -> Any:
        return x * x.sum().item()

    class Reading:
        @minidl.compile(fullgraph=True)
        def step(self, x: Any) -> Any:
            return x if x.sum() > 1 else -x

    for step in (reading, copy.copy(reading), Reading().step):
        for _ in range(3):
            with pytest.raises(RuntimeError, match=r"cannot be replayed, as fullgraph=True demands: .* reads a number"):
                step(minidl.ones(3))


def test_too_many_forms_of_arguments() -> None:
    step = minidl.compile(lambda x, factor: x * factor)
    with pytest.warns(UserWarning, match="64 different forms"):
        for i in range(80):
            assert step(minidl.ones(2), i).tolist() == [i, i]


# -- what is left behind ------------------------------------------------------------------------------------------


def test_an_error_leaves_everything_as_it_was() -> None:
    before = {name: getattr(np, name) for name in ("zeros", "array", "empty")}, vars(minidl.Tensor)["array"]
    model = perceptron()

    @minidl.compile
    def step(x: Any, fail: bool) -> Any:
        y = model(x).sum().detach()
        if fail:
            raise KeyError("mine")
        return y

    for fail in (True, False, True, False, True, False, True):
        x = minidl.ones(2, 20)
        if fail:
            with pytest.raises(KeyError):
                step(x, fail)
        else:
            assert_same([step(x, fail).array], [model(x).sum().array])
        assert ({name: getattr(np, name) for name in before[0]}, vars(minidl.Tensor)["array"]) == before
        assert len(recorders) == 1 and Traced not in minidl.backend.modules


def test_two_compiled_steps_of_one_model() -> None:
    written, replayed = Training(False, various), Training(True, various)
    evaluate = minidl.compile(lambda x: replayed.model(x).detach())
    for x, y in batches(8):
        minidl.manual_seed(1)
        left = written.step(x, y).array
        minidl.manual_seed(1)
        right = replayed.step(x, y).array
        minidl.manual_seed(2)
        shown = written.model(x).array
        minidl.manual_seed(2)
        assert_same([left, shown], [right, evaluate(x).array])
    assert programs(evaluate) == 1


def test_a_compiled_step_within_another() -> None:
    inner = minidl.compile(lambda x: x * 3)
    outer = minidl.compile(lambda x: inner(x) + 1)
    for i in range(5):
        assert inner(minidl.tensor([float(i)])).item() == 3 * i
        assert outer(minidl.tensor([float(i)])).item() == 3 * i + 1
    assert programs(outer) == 1


def test_other_threads_notice_nothing() -> None:
    stop, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        training = Training(False, various)
        try:
            while not stop.is_set():
                training.run(batches(2))
                assert type(np.zeros(3)) is np.ndarray
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for k in range(6):
        model = perceptron(hidden=8 + k)
        step = minidl.compile(lambda x, model=model: model(x).sum().detach())
        for x, _ in batches(5):
            assert_same([model(x).sum().array], [step(x).array])
        assert not step.refused
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors


def test_memory_does_not_grow() -> None:
    replayed = Training(True, lambda: convolutional(norm=True))
    replayed.run(batches(5))
    gc.collect()
    before = len(gc.get_objects())
    replayed.run(batches(200))
    gc.collect()
    assert len(gc.get_objects()) - before < 50


def test_little_python_is_left() -> None:
    x, y = (minidl.tensor(a) for a in np.random.default_rng(0).standard_normal((2, 4, 5)).astype(np.float32))
    y.requires_grad_()

    def written() -> None:
        y.grad = None
        (((x * y + x).tanh() * y).sigmoid() - x).exp().mean().backward()

    def calls(step: Any) -> int:
        """How many functions of Python run in a step."""
        seen = []
        sys.setprofile(lambda frame, event, _: seen.append(frame.f_code) if event == "call" else None)
        try:
            step()
        finally:
            sys.setprofile(None)
        return len(seen)

    replayed = minidl.compile(written)
    for _ in range(3):
        replayed()
    assert calls(replayed) <= calls(written) / 4


def test_an_array_that_is_cleaned_where_it_lies_is_not_taken_for_a_view() -> None:
    @op
    def cleaned(xp: Any, x: Any) -> Any:
        return xp.nan_to_num(x * 1.0, copy=False, nan=0.5)

    step = minidl.compile(lambda x: cleaned(x) * 2)
    with pytest.warns(UserWarning, match=r"numpy\.nan_to_num is not among"):
        found = [step(minidl.tensor([number])).item() for number in (1.0, 2.0, 3.0, float("nan"))]
    assert found == [2.0, 4.0, 6.0, 1.0]


@pytest.mark.parametrize(
    "write",
    [
        lambda xp, x, y, out: xp.dot(x, y, out), lambda xp, x, y, out: xp.clip(x, 0.0, 2.0, out),
        lambda xp, x, y, out: xp.take(x, [0, 0], 0, out), lambda xp, x, y, out: xp.sum(xp.stack([x, y]), 0, None, out),
    ],
    ids=["dot", "clip", "take", "sum"],
)  # fmt: skip
def test_an_array_to_be_written_into_may_be_given_by_its_place(write: Any) -> None:
    @op
    def written(xp: Any, x: Any, y: Any) -> Any:
        out = xp.zeros((2, 2), x.dtype)
        write(xp, x, y, out)
        return out

    step, y = minidl.compile(lambda x, y: written(x, y) * 1), minidl.randn(2, 2)
    for i in range(5):
        x = minidl.full((2, 2), float(i))
        assert_same([step(x, y).array], [written(x, y).array])
    assert step.programs


class Odd:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("private")


class Counting(nn.Module):
    calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x if self.calls < 5 else 2 * x


class Loop:
    """A training step, around which Python changes something."""

    def __init__(self) -> None:
        minidl.manual_seed(0)
        self.model, self.meter = perceptron(), {"steps": [0]}
        self.optimizer = minidl.optim.SGD(self.model.parameters(), lr=0.1)
        self.schedule = minidl.optim.lr_scheduler.StepLR(self.optimizer, 2, 0.5)
        self.counting = Counting()
        self.odd: list[Any] = [Counting()]
        self.odd += [self.odd, Odd()]  # in a circle, and what cannot be looked at

    def learn(self, x: Any, y: Any) -> Any:
        loss = F.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def accumulates(self, x: Any, y: Any) -> Any:
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.meter["steps"][0] += 1
        if self.meter["steps"][0] % 4 == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()
        return loss

    def warms_up(self, x: Any, y: Any) -> Any:
        self.optimizer.param_groups[0]["lr"] *= 1.5
        return self.learn(x, y)

    def warms_up_with_numpy(self, x: Any, y: Any) -> Any:
        self.optimizer.param_groups[0]["lr"] *= np.float64(1.5)
        return self.learn(x, y)

    def turns_down_momentum(self, x: Any, y: Any) -> Any:
        group = self.optimizer.param_groups[0]
        group["betas"] = (group.get("betas", (1.0,))[0] / 2, 0.9)
        return self.learn(x, y)

    def counts_in_a_module(self, x: Any, y: Any) -> Any:
        return self.learn(self.counting(x), y)

    def counts_in_a_module_out_of_sight(self, x: Any, y: Any) -> Any:
        return self.learn(self.odd[0](x), y)

    def schedules(self, x: Any, y: Any) -> Any:
        loss = self.learn(x, y)
        self.schedule.step()
        return loss

    def changes_modes(self, x: Any, y: Any) -> Any:
        self.model.train()
        loss = self.learn(x, y)
        self.model.eval()
        return loss


def losses(step: Any) -> list[float]:
    return [step(x, y).item() for x, y in batches(12)]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("accumulates", "self.meter['steps'][0]"), ("warms_up", "optimizer.param_groups[0]['lr']"),
        ("warms_up_with_numpy", "optimizer.param_groups[0]['lr']"),
        ("turns_down_momentum", "optimizer.param_groups[0]['betas'][0]"),
        ("counts_in_a_module", "counting.calls"), ("counts_in_a_module_out_of_sight", "Counting.calls"),
    ],
)  # fmt: skip
def test_a_step_in_which_python_counts_runs_as_it_is_written(name: str, what: str) -> None:
    with pytest.warns(UserWarning, match=rf"{name} runs as .* it changes {re.escape(what)}, but a replay"):
        found = losses(minidl.compile(getattr(Loop(), name)))
    assert found == losses(getattr(Loop(), name))


@pytest.mark.parametrize("name", ["schedules", "changes_modes"])
def test_what_a_replay_does_again_is_no_counting(name: str) -> None:
    step = minidl.compile(getattr(Loop(), name))
    assert losses(step) == losses(getattr(Loop(), name)) and step.programs and not step.refused


def test_a_gradient_that_was_kept_before_it_was_clipped_keeps_its_numbers() -> None:
    model, seen = perceptron(), []
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)

    @minidl.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        seen.append(model[0].weight.grad)  # clipping puts another in its place
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()

    x, y = minidl.randn(8, 20), minidl.randint(0, 5, (8,))
    step(x, y), step(x, y)
    assert len(seen) == 2  # from here on it is replayed
    before = seen[1].numpy().copy()
    for _ in range(3):
        step(x * 3, y)
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[1].numpy(), before)
