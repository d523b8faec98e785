"""Images made from label maps, after the recipe of SynthSeg (Billot et al. 2023).

volume    SyntheticVolume: a label map as a scan, slice by slice
contrast  how bright each label is
field     smooth random fields
settings  how far images stray
"""
