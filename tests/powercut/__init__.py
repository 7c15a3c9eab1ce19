"""Power cuts without a plug: a process is recorded, and the disks that a cut may leave are built from it."""
