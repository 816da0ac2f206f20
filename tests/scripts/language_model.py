"""A word-level language model: RNN, LSTM, GRU or Transformer, truncated back-propagation, and steps by hand."""

import argparse
import math
import os
import random
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser(description="A word-level language model")
parser.add_argument("--model", default="LSTM", help="RNN_TANH, RNN_RELU, LSTM, GRU or Transformer")
parser.add_argument("--emsize", type=int, default=32)
parser.add_argument("--nhid", type=int, default=32)
parser.add_argument("--nlayers", type=int, default=1)
parser.add_argument("--nhead", type=int, default=2)
parser.add_argument("--lr", type=float, default=5.0)
parser.add_argument("--clip", type=float, default=0.25)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--batch_size", type=int, default=20)
parser.add_argument("--bptt", type=int, default=16)
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--tied", action="store_true", help="one matrix for the embedding and the output")
parser.add_argument("--seed", type=int, default=1111)
args = parser.parse_args()
torch.manual_seed(args.seed)
device = torch.device("cpu")

# A language of a few words, in which each sentence is "the ADJECTIVE NOUN VERB a ADJECTIVE NOUN <eos>".
NOUNS = ["cat", "dog", "house", "tree", "man", "woman", "child", "bird"]
VERBS, ADJECTIVES = ["sees", "likes", "finds", "leaves"], ["old", "new", "small", "big", "red"]
text = random.Random(0)
sentences = [
    f"the {text.choice(ADJECTIVES)} {text.choice(NOUNS)} {text.choice(VERBS)} a {text.choice(ADJECTIVES)} "
    f"{text.choice(NOUNS)} <eos>".split()
    for _ in range(1800)
]
words = sorted({word for sentence in sentences for word in sentence})
index = {word: i for i, word in enumerate(words)}
tokens = torch.cat([torch.tensor([index[word] for word in sentence]).type(torch.int64) for sentence in sentences])
ntokens = len(words)


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    data = data.narrow(0, 0, nbatch * bsz)
    return data.view(bsz, -1).t().contiguous().to(device)


train_data, val_data = batchify(tokens[:12800], args.batch_size), batchify(tokens[12800:], 10)


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.1, max_len=500):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe.unsqueeze(0).transpose(0, 1))

    def forward(self, x):
        return self.dropout(x + self.pe[: x.size(0), :])


class TransformerModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(ntokens, args.emsize)
        self.position = PositionalEncoding(args.emsize, args.dropout)
        layer = nn.TransformerEncoderLayer(args.emsize, args.nhead, args.nhid, args.dropout)
        self.encoder = nn.TransformerEncoder(layer, args.nlayers, enable_nested_tensor=False)
        self.decoder = nn.Linear(args.emsize, ntokens)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, src, hidden):
        mask = torch.log(torch.tril(torch.ones(len(src), len(src)))).to(src.device)
        x = self.position(self.embedding(src) * math.sqrt(args.emsize))
        return F.log_softmax(self.decoder(self.encoder(x, mask=mask)), dim=-1).view(-1, ntokens), hidden

    def init_hidden(self, bsz):
        return ()


class RNNModel(nn.Module):
    def __init__(self, rnn_type):
        super().__init__()
        self.drop = nn.Dropout(args.dropout)
        self.encoder = nn.Embedding(ntokens, args.emsize)
        if rnn_type in ["LSTM", "GRU"]:
            self.rnn = getattr(nn, rnn_type)(args.emsize, args.nhid, args.nlayers)
        else:
            nonlinearity = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}[rnn_type]
            self.rnn = nn.RNN(args.emsize, args.nhid, args.nlayers, nonlinearity=nonlinearity)
        self.decoder = nn.Linear(args.nhid, ntokens)
        if args.tied:
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, input, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        return F.log_softmax(self.decoder(self.drop(output)).view(-1, ntokens), dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        zeros = weight.new_zeros(args.nlayers, bsz, args.nhid)
        return (zeros, zeros.clone()) if isinstance(self.rnn, nn.LSTM) else zeros


def repackage_hidden(h):
    return h.detach() if isinstance(h, torch.Tensor) else tuple(repackage_hidden(v) for v in h)


def get_batch(source, i):
    seq_len = min(args.bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


@torch.no_grad()
def evaluate(source):
    model.eval()
    total, hidden = 0.0, model.init_hidden(10)
    for i in range(0, source.size(0) - 1, args.bptt):
        data, targets = get_batch(source, i)
        output, hidden = model(data, hidden)
        total += len(data) * criterion(output, targets).item()
    return total / (len(source) - 1)


model = (TransformerModel() if args.model == "Transformer" else RNNModel(args.model)).to(device)
criterion = nn.NLLLoss()
path = os.path.join(tempfile.mkdtemp(), "model.pt")
lr, best = args.lr, math.inf
for epoch in range(1, args.epochs + 1):
    model.train()
    hidden = model.init_hidden(args.batch_size)
    for i in range(0, train_data.size(0) - 1, args.bptt):
        data, targets = get_batch(train_data, i)
        model.zero_grad()
        hidden = repackage_hidden(hidden)
        output, hidden = model(data, hidden)
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
    val_loss = evaluate(val_data)
    print(f"| end of epoch {epoch:3d} | valid loss {val_loss:5.3f} | valid ppl {math.exp(val_loss):8.2f}")
    if val_loss < best:
        with open(path, "wb") as f:
            torch.save(model, f)
        best = val_loss
    else:
        lr /= 4.0

with open(path, "rb") as f:
    model = torch.load(f, weights_only=False)
if args.model != "Transformer":
    model.rnn.flatten_parameters()
assert math.isclose(evaluate(val_data), best)
print(f"final loss {best:.4f}")
