"""Edge accounts in a simple form: one peer and one edge at a time, each end with a diary; must not know the ledger."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, State, leaves, rebuilt
from gossipfl.mixing import Mixing
from gossipfl.models import Problem
from gossipfl.topology import Topology

End = tuple[int, int]  # (receiver, sender)


class Twin:
    """All peers, each with its own row, and for each end of an edge what it pulled in each round of this session."""

    def __init__(
        self,
        algorithm: Algorithm,
        problems: Sequence[Problem],
        topology: Topology,
        mixing: Mixing,
        patience: int,
    ) -> None:
        self.algorithm, self.problems, self.topology, self.mixing = algorithm, problems, topology, mixing
        self.patience, self.round = patience, 0
        self.diary: dict[End, dict[int, Tensor]] = defaultdict(dict)
        self.used: dict[End, set[int]] = defaultdict(set)  # the rounds in which the receiver used a message
        self.silent: dict[End, int] = defaultdict(int)

    def init(self, x: Tensor) -> None:
        self.start = {i: self.algorithm.init(x[i : i + 1]) for i in range(len(x))}
        self.states: dict[int, State] = dict(self.start)

    def step(self) -> None:
        links = self.topology(self.round)
        ends = list(zip(links.receivers.tolist(), links.senders.tolist(), strict=True))
        weights = dict(zip(ends, links.weights.tolist(), strict=True))
        came = dict.fromkeys(ends, True)
        if links.arrives is not None:
            came = dict(zip(ends, links.arrives.tolist(), strict=True))
        everybody = list(self.states)
        there = everybody if links.present is None else [i for i in everybody if links.present[i]]
        pulled = self.learn(there, weights, came)
        heard = [end for end in ends if came[end]]
        for i, j in heard:
            for round in [r for r in self.diary[i, j] if r not in self.used[j, i]]:
                self.give_back(i, self.diary[i, j].pop(round))
        for end in ends:
            self.silent[end] = 0 if came[end] else self.silent[end] + 1
            if came[end]:
                self.diary[end][self.round] = pulled[end]
                self.used[end].add(self.round)
        for i, j in list(self.silent):
            away = i not in there or j not in there
            if away or max(self.silent[i, j], self.silent[j, i]) > self.patience:
                for one in self.diary.pop((i, j), {}).values():
                    self.give_back(i, one)
            if away:
                self.silent[i, j] = 0
        for i in everybody if links.forgets is not None else []:
            if links.forgets[i]:
                self.states[i] = self.start[i]
        self.round += 1

    def learn(self, there: list[int], weights: dict[End, float], came: dict[End, bool]) -> dict[End, Tensor]:
        """One round of the present peers. Returns what each end has pulled."""
        sent = {i: self.sends(i) for i in there}
        rows = {i: torch.cat(tensors, 1) for i, tensors in sent.items()}
        pulled: dict[End, Tensor] = {}
        steps = self.mixing.steps or (self.mixing.gamma,)
        for part in steps:
            replicas = {i: self.replica(row, [t.shape[1] for t in sent[i]]) for i, row in rows.items()}
            for i in there:
                for j in (b for a, b in weights if a == i and came[a, b]):
                    pull = part * weights[i, j] * (replicas[j] - replicas[i])
                    rows[i] = rows[i] + pull
                    whole = pull * (self.mixing.gamma if self.mixing.steps else 1.0)
                    pulled[i, j] = pulled[i, j] + whole if (i, j) in pulled else whole
        for i in there:
            mixed, before = rows[i], torch.cat(sent[i], 1)
            if self.mixing.steps:
                mixed = before + self.mixing.gamma * (mixed - before)
            self.states[i] = self.lives(i, torch.split(mixed, [t.shape[1] for t in sent[i]], 1))
        return pulled

    def sends(self, i: int) -> tuple[Tensor, ...]:
        told: list[tuple[Tensor, ...]] = []

        def mix(*tensors: Tensor) -> Any:
            told.append(tensors)
            return tensors if len(tensors) > 1 else tensors[0]

        self.algorithm.round(self.states[i], self.problems[i].grad(self.round), mix)
        return told[0]

    def lives(self, i: int, mixed: tuple[Tensor, ...]) -> State:
        mix = lambda *_: mixed if len(mixed) > 1 else mixed[0]  # noqa: E731
        return self.algorithm.round(self.states[i], self.problems[i].grad(self.round), mix)

    def replica(self, row: Tensor, blocks: list[int]) -> Tensor:
        nothing = torch.zeros_like(row)
        payload = self.mixing.channel.send(row, nothing, self.round, blocks)
        return self.mixing.channel.receive(payload, nothing, self.round, blocks)

    def give_back(self, i: int, pulled: Tensor) -> None:
        fields, block = leaves(self.states[i]), 0
        width = fields["x"].shape[1]
        for name, account in self.algorithm.accounts.items():
            block = account.block * width
            fields[name] = fields[name] - account.factor * pulled[:, block : block + width]
        self.states[i] = rebuilt(fields, self.states[i])
