"""Policies that learn from rewards: an actor and a critic with Categorical, and a clipped objective with Normal."""

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical, Normal, kl_divergence

torch.manual_seed(0)
rng = np.random.default_rng(0)


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.actor, self.critic = nn.Linear(4, 32), nn.Linear(32, 4), nn.Linear(32, 1)

    def forward(self, state):
        x = torch.relu(self.hidden(state))
        return torch.softmax(self.actor(x), dim=-1), self.critic(x)


# four situations, in each of which one of four actions is right
policy = Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
mean_rewards = []
for _ in range(120):
    log_probs, values, rewards, entropies = [], [], [], []
    for _ in range(16):
        situation = rng.integers(4)
        state = torch.from_numpy(np.eye(4, dtype=np.float32)[situation]).unsqueeze(0)
        probs, value = policy(state)
        choice = Categorical(probs)
        action = choice.sample()
        log_probs.append(choice.log_prob(action))
        entropies.append(choice.entropy())
        values.append(value.squeeze())
        rewards.append(float(action.item() == (situation + 1) % 4))
    rewards, values = torch.tensor(rewards), torch.stack(values)
    advantages = rewards - values.detach()
    advantages = (advantages - advantages.mean()) / (advantages.std() + np.finfo(np.float32).eps.item())
    actor_loss = -(torch.cat(log_probs) * advantages).sum() - 0.01 * torch.stack(entropies).sum()
    loss = actor_loss + nn.functional.smooth_l1_loss(values, rewards)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    mean_rewards.append(rewards.mean().item())

# a point in the plane is to be hit
mean, log_std = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
optimizer = torch.optim.Adam([mean, log_std], lr=0.05)
target = torch.tensor([1.0, -2.0])
for _ in range(300):
    throws = Normal(mean, log_std.exp())
    points = throws.sample((32,))
    rewards = -((points - target) ** 2).sum(-1)
    log_prob = throws.log_prob(points).sum(-1)
    ratio = (log_prob - log_prob.detach()).exp()
    advantages = (rewards - rewards.mean()) / rewards.std()
    clipped = torch.min(ratio * advantages, torch.clamp(ratio, 0.8, 1.2) * advantages)
    wide = Normal(torch.zeros(2), torch.ones(2))
    loss = -clipped.mean() + 1e-3 * kl_divergence(throws, wide).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("final reward", np.mean(mean_rewards[-20:]), "distance", (mean - target).norm().item())
