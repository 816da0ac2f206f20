"""MNIST by rows: an LSTM reads an image as a sequence of 28 rows."""

import argparse

import torch
import torch.nn as nn
import torchvision
from torch.utils.data import DataLoader, Subset
from torchvision import transforms

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
torch.manual_seed(parser.parse_args().seed)
device = "cuda" if torch.cuda.is_available() else "cpu"

sequence_length, input_size, hidden_size, num_layers, num_classes = 28, 28, 48, 1, 10
train_set = torchvision.datasets.MNIST(root="./data", train=True, transform=transforms.ToTensor(), download=True)
test_set = torchvision.datasets.MNIST(root="./data", train=False, transform=transforms.ToTensor())
train_loader = DataLoader(Subset(train_set, list(range(3000))), batch_size=50, shuffle=True, drop_last=True)
test_loader = DataLoader(Subset(test_set, list(range(1000))), batch_size=500)


class RowReader(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        self.norm = nn.BatchNorm1d(hidden_size)
        self.dropout = nn.Dropout2d(0.25)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h0 = torch.zeros(num_layers, x.size(0), hidden_size).to(x.device)
        c0 = torch.zeros(num_layers, x.size(0), hidden_size).to(x.device)
        out, (_, _) = self.lstm(x, (h0, c0))
        return self.fc(self.dropout(self.norm(out[:, -1, :])))


model = RowReader().to(device)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(3):
    running = 0.0
    for images, labels in train_loader:
        images = images.reshape(-1, sequence_length, input_size).to(device)
        loss = criterion(model(images), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        running += loss.item()
    print(f"epoch {epoch + 1}: loss {running / len(train_loader):.4f}")

model.eval()
with torch.no_grad():
    correct = total = 0
    for images, labels in test_loader:
        outputs = model(images.reshape(-1, sequence_length, input_size).to(device))
        _, predicted = torch.max(outputs.data, 1)
        total += labels.size(0)
        correct += (predicted == labels.to(device)).sum().item()
print(f"final accuracy {correct / total:.4f}")
