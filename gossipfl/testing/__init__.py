"""The laws of methods, for a method of one's own; must not know experiments.

import pytest
from gossipfl.testing import laws

@pytest.mark.parametrize("law", laws("my_file.py:Signed"), ids=str)
def test_law(law):
    law()
"""

from gossipfl.testing.laws import Law, laws

__all__ = ["Law", "laws"]
