"""Pure losses."""
