"""The Behavioral Cohorts API: when cohorts were computed, and who is in them."""
