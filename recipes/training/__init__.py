"""What every recipe shares around its training: start, prepare, finish."""
