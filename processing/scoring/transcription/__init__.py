"""Scores of transcripts: edit rates, alignments of tokens, boundaries."""
