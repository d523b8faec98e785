"""What is in a data set of dialogues, and whether it is what it claims.

check          the format, the masks, the splits, the claims;  findings: what is wrong
necessity      text_only_oracle: are references needed?
stats          counts in one pass;  plots: their pictures
contact_sheet  rendered dialogues to look at
"""
