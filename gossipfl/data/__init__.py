"""The only room that reads data files; must not know the network, the engines or the models.

The order of calls is: `read`, `partition` or `by_name`, `clean` ("refuse" or "drop"), `split`, `clean` ("mean"), `levels` and
`classes` (from these the peers agree on a `Schema`), `encode`.
"""

from gossipfl.data.bundled import BUNDLED
from gossipfl.data.clean import Missing, clean
from gossipfl.data.describe import DataDescription, Share, describe
from gossipfl.data.encode import Rows, Schema, classes, encode, levels
from gossipfl.data.matching import by_name
from gossipfl.data.partition import partition
from gossipfl.data.readers import MISSING, READERS
from gossipfl.data.schemes import PARTITIONS
from gossipfl.data.sources import divisible, framed, read
from gossipfl.data.split import split
from gossipfl.data.table import Table

__all__ = [
    "BUNDLED",
    "MISSING",
    "PARTITIONS",
    "READERS",
    "DataDescription",
    "Missing",
    "Rows",
    "Schema",
    "Share",
    "Table",
    "by_name",
    "classes",
    "clean",
    "describe",
    "divisible",
    "encode",
    "framed",
    "levels",
    "partition",
    "read",
    "split",
]
