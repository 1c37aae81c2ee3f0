"""Parts that several tests use: servers, models of random weights, hostile schemas."""
