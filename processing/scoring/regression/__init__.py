"""Scores of regressions: CCC, RMSE, R2, their files and their scale."""
