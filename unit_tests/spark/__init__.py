"""What runs inside a Spark cluster under test."""
