"""A pipeline onto a device, with a way back.

    manifest  what a release is: files by their content, signed
    signature who made it: ed25519 through ssh-keygen
    store     contents by their digest, on the device and on the host
    slots     releases side by side on the device, one of them running, one to go back to
    proving   starts one, watches it, goes back

What runs on the device before a release is there (all of the above) needs the standard library only.
"""
