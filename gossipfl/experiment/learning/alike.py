"""What is the same in all rows of each peer, and perhaps not at all peers; must not know how sums travel."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gossipfl.data import Rows, Schema, census
from gossipfl.data.names import listed
from gossipfl.errors import BadData
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study


def flat(
    study: Study,
    schema: Schema,
    parts: Sequence[Rows],
    same: npt.NDArray[np.int64],
    names: Sequence[str],
    agreement: Agreement,
) -> tuple[str, ...]:
    """Of these cells, that have one value at each peer: the features which count as constant. None of their values is told.

    A sum over a number of a site tells it, and no sum tells without that whether sites have the same one. Peers say where a
    level has rows and where it lacks some, and whether a number is not 0 where there is no intercept.

    Raises:
        BadData: a level has all rows of some peers and none of others; or a column takes the place of the intercept.
    """
    if not len(same):
        return ()
    flags = np.stack([census.flat(part, schema, same) for part in parts])
    levels = np.isin([*census.columns(schema), *schema.levels], [*schema.levels])[same]
    refuse_split([names[j] for j in same[levels].tolist()], flags[:, :, levels], agreement)
    numbers = [names[j] for j in same[~levels].tolist()]
    if not study.experiment.model.intercept and numbers:
        raised = agreement.anybody((~flags[:, 0, ~levels]).tolist())
        if free := [name for name, one in zip(numbers, raised.tolist(), strict=True) if one]:
            raise BadData(
                f"{listed(free)} have one value at each peer, and not 0: sums would tell the values if they are not the same. "
                "Leave such columns out with drop, at all peers; with model.intercept = true the model needs none"
            )
    return tuple(numbers)


def refuse_split(names: Sequence[str], flags: npt.NDArray[np.bool_], agreement: Agreement) -> None:
    """Refuse what is so in all rows of some peers, and the opposite in all rows of others, by the flags (n, 2, k) of both."""
    if not names:
        return
    both = agreement.anybody(flags.reshape(len(flags), -1).tolist())
    raised = both[: len(names)] & both[len(names) :]
    if split := [name for name, one in zip(names, raised.tolist(), strict=True) if one]:
        raise BadData(
            f"all rows of some peers differ from all rows of others in {listed(split)}: secure sums would show the sums of "
            "these peers. Leave such columns out with drop, or join such a level with another one, at all peers"
        )
