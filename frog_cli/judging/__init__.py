"""Judges of ideas: what a sampler, an aggregation, a function, a model or a data set must do, checked one by one."""
