"""One end of an edge: in which session it is, and which exchanges both ends made use of; must not know clocks or sockets.

A session is a pair of random numbers, one drawn by each end. Each message names both, as far as its sender knows them, and says
which of the receiver's last messages it used. So each end finds out alone, and both alike, which exchanges count:

- A pair that changes (one end began anew, or gave the other up) begins a new session, and nothing of the old one counts. What
  else the ends must have in common, their `Opening`, belongs to its number and is the same as long as that is.
- An exchange counts if both ends used the other's message. Who used one and is told that its own was not used takes it back.
"""

from collections.abc import Callable

from gossipfl.peer.wire import WINDOW, Header, Opening


class Edge:
    """My end of one edge.

    `told` lists what is new of exchanges whose message I used, (tick, whether the neighbour used mine, too), and `ended` says
    whether a session with such exchanges has ended; who reads them clears them.

    Args:
        draw: a fresh random number above 0, below 2^63.
        opens: what I bring into sessions.
    """

    def __init__(self, draw: Callable[[], int], opens: Opening) -> None:
        self._draw = draw
        self.opens, self.theirs = opens, opens
        self.mine, self.yours = draw(), 0
        self.named = False  # the neighbour has named my number, so that both know the pair
        self.told: list[tuple[int, bool]] = []
        self.ended = False
        self._counted = False  # whether this session has any exchange
        self._open: list[int] = []  # exchanges that I used, and do not know of whether the neighbour did
        self.last, self.used = -1, 0  # the last exchange that I used, and bit b: so did I exchange last - b

    def hear(self, header: Header, early: bool = False) -> None:
        """What a header says of our session; of one that is `early` only whose it is, for its turn will come."""
        if not header.mine:
            return
        if header.mine != self.yours:
            if header.opens is None:
                return  # said long ago, in a session that is over
            self._close()
            self.yours, self.theirs = header.mine, header.opens
        self.named = header.yours == self.mine
        if not self.named or early:
            return
        unknown = []
        for tick in self._open:
            back = header.last - tick
            if back < 0 and tick >= header.tick:
                unknown.append(tick)
            elif back < 0:  # it has passed that exchange, and used nothing there or later
                self.told.append((tick, False))
            elif back < WINDOW:
                self.told.append((tick, bool(header.used >> back & 1)))
            else:
                self.give_up()
                return
        self._open = unknown

    @property
    def weight(self) -> float:
        """The weight of the edge: in a session both ends say the same."""
        return min(self.opens.weight, self.theirs.weight)

    def fits(self, header: Header) -> bool:
        """Whether a message belongs to the session as I know it."""
        return header.mine == self.yours and header.yours == self.mine

    def use(self, tick: int) -> None:
        """I make use of its message of that exchange, which is later than all those used before."""
        self._counted = True
        self._open.append(tick)
        self.used = self.used << min(tick - self.last, WINDOW) & (1 << WINDOW) - 1 | 1
        self.last = tick

    def give_up(self, opens: Opening | None = None) -> None:
        """Begin a new session, whatever the neighbour thinks of it; and bring something else into it, where that is given."""
        self._close()
        self.opens = opens or self.opens
        self.mine, self.named, self._counted = self._draw(), False, False

    def quit(self) -> None:
        """The neighbour has left: the session ends, if it has not yet."""
        if self.yours:
            self.yours = 0
            self._close()

    def _close(self) -> None:
        """The session ends. If it had exchanges, I draw a new number: then the neighbour ends it, too, whatever it knows."""
        self.ended |= self._counted
        if self._counted:
            self.mine = self._draw()
        self.named, self._counted = False, False
        self.last, self.used = -1, 0
        self._open.clear()
        self.told.clear()
