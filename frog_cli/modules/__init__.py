"""Networks of torch as pure functions: calling, taking back what a call changes, and what a network must be."""
