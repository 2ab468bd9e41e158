"""A client of networks of the Internet Computer: keys, signed requests, proven answers, snapshots both ways."""
