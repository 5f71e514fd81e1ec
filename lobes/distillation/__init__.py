"""Knowledge distillation from frozen teachers: losses, targets and their cache."""
