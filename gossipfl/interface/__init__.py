"""gossipfl from Python: calls, results and estimators; must not know how peers learn, or what commands print.

`import gossipfl as gf` has all of it by name, and imports a module of this room when a name is used for the first time.
"""
