"""All live peers of one machine, a process each, and what goes wrong between them on purpose; must not learn itself."""
