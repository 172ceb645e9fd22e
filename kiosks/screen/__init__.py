"""The screen: pages rendered here, shown by the terminal's own browser."""
