"""A simple twin of the gossip engine: one event heap, one peer at a time, plain lists of numbers.

It shares with the engine the random function, and the formulas that turn a random number into a duration. The behaviour of a
peer is written here a second time, from the papers.
"""

import heapq
from dataclasses import dataclass, field
from math import floor

import numpy as np

from gossipfl import rng
from gossipfl.gossip import Network
from gossipfl.gossip.network import period
from gossipfl.topology import Links

TURN, ARRIVE, WAKE = range(3)  # the order of events within a tick


@dataclass
class Note:
    sent: int
    sender: int
    copy: int
    carries: bool
    asks: bool
    age: int
    w: list[float]


@dataclass
class One:
    rows: list[tuple[list[float], float]]
    w: list[float]
    last: list[float]
    cache: list[list[float]]
    age: int = 0
    last_age: int = 0
    tokens: int = 0
    online: bool = True
    tally: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    said: tuple[int, int] = (-1, 0)  # tick, messages sent in it
    heard: tuple[int, int] = (-1, 0)


def pegasos(w, age, x, y, l2):
    z = sum(a * b for a, b in zip(w, x, strict=True))
    t = float(age)
    sign = 2 * y - 1
    slope = -sign if sign * z < 1 else 0.0
    return [a * (1 - 1 / t) - slope / (l2 * t) * b for a, b in zip(w, x, strict=True)]


def mean(a, ta, b, tb, weigh):
    if weigh == "equal":
        return [(p + q) / 2 for p, q in zip(a, b, strict=True)], max(ta, tb)
    ua, ub = (1.0, 1.0) if ta == tb == 0 else (float(ta), float(tb))
    return [ua / (ua + ub) * p + ub / (ua + ub) * q for p, q in zip(a, b, strict=True)], max(ta, tb)


def tokens(control, a, useful):
    """(probability of sending at a wake-up, messages in answer)."""
    kind, C, A = control
    full = 1.0 if a >= C else 0.0
    if kind == "proactive":
        return 1.0, 0.0
    if kind == "simple":
        return full, 1.0 if a > 0 else 0.0
    if kind == "generalised":
        return full, floor((A - 1 + a) / A) if useful else floor((A - 1 + a) / (2 * A))
    if a < A - 1:
        chance = 0.0
    elif a <= C:
        chance = (a - A + 1) / (C - A + 1)
    else:
        chance = 1.0
    return chance, a / A if useful else 0.0


class Twin:
    def __init__(
        self, rows, create, control, exchange, network: Network, links: Links | None, seed, ticks,
        steps=1, cache=1, jitter=0.1, l2=0.1,
    ):  # fmt: skip
        self.create, self.control, self.exchange, self.network, self.links = (
            create,
            control,
            exchange,
            network,
            links,
        )
        self.seed, self.ticks, self.steps, self.jitter, self.l2 = seed, ticks, steps, jitter, l2
        width = len(rows[0][0][0])
        self.peers, self.heap, self.now, self.number = [], [], 0, 0
        for i, own in enumerate(rows):
            zero = [0.0] * width
            one = One(own, zero, zero, [zero] * cache)
            u = rng.uniform(seed, "begin", np.array([i]), 0, 4)[0]
            one.online = bool(u[1] < network.online)
            self.peers.append(one)
            self.plan(floor(float(u[0]) * ticks), WAKE, i)
            if network.online < 1:
                rest = network.rest(np.array([one.online]), u[2:3], u[3:4], ticks)
                self.plan(int(rest[0]), TURN, i)

    def plan(self, tick, what, i, note=None):
        self.number += 1
        order = (note.sent, note.sender, note.copy) if note else (0, 0, 0)
        heapq.heappush(self.heap, (tick, what, i, order, self.number, note))

    def draw(self, purpose, i, width):
        return rng.uniform(self.seed, purpose, np.array([i]), self.now, width)[0].tolist()

    def neighbours(self, i):
        if self.links is None:
            return [j for j in range(len(self.peers)) if j != i]
        pairs = zip(self.links.receivers.tolist(), self.links.senders.tolist(), strict=True)
        return [r for r, s in pairs if s == i]

    def send(self, i, carries, asks, to=None):
        one = self.peers[i]
        copy = one.said[1] if one.said[0] == self.now else 0
        one.said = (self.now, copy + 1)
        whom, lost, way = self.draw("message", i, 3 * copy + 3)[3 * copy :]
        near = self.neighbours(i)
        to = near[floor(whom * len(near))] if to is None else to
        one.tally[0] += 1
        if lost < self.network.loss:
            one.tally[1] += 1
            return
        travel = int(self.network.travel(np.array([way]), self.ticks)[0])
        self.plan(self.now + travel, ARRIVE, to, Note(self.now, i, copy, carries, asks, one.age, list(one.w)))

    def learn(self, i, w, age, wave):
        own = self.peers[i].rows
        for u in self.draw("row", i, self.steps * (wave + 1))[self.steps * wave :]:
            age += 1
            w = pegasos(w, age, *own[floor(u * len(own))], self.l2)
        return w, age

    def hear(self, i, note):
        one = self.peers[i]
        if not one.online:
            one.tally[3] += 1
            return
        one.tally[2] += 1
        wave = one.heard[1] if one.heard[0] == self.now else 0
        one.heard = (self.now, wave + 1)
        if note.asks:
            self.send(i, True, False, note.sender)
        if not note.carries:
            return
        useful = note.age >= one.age
        order, weigh, own = self.create
        w, age = (one.w, one.age) if own else (one.last, one.last_age)
        if order == "walk":
            made = self.learn(i, note.w, note.age, wave)
        elif order == "merge-update":
            made = self.learn(i, *mean(note.w, note.age, w, age, weigh), wave)
        else:
            made = mean(*self.learn(i, note.w, note.age, wave), *self.learn(i, w, age, wave), weigh)
        one.w, one.age = made
        one.cache = [one.w, *one.cache[:-1]]
        one.last, one.last_age = note.w, note.age
        if self.control[0] != "proactive":
            answers = tokens(self.control, one.tokens, useful)[1] + self.draw("react", i, wave + 1)[wave]
            one.tokens -= floor(answers)
            for _ in range(floor(answers)):
                self.send(i, True, False)

    def wake(self, i):
        one = self.peers[i]
        clock, chance = self.draw("wake", i, 2)
        self.plan(
            self.now + int(period(self.jitter, np.array([clock]), self.ticks)[0]),
            WAKE,
            i,
        )
        if not one.online:
            return
        if chance < tokens(self.control, one.tokens, False)[0]:
            self.send(i, "push" in self.exchange, "pull" in self.exchange)
        else:
            one.tokens += 1

    def turn(self, i):
        one = self.peers[i]
        one.online = not one.online
        u = np.array(self.draw("session", i, 1))
        self.plan(self.now + int(self.network.length(np.array([one.online]), u, self.ticks)[0]), TURN, i)

    def until(self, tick):
        """Process all events before this tick."""
        while self.heap[0][0] < tick:
            self.now, what, i, _, _, note = heapq.heappop(self.heap)
            if what == ARRIVE:
                self.hear(i, note)
            else:
                (self.turn if what == TURN else self.wake)(i)
