"""Tangents that are each sample's own, in space of activities: from losses of the layers' own, or drawn for it.

They lie in parts by layer, and one pass that gains directions measures along all of them; no engine.
"""
