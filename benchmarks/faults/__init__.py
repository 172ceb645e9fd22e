"""What a fault campaign needs: a relay that knows statements, clients that keep what they were told, a checker."""
