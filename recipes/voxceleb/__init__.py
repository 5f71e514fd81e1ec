"""Speaker verification on VoxCeleb."""
