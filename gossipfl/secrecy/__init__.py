"""Sums of which nobody learns more than the total: fixed point, masks, keys of one start; must not know network or models."""
