"""One end of an edge: its session, and which exchanges both ends used; must not know clocks or sockets.

A session is a pair of random nonces, one drawn by each end. Each message names both, as far as its sender knows them, and
says which of the receiver's last messages the sender used. So each end finds out alone which exchanges count, and both find
the same:

- When the pair changes (one end began anew, or gave up the other), a new session begins, and nothing of the old one counts.
  What else both ends must have in common, their `Opening`, belongs to the nonce and changes only with it.
- An exchange counts if each end used the other's message. An end that used a message, and hears that its own was not used,
  takes back what it made of that message.
"""

from collections.abc import Callable

from gossipfl.peer.wire import WINDOW, Header, Opening


class Edge:
    """My end of one edge.

    `told` lists news of exchanges in which I used the neighbour's message: (exchange, whether the neighbour used mine, too).
    `ended` says that a session with such exchanges has ended. The reader of both clears them.

    Args:
        draw: returns a fresh random nonce, above 0 and below 2^63.
        opens: what I bring into sessions.
    """

    def __init__(self, draw: Callable[[], int], opens: Opening) -> None:
        self._draw = draw
        self.opens, self.theirs = opens, opens
        self.mine, self.yours = draw(), 0
        self.named = False  # the neighbour has named my nonce, so that both know the pair
        self.told: list[tuple[int, bool]] = []
        self.ended = False
        self.read: Header | None = None  # the header that was taken in last, whole, since the session began
        self._counted = False  # whether this session has any exchange
        self._open: list[int] = []  # exchanges that I used; whether the neighbour did is not known yet
        self.last, self.used = -1, 0  # the last exchange that I used; bit b: I also used exchange last - b
        self._before = -1, 0  # the same, before I used the last one

    def hear(self, header: Header, early: bool = False) -> None:
        """Take in what a header says of our session. From an `early` one, take only its nonces: its turn will come."""
        if not header.mine:
            return
        if header.mine != self.yours:
            if header.opens is None:
                return  # sent long ago, in a session that is over
            self._close()
            self.yours, self.theirs = header.mine, header.opens
        self.named = header.yours == self.mine
        if not self.named or early:
            return
        self.read = header
        unknown = []
        for number in self._open:
            back = header.last - number
            if back < 0 and number >= header.number:
                unknown.append(number)
            elif back < 0:  # it has passed that exchange, and used nothing there or later
                self.told.append((number, False))
            elif back < WINDOW:
                self.told.append((number, bool(header.used >> back & 1)))
            else:
                self.give_up()
                return
        self._open = unknown

    @property
    def weight(self) -> float:
        """The weight of the edge, the same at both ends of a session: the smaller one, and 0 where the signs differ."""
        mine, theirs = self.opens.weight, self.theirs.weight
        return min(mine, theirs, key=abs) if mine * theirs > 0 else 0.0

    @property
    def alike(self) -> bool:
        """Whether both ends have the same topology."""
        return self.theirs.graph == self.opens.graph

    def fits(self, header: Header) -> bool:
        """Whether a message belongs to the session as I know it."""
        return header.mine == self.yours and header.yours == self.mine

    def use(self, number: int) -> None:
        """I use the neighbour's message of that exchange, which is later than all used before."""
        self._counted, self._before = True, (self.last, self.used)
        self._open.append(number)
        self.used = self.used << min(number - self.last, WINDOW) & (1 << WINDOW) - 1 | 1
        self.last = number

    def drop(self, number: int) -> None:
        """The message of that exchange, the last one that I used, cannot be used after all. Another one still may."""
        self._open.remove(number)
        self.last, self.used = self._before

    def give_up(self, opens: Opening | None = None) -> None:
        """Begin a new session, whatever the neighbour does; with another `opens`, if given."""
        self._close()
        self.opens = opens or self.opens
        self.mine, self.named, self._counted = self._draw(), False, False

    def quit(self) -> None:
        """The neighbour has left: end the session, if there is one."""
        if self.yours:
            self.yours = 0
            self._close()

    def _close(self) -> None:
        """End the session. If it had exchanges, draw a new nonce: then the neighbour ends it, too, whatever it knows."""
        self.ended |= self._counted
        if self._counted:
            self.mine = self._draw()
        self.named, self._counted, self.read = False, False, None
        self.last, self.used = -1, 0
        self._open.clear()
        self.told.clear()
