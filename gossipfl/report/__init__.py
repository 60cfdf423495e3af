"""What people see of a run: live lines, tables, drawings; must not know the command line."""
