"""Lint: every mistake that is planted is found, once and by its name; nothing is in what is right.

The examples, which test_examples.py runs under lint, are right, too.
"""

import copy
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import data, nn, optim, study
from minidl.autograd import engine, gradients
from minidl.study.linting import rules
from minidl.train import Trainer
from minidl.train.averaging import AveragedModel, update_bn

F = nn.functional

GENERATOR = np.random.default_rng(0)
X = minidl.tensor(GENERATOR.normal(size=(32, 8)).astype(np.float32))
LABELS = minidl.tensor(np.arange(32) % 3)
VALUES = minidl.tensor(GENERATOR.normal(size=32).astype(np.float32))
YES = (VALUES > 0).float()


def net(*last, outputs=3, hidden=nn.ReLU, inputs=8):
    minidl.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 16), hidden(), nn.Linear(16, outputs), *last)


def train(model, criterion=F.cross_entropy, y=LABELS, x=X, steps=25, optimizer=None, **options):
    """A loop without a mistake in itself."""
    optimizer = optimizer or optim.SGD(model.parameters(), **{"lr": 0.05, **options})
    for _ in range(steps):
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()


def found(program, *given, errors=()):
    """The names of the checks that found something in a program, each of which has warned once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = study.lint(*given)
        with suppress(*errors), report:
            program()
    lint_warnings = [str(x.message) for x in caught if issubclass(x.category, study.LintWarning)]
    assert lint_warnings == [finding.message for finding in report.findings]
    return [finding.check for finding in report.findings]


# -- mistakes ---------------------------------------------------------------------------------------------------------


def without_zero_grad():
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    for _ in range(5):
        F.cross_entropy(model(X), LABELS).backward()
        optimizer.step()


def with_bare_tensors_and_without_zero_grad():
    w = minidl.zeros(8, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.01)
    for _ in range(3):
        ((X @ w - VALUES) ** 2).mean().backward()
        optimizer.step()


def a_closure_without_zero_grad():
    model = net(outputs=1)
    optimizer = optim.LBFGS(model.parameters(), max_iter=3)

    def closure():
        loss = F.mse_loss(model(X).squeeze(1), VALUES)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)


def without_backward():
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(X), LABELS)
        optimizer.step()


def a_step_too_many():
    model = net()
    optimizer = optim.Adam(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(X), LABELS).backward()
        optimizer.step()
        optimizer.step()


def zero_grad_too_late():
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        F.cross_entropy(model(X), LABELS).backward()
        optimizer.zero_grad()
        optimizer.step()


def training_after_validation():
    model = net(nn.Dropout(0.1))
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        train(model, optimizer=optimizer, steps=2)
        model.eval()
        with minidl.no_grad():
            (model(X).argmax(1) == LABELS).float().mean()


def validation_without_eval(layer):
    def program():
        model = nn.Sequential(nn.Linear(8, 16), layer, nn.ReLU(), nn.Linear(16, 3))
        for _ in range(3):
            train(model, steps=2)
            with minidl.no_grad():
                (model(X).argmax(1) == LABELS).float().mean()

    return program


def a_layer_that_is_not_used():
    class Net(nn.Module):
        def __init__(self):
            self.used, self.unused = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, x):
            return self.used(x)

    train(Net())


def a_graph_that_is_cut():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.second(self.first(x).detach())

    train(Net(), steps=3)


def a_head_made_after_the_optimizer():
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    model[2] = nn.Linear(16, 3)
    train(model, optimizer=optimizer)


def dead_from_the_start():
    model = net()
    with minidl.no_grad():
        model[0].bias.fill_(-100.0)
    train(model)


def dead_channels():
    model = nn.Sequential(nn.Conv1d(2, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 2, 3))
    with minidl.no_grad():
        model[0].bias[1:].fill_(-100.0)
    train(model, x=X.reshape(32, 2, 4))


def with_inputs_to_255():
    train(net(), x=100 * X, lr=1e-5)


def divergence():
    train(net(outputs=1), lambda x, y: F.mse_loss(x.squeeze(1), y), VALUES, lr=3.0, steps=60)


def nan_loss():
    model = net()
    train(model, x=minidl.where(X > 2, float("nan"), X), steps=3)


def layers_in_a_list():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.others = nn.Linear(8, 16), [nn.Linear(16, 16), nn.Linear(16, 3)]

        def forward(self, x):
            x = self.first(x)
            for layer in self.others:
                x = layer(x.relu())
            return x

    train(Net())


def the_parameters_of_another_model():
    model, other = net(), net()
    train(model, optimizer=optim.Adam(other.parameters()), steps=2)


def a_body_under_no_grad():
    body, head = nn.Linear(8, 16), nn.Linear(16, 3)
    optimizer = optim.SGD(body.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        with minidl.no_grad():
            features = body(X)
        F.cross_entropy(head(features), LABELS).backward()
        optimizer.step()


def an_optimizer_in_every_round():
    model = net()
    for _ in range(4):
        optimizer = optim.Adam(model.parameters())
        optimizer.zero_grad()
        F.cross_entropy(model(X), LABELS).backward()
        optimizer.step()


def zeros_in_the_first_layer():
    model = net()
    for p in model.parameters():
        nn.init.zeros_(p)
    train(model)


def softmax_by_hand(x, y):
    e = x.exp()
    return F.cross_entropy(e / e.sum(1, keepdim=True), y)


def mse_by_hand():
    train(net(outputs=1), lambda x, y: ((x - y) ** 2).mean(), VALUES, steps=3)


def regression(loss):
    def program():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*broadcasting compares", UserWarning)
            train(net(outputs=1), loss, VALUES, steps=3)

    return program


ONE_HOT = minidl.tensor(np.eye(3)[np.arange(32) % 3])
MISTAKES = {
    "no_zero_grad": [without_zero_grad, with_bare_tensors_and_without_zero_grad, a_closure_without_zero_grad],
    "no_backward": [without_backward, a_step_too_many, zero_grad_too_late],
    "training_in_eval_mode": [training_after_validation, lambda: train(net().eval())],
    "evaluating_in_train_mode": [validation_without_eval(nn.Dropout(0.2)), validation_without_eval(nn.BatchNorm1d(16))],
    "no_gradient": [a_layer_that_is_not_used, a_graph_that_is_cut],
    "not_in_optimizer": [a_head_made_after_the_optimizer],
    "softmax_before_cross_entropy": [
        lambda: train(net(nn.Softmax(1))),
        lambda: train(net(nn.LogSoftmax(dim=1)), nn.CrossEntropyLoss()),
        lambda: train(net(nn.LogSoftmax(dim=1)), nn.CrossEntropyLoss(label_smoothing=0.1)),
        lambda: train(net(nn.Sigmoid())),
        lambda: train(net(), lambda x, y: F.cross_entropy(x.softmax(-1).reshape(-1, 3), y)),
        lambda: train(net(), softmax_by_hand),
        lambda: Trainer(m := net(nn.Softmax(1)), optim.Adam(m.parameters())).fit(
            data.DataLoader(data.TensorDataset(X, LABELS), 8), 2, progress=False
        ),
    ],
    "no_log_probabilities": [
        lambda: train(net(nn.Softmax(1)), F.nll_loss),
        lambda: train(net(), nn.NLLLoss()),
    ],
    "sigmoid_before_logits": [
        lambda: train(net(nn.Sigmoid(), nn.Flatten(0), outputs=1), F.binary_cross_entropy_with_logits, YES),
        lambda: train(net(outputs=1), lambda x, y: nn.BCEWithLogitsLoss()(x.sigmoid().squeeze(1), y), YES),
    ],
    "unpaired_shapes": [mse_by_hand] + [regression(getattr(F, name)) for name in
                                        ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")],
    "labels_out_of_range": [
        lambda: train(net(), y=LABELS + 1),
        lambda: train(net(), y=LABELS - 1, criterion=nn.CrossEntropyLoss(label_smoothing=0.1)),
        lambda: train(net(outputs=1), lambda x, y: F.binary_cross_entropy_with_logits(x[:, 0], y), 2 * YES - 1),
    ],
    "one_hot_labels": [
        lambda: train(net(), y=ONE_HOT.float()),
        lambda: train(net(), y=ONE_HOT.long()),
        lambda: train(net(nn.LogSoftmax(1)), F.nll_loss, ONE_HOT.float()),
    ],
    "first_loss_far_from_ln_c": [with_inputs_to_255],
    "dead_units": [dead_from_the_start, dead_channels],
    "learning_rate_too_large": [lambda: train(net(), optimizer=None, lr=60.0, steps=10)],
    "learning_rate_too_small": [lambda: train(net(), lr=1e-7)],
    "loss_exploded": [divergence],
    "nan_in_inputs": [nan_loss],
    "layers_in_a_list": [layers_in_a_list],
    "backward_elsewhere": [the_parameters_of_another_model, a_body_under_no_grad],
    "new_optimizer_every_round": [an_optimizer_in_every_round],
    "zero_weights": [zeros_in_the_first_layer],
    "scores_never_negative": [
        lambda: train(net(nn.ReLU())),
        lambda: train(net(nn.ReLU(), outputs=1), lambda x, y: nn.BCEWithLogitsLoss()(x[:, 0], y), YES),
    ],
    "softmax_over_the_examples": [lambda: train(net(nn.LogSoftmax(0)), nn.NLLLoss())],
}  # fmt: skip


@pytest.mark.parametrize(("name", "program"), [(name, x) for name, programs in MISTAKES.items() for x in programs])
def test_a_planted_mistake_is_found(name, program):
    assert name in found(program, errors=(IndexError, RuntimeError))  # which labels that do not fit are, too


CAUSES = {
    "nan_in_inputs": lambda: train(net(), x=minidl.where(X > 2, float("nan"), X)),
    "softmax_over_the_examples": lambda: train(net(nn.LogSoftmax(0)), nn.NLLLoss(), x=X[:9], y=LABELS[:9]),
    "zero_weights": zeros_in_the_first_layer,
    "backward_elsewhere": the_parameters_of_another_model,
    "layers_in_a_list": layers_in_a_list,
    "new_optimizer_every_round": an_optimizer_in_every_round,
}


@pytest.mark.parametrize(("name", "program"), CAUSES.items())
def test_a_cause_is_found_and_not_what_follows_from_it(name, program):
    assert found(program) == [name]


# -- what is right ----------------------------------------------------------------------------------------------------


def gradient_accumulation():
    model = net(nn.Dropout(0.1))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(12):
        optimizer.zero_grad()
        for x, y in zip(X.split(8), LABELS.split(8), strict=True):
            (F.cross_entropy(model(x), y) / 4).backward()
        optimizer.step()


def zero_grad_at_the_end():
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(12):
        F.cross_entropy(model(X), LABELS).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)


def gradients_forgotten_by_hand():
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for step in range(12):
        for p in model.parameters():
            if p.grad is not None and step % 2:
                p.grad.zero_()
            elif p.grad is not None:
                p.grad.array[...] = 0
        F.cross_entropy(model(X), LABELS).backward()
        optimizer.step()


def gradients_made_by_hand():
    w = minidl.zeros(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    for _ in range(3):
        w.grad = minidl.ones(3)
        optimizer.step()


def a_gan(cut):
    generator = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))
    judge = nn.Sequential(nn.Linear(8, 16), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(16, 1))
    draws, judges = (optim.Adam(model.parameters(), lr=1e-3) for model in (generator, judge))
    loss = nn.BCEWithLogitsLoss()
    for _ in range(25):
        with minidl.set_grad_enabled(not cut):
            fake = generator(minidl.randn(32, 4)) * 1.0
        judges.zero_grad()
        scores = judge(X), judge(fake if cut else fake.detach())
        (loss(scores[0], minidl.ones(32, 1)) + loss(scores[1], minidl.zeros(32, 1))).backward()
        judges.step()
        draws.zero_grad()
        loss(judge(generator(minidl.randn(32, 4))), minidl.ones(32, 1)).backward()
        draws.step()


def an_rnn():
    class Reader(nn.Module):
        def __init__(self):
            self.memory, self.decide = nn.LSTM(2, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, x):
            return self.decide(self.memory(x)[1][0][0])

    model = Reader()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(25):
        loss = F.cross_entropy(model(X.reshape(32, 4, 2)), LABELS)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def frozen_layers():
    model = nn.Sequential(net(outputs=16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    model[0].requires_grad_(False)
    model[1].requires_grad_(False).eval()
    train(model, optimizer=optim.Adam([p for p in model.parameters() if p.requires_grad]))
    train(model, optimizer=optim.Adam(model.parameters()))  # with the frozen ones, which PyTorch's users do, too


def fine_tuning():
    body = net(outputs=16)
    train(nn.Sequential(body, nn.Linear(16, 3)), steps=200, lr=0.2)
    model = nn.Sequential(body.requires_grad_(False).eval(), nn.ReLU(), nn.Linear(16, 3))
    optimizer = optim.AdamW(model[2].parameters(), lr=1e-3)
    train(model, optimizer=optimizer)
    body.requires_grad_(True)
    optimizer.add_param_group({"params": list(body.parameters()), "lr": 1e-5})
    train(model.train(), optimizer=optimizer)


def a_closure():
    model = net(outputs=1, hidden=nn.Tanh)
    optimizer = optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(X).squeeze(1), VALUES)
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)


def averaged_weights():
    model = net(nn.BatchNorm1d(3))
    averaged = AveragedModel(model)
    for _ in range(5):
        train(model, steps=3)
        averaged.update_parameters(model)
    update_bn([X, X], averaged)
    averaged.eval()
    with minidl.no_grad():
        averaged(X).argmax(1)


def several_losses():
    body, heads = nn.Linear(8, 16), nn.ModuleList([nn.Linear(16, 3), nn.Linear(16, 1)])
    optimizer = optim.Adam([*body.parameters(), *heads.parameters()])
    for _ in range(25):
        features = body(X).tanh()
        optimizer.zero_grad()
        F.cross_entropy(heads[0](features), LABELS).backward(retain_graph=True)
        (0.1 * F.huber_loss(heads[1](features)[:, 0], VALUES)).backward()
        optimizer.step()


def a_trainer():
    model = net(nn.Dropout(0.2), nn.BatchNorm1d(3))
    loader = data.DataLoader(data.TensorDataset(X, LABELS), batch_size=8, shuffle=True)
    trainer = Trainer(model, optim.AdamW(model.parameters()), clip_grad_norm=1.0, schedule=lambda epoch: 0.9**epoch)
    trainer.fit(loader, 6, validation=loader, patience=3, progress=False)
    trainer.predict(X).argmax(1)


def a_teacher():
    teacher, pupil = net(nn.Dropout(0.1)), net(nn.Dropout(0.1))
    optimizer = optim.Adam(pupil.parameters())
    for _ in range(12):
        with minidl.no_grad():
            answers = teacher(X).softmax(1)
        optimizer.zero_grad()
        (-(answers * pupil(X).log_softmax(1)).sum(1).mean()).backward()
        optimizer.step()
        for theirs, mine in zip(teacher.parameters(), pupil.parameters(), strict=True):
            with minidl.no_grad():
                theirs.mul_(0.9).add_(0.1 * mine)


def probabilities():
    train(net(nn.Softmax(1)), lambda p, y: F.nll_loss(p.log(), y))
    train(net(nn.LogSoftmax(1)), nn.NLLLoss())
    train(net(nn.Sigmoid(), outputs=1), lambda p, y: nn.BCELoss()(p[:, 0], y), YES)
    soft = minidl.full((32, 3), 0.05) + 0.85 * ONE_HOT.float()
    train(net(), nn.CrossEntropyLoss(label_smoothing=0.1), soft)
    train(net(), nn.CrossEntropyLoss(), minidl.where(LABELS == 2, -100, LABELS))


def distances():
    centres = nn.Parameter(VALUES.clone())
    optimizer = optim.Adam([centres])
    for _ in range(3):
        optimizer.zero_grad()
        ((VALUES.unsqueeze(1) - centres) ** 2).amin(1).mean().backward()
        optimizer.step()


def a_teacher_in_a_list():
    class Pupil(nn.Module):
        def __init__(self):
            self.first, self.teachers = net(), [net()]

        def forward(self, x):
            with minidl.no_grad():
                answer = self.teachers[0](x)
            return self.first(x) + 0.1 * answer

    train(Pupil())


def a_layer_in_a_list_that_an_optimizer_knows():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.others = nn.Linear(8, 16), [nn.Linear(16, 3)]

        def forward(self, x):
            return self.others[0](self.first(x).relu())

    model = Net()
    train(model, optimizer=optim.Adam([*model.parameters(), *model.others[0].parameters()]))


def optimizers_one_after_the_other():
    model = net()
    for lr in (1e-3, 1e-2, 1e-1):
        train(model, optimizer=optim.Adam(model.parameters(), lr=lr), steps=1)
    for _ in range(4):
        train(net(), optimizer=None, steps=1)


def gaps_that_are_known():
    class Net(nn.Module):
        def __init__(self):
            self.layers = net()

        def forward(self, x):
            return self.layers(minidl.nan_to_num(x))

    train(Net(), x=minidl.where(X > 2, float("nan"), X))


def convergence():
    train(net(outputs=1), lambda x, y: F.mse_loss(x[:, 0], y), minidl.zeros(32), steps=300, lr=0.1)


def a_loss_that_is_0_at_first():
    w = minidl.zeros(3, requires_grad=True)
    model = nn.ParameterList([w])
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for step in range(20):
        optimizer.zero_grad()
        (model[0] - minidl.full((3,), float(step > 12))).square().mean().backward()
        optimizer.step()


def a_warm_up():
    model = net()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) * 1e-5))
    for _ in range(25):
        train(model, optimizer=optimizer, steps=1)
        schedule.step()


def checkpoints():
    model, head = net(outputs=16), nn.Linear(16, 3)
    optimizer = optim.Adam([*model.parameters(), *head.parameters()])
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(head(minidl.utils.checkpoint.checkpoint(model, X, use_reentrant=False)), LABELS).backward()
        optimizer.step()


RIGHT = [lambda: train(net()), gradient_accumulation, zero_grad_at_the_end, gradients_forgotten_by_hand,
         gradients_made_by_hand, lambda: a_gan(cut=False), lambda: a_gan(cut=True), an_rnn, frozen_layers, fine_tuning,
         a_closure, averaged_weights, several_losses, a_trainer, a_teacher, a_teacher_in_a_list,
         a_layer_in_a_list_that_an_optimizer_knows, optimizers_one_after_the_other, gaps_that_are_known, probabilities,
         distances, convergence,
         a_loss_that_is_0_at_first, a_warm_up, checkpoints]  # fmt: skip


@pytest.mark.parametrize("program", RIGHT)
def test_what_is_right_is_left_alone(program):
    minidl.manual_seed(0)
    assert found(program) == []


# -- how it looks -----------------------------------------------------------------------------------------------------


def weights_after_training(*around):
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    with ExitStack() as stack:
        for block in around:
            stack.enter_context(block)
        train(model, optimizer=optimizer)
    return [p.array.tobytes() for p in [*model.parameters(), *model.buffers()]]


def test_the_numbers_are_the_same_with_and_without():
    assert weights_after_training(study.lint()) == weights_after_training()
    assert weights_after_training(study.lint(), study.lint()) == weights_after_training()
    assert weights_after_training(study.lint(), minidl.autograd.detect_anomaly()) == weights_after_training()


class Own(optim.SGD):
    """An optimizer with a step of its own around that of its class."""

    def step(self, closure=None):
        return super().step(closure)


def places():
    kinds = (optim.Optimizer, optim.LBFGS, optim.Adam, Own)
    return engine.watch, gradients.run_backward, nn.Module.__call__, [vars(kind).get("step") for kind in kinds]


def test_nothing_is_left_behind_even_by_an_error():
    before, model = places(), net()
    attributes = dict(vars(model)), dict(vars(model[0]))
    with pytest.raises(ZeroDivisionError), study.lint(model) as report:
        assert places() != before
        train(model)
        1 / 0  # noqa: B018
    assert places() == before
    assert (dict(vars(model)), dict(vars(model[0]))) == attributes
    assert report.findings == [] and str(report) == "lint found nothing"


def test_what_is_copied_inside_is_whole_outside():
    model = net()
    with study.lint():
        train(model, steps=1)
        twin = copy.deepcopy(model)
    with minidl.no_grad():
        twin[0].weight.fill_(0.0)
        assert (twin(X) != model(X)).any()


def test_a_step_of_its_own_is_one_step():
    model = net()
    assert found(lambda: train(model, optimizer=Own(model.parameters(), lr=0.05))) == []


def test_a_warning_names_the_line_and_what_to_do():
    text = r"^no_zero_grad: expected .*; came .*0\.weight.*\. Call optimizer\.zero"
    with pytest.warns(study.LintWarning, match=text) as seen, study.lint() as report:
        without_zero_grad()
    (finding,) = report.findings
    assert finding.place[0] == seen[0].filename == __file__
    assert Path(__file__).read_text("utf-8").splitlines()[finding.place[1] - 1].strip() == "optimizer.step()"
    assert str(report).splitlines()[0] == f"no_zero_grad, at {__file__}:{finding.place[1]}"
    assert [line.split()[0] for line in str(report).splitlines()[1:]] == ["expected", "came", "do"]


def test_a_warning_made_an_error_stops_the_loop_and_leaves_nothing_behind():
    before = places()
    with warnings.catch_warnings():
        warnings.simplefilter("error", study.LintWarning)
        with pytest.raises(study.LintWarning, match="no_zero_grad"), study.lint():
            without_zero_grad()
    assert places() == before


def test_a_program_whose_name_begins_with_ours_is_the_users():
    file = f"{minidl.__path__[0]}_lab.py"
    code = compile("for _ in range(2): (w * w).sum().backward(); optimizer.step()", file, "exec")
    w = minidl.ones(3, requires_grad=True)
    with pytest.warns(study.LintWarning, match="no_zero_grad"), study.lint() as report:
        exec(code, {"w": w, "optimizer": optim.SGD([w], lr=0.01)})
    assert report.findings[0].place == (file, 1)


def test_what_other_threads_do_is_theirs():
    with study.lint() as report, ThreadPoolExecutor(1) as pool:
        pool.submit(without_zero_grad).result()
    assert report.findings == []


def test_a_backward_pass_does_not_go_through_all_models_that_there_were(monkeypatch):
    with study.lint() as report:
        loss = F.cross_entropy(net()(X), LABELS)
        with monkeypatch.context() as patch:
            patch.setattr(nn.Module, "parameters", None)
            loss.backward()
    assert report.findings == []


def test_one_lint_cannot_watch_twice_at_once_but_again():
    before, report = places(), study.lint()
    for _ in range(2):
        with report, pytest.raises(RuntimeError, match="watching already"), report:
            pass
        assert places() == before


def test_an_optimizer_or_a_model_that_is_given_is_known_from_the_start():
    model, forgotten = net(), nn.Linear(3, 3)
    assert found(lambda: train(model), model, forgotten) == ["not_in_optimizer"]
    with pytest.raises(TypeError, match="expected models and optimizers, got list"):
        study.lint(list(model.parameters()))


def test_every_check_has_a_planted_mistake_and_says_what_to_do():
    checks = [check for checks in rules.CHECKS.values() for check in checks]
    assert {check.name for check in checks} == set(MISTAKES)
    assert all(check.expected and check.do for check in checks)
