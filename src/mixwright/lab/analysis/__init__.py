"""What the numbers of runs are worth: records, statistics, findings."""
