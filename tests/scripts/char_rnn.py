"""Characters one after the other: an RNN or a GRU written as a module, or nn.GRU, on names of any length."""

import argparse
import os
import random
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

parser = argparse.ArgumentParser()
parser.add_argument("--type", default="gru", choices=["rnn", "gru", "layer"])
parser.add_argument("--seed", type=int, default=3407)
args = parser.parse_args()
torch.manual_seed(args.seed)

draw = random.Random(1)
syllables = [c + v for c in "bdgklmnrst" for v in "aeiou"]
weights = [draw.random() ** 3 for _ in syllables]
words = ["".join(draw.choices(syllables, weights, k=draw.randint(2, 4))) for _ in range(1200)]


class Names(Dataset):
    """Example i: the characters of name i after a start, and the same with an end, as numbers."""

    def __init__(self, words):
        self.words = words
        self.stoi = {ch: i + 1 for i, ch in enumerate(sorted(set("".join(words))))}

    def __len__(self):
        return len(self.words)

    def __getitem__(self, idx):
        ix = [self.stoi[w] for w in self.words[idx]]
        return torch.tensor([0, *ix]), torch.LongTensor([*ix, 0])


def collate(examples):
    """Names of different lengths as a batch, to which -1 is added, no character."""
    xs, ys = zip(*examples, strict=True)
    return pad_sequence(xs, batch_first=True), pad_sequence(ys, batch_first=True, padding_value=-1)


class RNNCell(nn.Module):
    def __init__(self, n_embd, n_hidden):
        super().__init__()
        self.xh_to_h = nn.Linear(n_embd + n_hidden, n_hidden)

    def forward(self, xt, hprev):
        return torch.tanh(self.xh_to_h(torch.cat([xt, hprev], dim=1)))


class GRUCell(nn.Module):
    def __init__(self, n_embd, n_hidden):
        super().__init__()
        self.xh_to_z = nn.Linear(n_embd + n_hidden, n_hidden)
        self.xh_to_r = nn.Linear(n_embd + n_hidden, n_hidden)
        self.xh_to_hbar = nn.Linear(n_embd + n_hidden, n_hidden)

    def forward(self, xt, hprev):
        xh = torch.cat([xt, hprev], dim=1)
        r = torch.sigmoid(self.xh_to_r(xh))
        hbar = torch.tanh(self.xh_to_hbar(torch.cat([xt, r * hprev], dim=1)))
        z = torch.sigmoid(self.xh_to_z(xh))
        return (1 - z) * hprev + z * hbar


class Recurrent(nn.Module):
    def __init__(self, kind, vocab_size, n_embd=16, n_hidden=32):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, n_hidden))
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.cell = {"rnn": RNNCell, "gru": GRUCell, "layer": nn.GRU}[kind](n_embd, n_hidden)
        self.lm_head = nn.Linear(n_hidden, vocab_size)

    def forward(self, idx, targets=None):
        b, t = idx.size()
        emb, hprev = self.wte(idx), self.start.expand((b, -1))
        if isinstance(self.cell, nn.GRU):
            output, _ = self.cell(emb.transpose(0, 1), hprev.unsqueeze(0).contiguous())
            hidden = output.transpose(0, 1)
        else:
            hiddens = []
            for i in range(t):
                hprev = self.cell(emb[:, i, :], hprev)
                hiddens.append(hprev)
            hidden = torch.stack(hiddens, 1)
        logits = self.lm_head(hidden)
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss


names = Names(words)
train_set, test_set = torch.utils.data.random_split(names, [1000, 200], torch.Generator().manual_seed(0))
path = os.path.join(tempfile.mkdtemp(), "checkpoint.pt")
for epoch in range(5):
    if epoch in (0, 3):  # at the beginning, and when a run that was broken off goes on
        model = Recurrent(args.type, len(names.stoi) + 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01, betas=(0.9, 0.99), eps=1e-8)
    if epoch == 3:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        assert checkpoint["epoch"] == 2
    for X, Y in DataLoader(train_set, batch_size=32, shuffle=True, collate_fn=collate):
        logits, loss = model(X, Y)
        model.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")
    torch.save({"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)

model.eval()
with torch.inference_mode():
    _, test_loss = model(*next(iter(DataLoader(test_set, batch_size=200, collate_fn=collate))))
print(f"final loss {test_loss.item():.4f}")
