"""Settings -> objects: algorithm, mixing, links, local problems; must not know engines."""
