"""What every explorer is made of: a state, jobs that compute, and a view that the page shows."""
