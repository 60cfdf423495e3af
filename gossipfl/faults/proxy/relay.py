"""One connection through the proxy, in the state of its route: cut, delayed or open; must not know who commands it."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

MOST = 1 << 20  # bytes of one direction that wait here; more wait at the sender, as at a slow link
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Weather(NamedTuple):
    """The state of a link. A cut link accepts connections and passes nothing, not even the close of a connection."""

    cut: bool = False
    delay: float = 0.0  # seconds, each way
    jitter: float = 0.0  # up to so many seconds of additional delay; the order is kept
    rate: float = 0.0  # bytes per second and connection, each way; 0 for no limit


class Route:
    """The way to one endpoint, and all connections on it.

    Args:
        target: its endpoint, "tcp://host:port" or "ipc://path".
        uniform: draws from [0, 1), for the jitter.
    """

    def __init__(self, target: str, uniform: Callable[[], float]) -> None:
        self.target, self.uniform, self.weather = target, uniform, Weather()
        self.halves: set[Half] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def become(self, weather: Weather) -> None:
        self.weather = weather
        for half in list(self.halves):
            half.look()

    def reset(self) -> None:
        for half in list(self.halves):
            half.reset()

    def reach(self, near: "Half") -> None:
        """Connect to the target for an incoming connection."""
        near.other = far = Half(self, near)
        task = asyncio.get_running_loop().create_task(self._reach(near, far))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reach(self, near: "Half", far: "Half") -> None:
        scheme, _, place = self.target.partition("://")
        loop = asyncio.get_running_loop()
        try:
            if scheme == "ipc":
                await loop.create_unix_connection(lambda: far, place)
            else:
                host, _, port = place.rpartition(":")
                at = "127.0.0.1" if host in ("*", "0.0.0.0") else host.strip("[]")
                await loop.create_connection(lambda: far, at, int(port))
        except OSError:  # nobody listens there, and the connecting peer should see that
            near.reset()


class Half(asyncio.Protocol):
    """One end of a connection through the proxy. Data that arrives here waits until it is due and leaves at the other end."""

    def __init__(self, route: Route, other: "Half | None" = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.ended = self.stalled = False
        self._route, self._loop = route, asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes]] = deque()  # when it is due, and what
        self._size, self._free, self._last = 0, 0.0, 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._route.halves.add(self)
        self.look()
        if self.other:
            self.other.look()

    def look(self) -> None:
        """Adapt to the present state of the link."""
        if self._route.weather.cut:
            if self.transport:
                self.transport.pause_reading()
            return
        if self.other is None and not self.ended:
            self._route.reach(self)
        self._deliver()

    def data_received(self, data: bytes) -> None:
        weather, now = self._route.weather, self._loop.time()
        self._free = max(self._free, now) + (len(data) / weather.rate if weather.rate else 0.0)
        late = weather.delay + (weather.jitter * self._route.uniform() if weather.jitter else 0.0)
        self._last = max(self._last, self._free + late)
        self._waiting.append((self._last, data))
        self._size += len(data)
        self._deliver()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport, self.ended = None, True
        self._deliver()

    def pause_writing(self) -> None:
        self.stalled = True

    def resume_writing(self) -> None:
        self.stalled = False
        if self.other:
            self.other.look()

    def reset(self) -> None:
        """Reset this end: waiting data is lost, and the socket reports a reset."""
        self._waiting.clear()
        self._size = 0
        if self.transport:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            self.transport.abort()

    def _deliver(self) -> None:
        """Pass on the data that is due, and read more if there is room."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        other = self.other
        if self._route.weather.cut:
            return
        if other and other.transport and not other.transport.is_closing():
            while self._waiting and not other.stalled and self._waiting[0][0] <= self._loop.time():
                data = self._waiting.popleft()[1]
                self._size -= len(data)
                other.transport.write(data)
            if self._waiting and not other.stalled:
                self._timer = self._loop.call_at(self._waiting[0][0], self._deliver)
            elif self.ended and not self._waiting:
                other.transport.close()
        if self.ended and (not self._waiting or (other and other.ended)):
            self._route.halves.discard(self)
        elif self.transport:
            self.transport.pause_reading() if self._size >= MOST else self.transport.resume_reading()
