"""Scores of verification trials: EER, minDCF, Cllr, embeddings, calibration."""
