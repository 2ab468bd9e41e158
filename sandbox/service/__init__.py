"""In service: backups of canisters of a network, on a schedule, proven, and brought back."""
