"""The connector as a process: its command line, its scheduling, and what it writes."""
