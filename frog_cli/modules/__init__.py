"""Networks of torch as pure functions: how one is called with other weights, what it keeps from call to call and how
that is taken back, and what it must be for a forward gradient.
"""
