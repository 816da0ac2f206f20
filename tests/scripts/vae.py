"""A variational autoencoder of digits."""

import argparse
import os
import tempfile

import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F
from torchvision import datasets, transforms
from torchvision.utils import save_image

parser = argparse.ArgumentParser(description="A variational autoencoder of digits")
parser.add_argument("--batch-size", type=int, default=100)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--out", default=tempfile.gettempdir(), help="folder for pictures")
args = parser.parse_args()
torch.manual_seed(args.seed)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

digits = datasets.MNIST("./data", train=True, download=True, transform=transforms.ToTensor())
digits.data, digits.targets = digits.data[:3000], digits.targets[:3000]
loader = torch.utils.data.DataLoader(digits, batch_size=args.batch_size, shuffle=True)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 200)
        self.fc21, self.fc22 = nn.Linear(200, 10), nn.Linear(200, 10)
        self.fc3 = nn.Linear(10, 200)
        self.fc4 = nn.Linear(200, 784)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 784))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


model = VAE().to(device)
optimizer = optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(1, args.epochs + 1):
    model.train()
    train_loss = 0
    for data, _ in loader:
        data = data.to(device)
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    print(f"====> epoch {epoch}, average loss {train_loss / len(loader.dataset):.4f}")

model.eval()
with torch.no_grad():
    comparison = torch.cat([data[:8], model(data)[0].view(-1, 1, 28, 28)[:8]])
    save_image(comparison.cpu(), os.path.join(args.out, "reconstruction.png"), nrow=8)
    sample = model.decode(torch.randn(64, 10).to(device)).cpu()
    save_image(sample.view(64, 1, 28, 28), os.path.join(args.out, "sample.png"))
print(f"final loss {train_loss / len(loader.dataset):.4f}")
