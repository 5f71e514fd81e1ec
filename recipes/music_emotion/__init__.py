"""Music emotion: valence and arousal of songs in DEAM, EmoMusic and PMEmo."""
