"""A Dataset of dictionaries, a split, a plateau schedule, and early stopping with a copy of the best state."""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, random_split


class Sine(Dataset):
    def __init__(self, size):
        rng = np.random.RandomState(0)
        self.x = torch.from_numpy(rng.uniform(-3, 3, (size, 1))).float()
        self.y = torch.sin(self.x) + 0.1 * torch.from_numpy(rng.randn(size, 1)).float()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        if torch.is_tensor(index):
            index = index.tolist()
        return {"x": self.x[index], "y": self.y[index], "name": f"point {index}"}


class Net(nn.Module):
    def __init__(self, hidden=32, p=0.05):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(p),
            nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1),
        )  # fmt: skip
        self.apply(self._init)

    def _init(self, module):
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=nn.init.calculate_gain("relu"))
            module.bias.data.fill_(0.01)

    def forward(self, x):
        return self.layers(x)


def run_epoch(loader, optimizer=None):
    model.train(optimizer is not None)
    total = count = 0
    with torch.set_grad_enabled(optimizer is not None):
        for batch in loader:
            x, y = batch["x"].to(device), batch["y"].to(device)
            loss = criterion(model(x), y)
            if optimizer is not None:
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
            total += loss.item() * x.size(0)
            count += len(batch["name"])
    return total / count


torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
dataset = Sine(600)
parts = random_split(dataset, [0.8, 0.2], generator=torch.Generator().manual_seed(42))
train_loader = DataLoader(parts[0], batch_size=32, shuffle=True, drop_last=True)
val_loader = DataLoader(parts[1], batch_size=64)
model = Net().to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=3)
criterion = nn.MSELoss()
best, best_state, worse = math.inf, None, 0
for _ in range(40):
    run_epoch(train_loader, optimizer)
    val_loss = run_epoch(val_loader)
    scheduler.step(val_loss)
    if val_loss < best:
        best, best_state, worse = val_loss, copy.deepcopy(model.state_dict()), 0
    elif (worse := worse + 1) == 10:
        break
model.load_state_dict(best_state)
print(f"learning rate {scheduler.get_last_lr()[0]:.1e}")
print("final loss", run_epoch(val_loader))
