"""Characters by the three before: embeddings C[X], batch normalisation by hand, and its backward pass, too."""

import random

import numpy as np
import torch
import torch.nn.functional as F

draw = random.Random(1)
syllables = [c + v for c in "bdgklmnrst" for v in "aeiou"]
weights = [draw.random() ** 3 for _ in syllables]
words = ["".join(draw.choices(syllables, weights, k=draw.randint(2, 4))) for _ in range(600)]
chars = sorted(set("".join(words)))
stoi = {s: i + 1 for i, s in enumerate(chars)} | {".": 0}
block_size, n_embd, n_hidden, vocab_size = 3, 8, 64, len(stoi)


def build_dataset(words):
    X, Y = [], []
    for w in words:
        context = [0] * block_size
        for ch in w + ".":
            X.append(context)
            Y.append(stoi[ch])
            context = context[1:] + [stoi[ch]]
    return torch.tensor(X), torch.tensor(Y)


Xtr, Ytr = build_dataset(words[:500])
Xdev, Ydev = build_dataset(words[500:])

numbers = np.random.default_rng(42)


def normal(*shape):
    return torch.from_numpy(numbers.standard_normal(shape).astype(np.float32))


C = normal(vocab_size, n_embd)
W1 = normal(n_embd * block_size, n_hidden) * (5 / 3) / ((n_embd * block_size) ** 0.5)
W2 = normal(n_hidden, vocab_size) * 0.1
b2 = torch.zeros(vocab_size)
bngain, bnbias = torch.ones((1, n_hidden)), torch.zeros((1, n_hidden))
bnmean_running, bnstd_running = torch.zeros((1, n_hidden)), torch.ones((1, n_hidden))
parameters = [C, W1, W2, b2, bngain, bnbias]
print(sum(p.nelement() for p in parameters), "parameters")
for p in parameters:
    p.requires_grad = True

for i in range(400):
    ix = torch.from_numpy(numbers.integers(0, Xtr.shape[0], (64,)))
    Xb, Yb = Xtr[ix], Ytr[ix]

    emb = C[Xb]
    hpreact = emb.view(emb.shape[0], -1) @ W1
    bnmeani = hpreact.mean(0, keepdim=True)
    bnstdi = hpreact.std(0, keepdim=True)
    hpreact_normal = (hpreact - bnmeani) / bnstdi
    with torch.no_grad():
        bnmean_running = 0.99 * bnmean_running + 0.01 * bnmeani
        bnstd_running = 0.99 * bnstd_running + 0.01 * bnstdi
    h = torch.tanh(bngain * hpreact_normal + bnbias)
    logits = h @ W2 + b2
    logits.retain_grad()
    loss = F.cross_entropy(logits, Yb)

    for p in parameters:
        p.grad = None
    loss.backward()
    lr = 0.1 if i < 300 else 0.01
    for p in parameters:
        p.data += -lr * p.grad

# The gradients of the last step by hand, against those of autograd.
with torch.no_grad():
    n = logits.shape[0]
    dlogits = F.softmax(logits, 1)
    dlogits[range(n), Yb] -= 1
    dlogits /= n
    dh = dlogits @ W2.T
    by_hand = {"logits": (dlogits, logits.grad), "W2": (h.T @ dlogits, W2.grad), "b2": (dlogits.sum(0), b2.grad)}
    for name, (mine, theirs) in by_hand.items():
        exact, close = torch.all(mine == theirs).item(), torch.allclose(mine, theirs, atol=1e-6)
        print(f"{name:8s} exact {exact!s:5s} close {close!s:5s} by {(mine - theirs).abs().max().item()}")
        assert close
    dC = torch.zeros_like(C)
    demb = (((1.0 - h**2) * dh * bngain / bnstdi) @ W1.T).view(emb.shape)
    dC.index_add_(0, Xb.view(-1), demb.view(-1, n_embd))
    assert dC.shape == C.grad.shape


@torch.no_grad()
def split_loss(X, Y):
    emb = C[X].view(-1, block_size * n_embd)
    h = torch.tanh(bngain * (emb @ W1 - bnmean_running) / bnstd_running + bnbias)
    return F.cross_entropy(h @ W2 + b2, Y).item()


print("final loss", loss.item(), "train", split_loss(Xtr, Ytr), "dev", split_loss(Xdev, Ydev))
