"""Ground floor: what two or more wings need. Imports nothing of ours from above."""
