"""Filter shapes, frequency scales, framing, PCEN, and the fast filterbank engine."""
