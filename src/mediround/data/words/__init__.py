"""The language of dialogues; the words are data, the TOML files beside these modules.

grammar     patterns with alternatives -> sentences
phrasebook  the tables of words, by language and by split (training, held out)
wording     Speaker: questions and answers about links and names
questions   words of the rounds that only rich dialogues have
chinese     Chinese names of structures
typos       slips of the keyboard and abbreviations
"""
