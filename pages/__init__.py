"""The screens: one file each, and `parts` for what they share."""
