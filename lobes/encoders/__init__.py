"""Encoders, one published network a file: frames in, embeddings or steps out."""
