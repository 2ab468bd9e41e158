"""Run real Internet Computer canisters, break them, and bring every byte back."""
