"""The four recipes with the settings of a run of a few seconds, every source of chance in it."""

from command_line import Recipe

SMALL = {
    # dropout and noise
    "speech_commands": Recipe(
        "speech_commands",
        {
            "frontend": "mel",
            "encoder": "linear",
            "number_of_epochs": 4,
            "batch_size": 32,
            "lr": 0.002,
        },
    ),
    # crops, noise, rooms
    "voxceleb": Recipe(
        "voxceleb",
        {
            "frontend": "mel",
            "valid_speakers": 6,
            "encoder_options.mlp_mixer.hidden": 16,
            "encoder_options.mlp_mixer.blocks": 1,
            "encoder_options.mlp_mixer.embedding_size": 16,
            "number_of_epochs": 2,
            "batch_size": 32,
            "crop_s": 1.0,
        },
    ),
    # speeds, noise, masks, dropout
    "timit": Recipe(
        "timit",
        {
            "frontend_options.mel.hop_ms": 20.0,
            "encoder_options.blstm.hidden": 24,
            "encoder_options.blstm.layers": 2,
            "encoder_options.blstm.dropout": 0.1,
            "number_of_epochs": 3,
            "lr": 0.004,
            "noise_probability": 0.2,
            "speed_factors": "[1.0, 0.95, 1.05]",
            "time_masks": 1,
        },
    ),
    # crops, masks, dropout, past batches
    "music_emotion": Recipe(
        "music_emotion",
        {
            "frontend_options.mel.hop_ms": 20.0,
            "encoder_options.crnn.channels": "[8, 8, 8, 8]",
            "encoder_options.crnn.hidden": 8,
            "number_of_epochs": 3,
            "batch_size": 4,
            "crop_s": 4,
            "ccc_window": 8,
            "lr": 0.01,
            "time_masks": 1,
        },
    ),
}
