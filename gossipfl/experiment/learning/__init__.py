"""From each peer's rows to its model: agreeing, preparing, the loop; must not know which engine carries it."""
