"""Models that others have: repositories of a model hub, and the files that programs on this machine have downloaded."""
