"""What the official release computes around its network: tokens, pixels, crops, boxes.

tokenizer   SentencePiece models as the official code reads them
inputs      pixels for CLIP and for SAM
reference   an earlier mask as a crop and a box
"""
