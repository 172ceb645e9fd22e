"""What stands between a question and its back-end: one that ails harms neither its asker nor others."""
