"""Two networks that teach each other: a generative adversarial network (Goodfellow et al. 2014) draws digits.

    python examples/gan.py               about a minute

The picture shows new digits, drawn from random numbers; nobody wrote them.
"""

import argparse

import minidl
from minidl import Tensor, nn, optim, study
from minidl.data import MNIST, DataLoader
from minidl.nn import functional as F

LATENT = 64


def networks() -> tuple[nn.Module, nn.Module]:
    """The generator draws images between -1 and 1 from noise, the discriminator tells them from real ones."""
    generator = nn.Sequential(
        nn.Linear(LATENT, 256), nn.LeakyReLU(0.2), nn.BatchNorm1d(256), nn.Linear(256, 784), nn.Tanh()
    )
    discriminator = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(256, 1))
    return generator, discriminator


def judged(scores: Tensor, real: bool) -> Tensor:
    """The loss of calling images with these scores real, or not; 0.9 for 1 keeps the discriminator from certainty."""
    return F.binary_cross_entropy_with_logits(scores, minidl.full(scores.shape, 0.9 if real else 0.0))


def picture(images: Tensor, columns: int = 10) -> Tensor:
    """Images (count, 784) side by side: (rows · 28, columns · 28)."""
    rows = len(images) // columns
    return images.reshape(rows, columns, 28, 28).swapaxes(1, 2).reshape(rows * 28, columns * 28)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a generative adversarial network on MNIST.")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the data (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/gan.png", help="picture of new digits (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    loader = DataLoader(MNIST(train=True), batch_size=128, shuffle=True)
    generator, discriminator = networks()
    draws = optim.Adam(generator.parameters(), lr=5e-4, betas=(0.5, 0.999))
    judges = optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for epoch in range(1, options.epochs + 1):
        for images, _ in loader:
            real = images.flatten(1) * 2 - 1
            fake = generator(minidl.randn(len(real), LATENT))

            judge_loss = judged(discriminator(real), True) + judged(discriminator(fake.detach()), False)
            judges.zero_grad()
            judge_loss.backward()
            judges.step()

            draw_loss = judged(discriminator(fake), True)  # the generator wants its images to be taken for real ones
            draws.zero_grad()
            draw_loss.backward()
            draws.step()
        losses = f"discriminator {judge_loss.item():.3f}  generator {draw_loss.item():.3f}"
        print(f"epoch {epoch}/{options.epochs}  {losses}", flush=True)

    try:
        from matplotlib import image
    except ImportError:  # everything but the picture works without it
        print('no picture: pip install "minidl[study]" brings matplotlib')
        return
    with minidl.no_grad():
        new = generator.eval()(minidl.randn(100, LATENT))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    image.imsave(options.out, picture(new).numpy(), cmap="gray_r", vmin=-1, vmax=1)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
