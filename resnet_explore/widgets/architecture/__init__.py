"""How are the networks built? Two drawn block by block, all of them in a table, and depth as a slider."""
