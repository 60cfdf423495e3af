"""How large a message may be, and how many bytes are kept of a neighbour: from the study alone."""

import pytest
from runs import settings

from gossipfl.config.file import parse
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.live.largest import largest
from gossipfl.experiment.study.make import study
from gossipfl.peer.limits import room

MIB = 2**20


def made(**changes):
    found = study(parse(settings(**changes)))
    return found, largest(found, tables(found)[0])


def test_a_message_of_a_small_study_is_small_and_grows_with_peers_and_parameters():
    (few, small), (_, more) = made(topology__graph="ring:4"), made(topology__graph="ring:40")
    assert len(few.names) == 4
    assert MIB < small < 4 * MIB
    assert more >= small + 36 * 2**16
    wide = {"source": "digits", "target": "target"}
    wider = made(data=wide, model__kind="softmax")[1]
    assert small + 16 * 650 * 4 < wider < 64 * MIB


@pytest.mark.parametrize("kind", ["newton", "exact-diffusion"])
def test_what_is_kept_of_a_neighbour_has_room_for_two_messages_and_more_where_links_change(kind):
    _, most = made(algorithm={"kind": kind})
    width = 31
    assert room(most, 0) == most >= MIB + 2 * 8 * (width**2 if kind == "newton" else width)
    assert [room(most, horizon) // most for horizon in (2, 500)] == [3, 8]
