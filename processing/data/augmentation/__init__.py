"""Augmentation of training batches: noise, reverberation, speed, crops, SpecAugment, mixup."""
