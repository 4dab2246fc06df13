"""One function per pattern of attention, all with the same signature."""
