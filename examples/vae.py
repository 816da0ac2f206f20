"""Teach a network to draw digits: a variational autoencoder (Kingma & Welling 2014) with two latent numbers, on MNIST.

    python examples/vae.py               ten epochs, less than a minute

The picture shows what the decoder draws from every place of the plane in which it has learnt to lay out all digits.
"""

import argparse

import numpy as np

import minidl
from minidl import Tensor, nn, optim, study
from minidl.data import MNIST, DataLoader
from minidl.nn import functional as F


class VAE(nn.Module):
    """The encoder says where in the plane an image lies, and how surely; the decoder draws it from there."""

    def __init__(self, latent: int = 2) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 256), nn.ReLU(), nn.Linear(256, 784))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encoder(images).chunk(2, 1)  # (batch, latent) each
        noise = minidl.randn(*mean.shape)
        return self.decoder(mean + noise * (log_var / 2).exp()), mean, log_var  # the gradient goes round the noise


def loss_of(images: Tensor, logits: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Bits of the image that are lost, plus how far the latent numbers are from a standard normal; per image."""
    lost = F.binary_cross_entropy_with_logits(logits, images.flatten(1), reduction="sum")
    divergence = -0.5 * (1 + log_var - mean * mean - log_var.exp()).sum()  # appendix B of the paper
    return (lost + divergence) / len(images)


def drawn(model: VAE, rows: int = 20) -> np.ndarray:
    """What the decoder draws from a grid of the plane, as one picture (rows · 28, rows · 28)."""
    steps = np.linspace(-2, 2, rows)
    plane = minidl.tensor(np.stack(np.meshgrid(steps, steps[::-1]), -1).reshape(-1, 2).astype(np.float32))
    with minidl.no_grad():
        images = model.decoder(plane).sigmoid().numpy()
    return images.reshape(rows, rows, 28, 28).swapaxes(1, 2).reshape(rows * 28, rows * 28)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a variational autoencoder on MNIST.")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the data (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/vae.png", help="the plane of digits (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    loader = DataLoader(MNIST(train=True), batch_size=128, shuffle=True)
    model = VAE()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(1, options.epochs + 1):
        total = 0.0
        for images, _ in loader:
            loss = loss_of(images, *model(images))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}/{options.epochs}  loss {total / len(loader):.2f} per image", flush=True)

    try:
        from matplotlib import image
    except ImportError:  # everything but the picture works without it
        print('no picture: pip install "minidl[study]" brings matplotlib')
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    image.imsave(options.out, drawn(model), cmap="gray_r", vmin=0, vmax=1)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
