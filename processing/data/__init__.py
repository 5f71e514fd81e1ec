"""Reading, checking, batching and augmenting audio, and the mini corpora."""
