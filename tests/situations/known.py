"""Situations in which whyslow is known to be wrong, by name, each with the reason. They stay wrong in the table."""

KNOWN_SHORT = {
    "signal handler on the alternate stack":
        "the kernel copies one stack with a sample, the alternate one; the interrupted stack is cut, and marked so",
}
