"""What goes to disk: nothing else in the house touches a disk format for results."""
