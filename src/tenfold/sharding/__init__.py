"""Logical axis to mesh axis, in one table; meshes; many hosts."""
