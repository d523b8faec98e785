"""What stands on every result."""

NOTICE = "Research use only, not a medical device."
