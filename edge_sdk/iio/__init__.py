"""Linux Industrial I/O, without a library: what the kernel shows in /sys and /dev."""
