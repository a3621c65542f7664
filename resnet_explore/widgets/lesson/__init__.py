"""The lesson: five steps from the question to the many ways."""
