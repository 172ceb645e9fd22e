"""When a change may be made: windows, freezes, and moments that come again."""
