"""The machine: files, memory, cache folder, compiler, busy cores."""
