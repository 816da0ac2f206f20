"""A GRU reads digits, another with attention writes them backwards."""

import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim

START, WORDS, LENGTH = 10, 11, 5
device = torch.device("cpu")
random.seed(0)
torch.manual_seed(0)


class Encoder(nn.Module):
    def __init__(self, hidden, p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(p)

    def forward(self, input):
        return self.gru(self.dropout(self.embedding(input)))


class Attention(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.Wa, self.Ua, self.Va = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys))).squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class Decoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, hidden)
        self.attention = Attention(hidden)
        self.gru = nn.GRU(2 * hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, WORDS)

    def forward(self, keys, hidden, target=None):
        word = torch.empty(keys.size(0), 1, dtype=torch.long, device=device).fill_(START)
        outputs, attentions = [], []
        for i in range(LENGTH):
            context, weights = self.attention(hidden.permute(1, 0, 2), keys)
            output, hidden = self.gru(torch.cat((self.embedding(word), context), dim=2), hidden)
            output = self.out(output)
            outputs.append(output)
            attentions.append(weights)
            if target is not None:
                word = target[:, i].unsqueeze(1)
            else:
                _, best = output.topk(1)
                word = best.squeeze(-1).detach()
        return F.log_softmax(torch.cat(outputs, dim=1), dim=-1), torch.cat(attentions, dim=1)


def batch(size):
    x = torch.tensor([[random.randrange(10) for _ in range(LENGTH)] for _ in range(size)], dtype=torch.long)
    return x.to(device), torch.flip(x, [1]).to(device)


encoder, decoder = Encoder(32).to(device), Decoder(32).to(device)
optimizers = [optim.Adam(part.parameters(), lr=5e-3) for part in (encoder, decoder)]
criterion = nn.NLLLoss()
for _ in range(250):
    x, y = batch(64)
    for optimizer in optimizers:
        optimizer.zero_grad()
    output, _ = decoder(*encoder(x), target=y)
    loss = criterion(output.view(-1, output.size(-1)), y.view(-1))
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()

encoder.eval()
decoder.eval()
with torch.no_grad():
    x, y = batch(200)
    output, attentions = decoder(*encoder(x))
assert torch.allclose(attentions.sum(-1), torch.ones(200, LENGTH), atol=1e-5)
print(x[0].tolist(), "->", output[0].argmax(-1).tolist())
accuracy = (output.argmax(-1) == y).float().mean()
print("final loss", criterion(output.transpose(1, 2), y).item(), "accuracy", accuracy.item())
