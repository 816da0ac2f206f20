"""Characters by pairs: counted, then as a network of one matrix, as in lecture notebooks; names are drawn from both."""

import random

import torch
import torch.nn.functional as F

draw = random.Random(1)
syllables = [c + v for c in "bdgklmnrst" for v in "aeiou"]
weights = [draw.random() ** 3 for _ in syllables]
words = ["".join(draw.choices(syllables, weights, k=draw.randint(2, 4))) for _ in range(500)]
chars = ["."] + sorted(set("".join(words)))
stoi = {s: i for i, s in enumerate(chars)}
itos = {i: s for s, i in stoi.items()}
size = len(chars)

# 1. by counting
N = torch.zeros((size, size), dtype=torch.int32)
xs, ys = [], []
for w in words:
    chs = ["."] + list(w) + ["."]
    for ch1, ch2 in zip(chs, chs[1:]):  # noqa: B905, RUF007
        N[stoi[ch1], stoi[ch2]] += 1
        xs.append(stoi[ch1])
        ys.append(stoi[ch2])
P = (N + 1).float()
P /= P.sum(1, keepdim=True)
xs, ys = torch.tensor(xs), torch.tensor(ys)
counted = -P[xs, ys].log().mean()
print(f"{xs.nelement()} pairs, N {tuple(N.shape)} {N.sum().item()}, counted {counted.item()=:.4f}")

g = torch.Generator().manual_seed(2147483647)
for _ in range(5):
    out, ix = [], 0
    while True:
        ix = torch.multinomial(P[ix], num_samples=1, replacement=True, generator=g).item()
        out.append(itos[ix])
        if ix == 0:
            break
    print("".join(out))

# 2. by gradient descent, from nothing
W = torch.zeros((size, size), requires_grad=True)
xenc = F.one_hot(xs, num_classes=size).float()
for _ in range(100):
    logits = xenc @ W
    counts = logits.exp()
    probs = counts / counts.sum(1, keepdims=True)
    loss = -probs[torch.arange(xs.nelement()), ys].log().mean() + 0.01 * (W**2).mean()
    W.grad = None
    loss.backward()
    W.data += -50 * W.grad
print("final loss", loss.item(), "counted", counted.item())
