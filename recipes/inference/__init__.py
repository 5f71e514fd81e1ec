"""What is done with a trained model: predict, verify, transcribe, align, compare."""
