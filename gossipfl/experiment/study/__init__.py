"""The settings made into objects: algorithm, mixing, links, local problems; must not know rows of data or engines."""
