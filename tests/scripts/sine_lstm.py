"""Two LSTM cells learn to go on with sine waves, in float64 and by L-BFGS."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim


class Sequence(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.hidden = hidden
        self.lstm1 = nn.LSTMCell(1, hidden)
        self.lstm2 = nn.LSTMCell(hidden, hidden)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t, c_t, h_t2, c_t2 = (torch.zeros(input.size(0), self.hidden, dtype=torch.double) for _ in range(4))
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        for _ in range(future):  # it goes on from its own predictions
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


period, length, waves = 8, 40, 20
rng = np.random.default_rng(2)
phase = rng.integers(-4 * period, 4 * period, (waves, 1))
data = torch.from_numpy(np.sin((np.arange(length) + phase) / period))
input, target = data[3:, :-1], data[3:, 1:]
test_input, test_target = data[:3, :-1], data[:3, 1:]

seq = Sequence().double()
for parameter in seq.parameters():
    nn.init.zeros_(parameter)
    parameter.data += torch.tensor(rng.uniform(-0.25, 0.25, tuple(parameter.shape)))
criterion = nn.MSELoss()
optimizer = optim.LBFGS(seq.parameters(), lr=0.5, max_iter=8)
for step in range(3):

    def closure():
        optimizer.zero_grad()
        loss = criterion(seq(input), target)
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    with torch.no_grad():
        future = 20
        pred = seq(test_input, future=future)
        test_loss = criterion(pred[:, :-future], test_target)
        print("step", step, "loss", loss.item(), "test loss", test_loss.item())
        y = pred.detach().numpy()
assert y.shape == (3, length - 1 + future) and y.dtype == np.float64
print("final loss", loss.item(), "test", test_loss.item())
