"""Sources, one file each; the file name is the URL's scheme."""
