"""From an experiment file to a judged result, in either engine; the only room where strings become classes."""
