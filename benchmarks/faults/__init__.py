"""What a fault campaign needs: a relay that knows statements, clients that note what they are told."""
